"""Flow matching: a velocity field that carries noise to images."""

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import (
    check_above_0,
    check_choice,
    check_integer,
    check_share,
    checked_images,
)
from tfattn._typing import Tensor
from tfattn.densities import standard_normal_log_density
from tfattn.models.attention import attention_map, gammas
from tfattn.models.compiling import compiled
from tfattn.models.exporting import ExportedFunction, tensor_input
from tfattn.models.flow.divergence import exact, hutchinson
from tfattn.models.flow.networks import build_unet
from tfattn.models.flow.solvers import SOLVERS, integrate
from tfattn.models.generative import GenerativeModel
from tfattn.models.replicas import drawn

# Levels of a pixel, for likelihoods.
LEVELS = 256
DIVERGENCES = ("hutchinson", "exact")
NUM_STEPS = 16


@keras.saving.register_keras_serializable(package="tfattn")
class AttentionFlow(GenerativeModel):
    """Rectified flow from noise to images, by a U-Net with attention.

    With x₁ an image whose pixels are standardized, ε standard normal noise, y an
    optional class and t a time in [0, 1]:

    1. path: x_t = (1 − t) ε + t x₁, whose velocity is x₁ − ε
    2. network: v(x_t, t, y), trained to predict the velocity; what it learns is the
       mean of all velocities that pass through x_t at t
    3. generation: dx/dt = v(x, t, y) from noise at t = 0 to an image at t = 1

    In training, t is sigmoid(n) with n standard normal, and each image loses its class
    with probability `label_dropout`, so that the network also learns the velocity
    without a class, which `guidance` needs. An exponential moving average of the
    network, never the trained network itself, generates and measures.

    After `compile(optimizer)`, training is `fit(x)`, or with classes `fit(x, labels)`,
    with x in [0, 1]. Metrics of `compile` compare the images with the estimates of them
    that the network's velocity gives.

    Source: Liu et al., *Flow Straight and Fast*, arXiv:2209.03003, equation 1; Lipman
    et al., *Flow Matching for Generative Modeling*, arXiv:2210.02747; Esser et al.,
    arXiv:2403.03206, section 3.1, for the times; Ho & Salimans, *Classifier-Free
    Diffusion Guidance*, arXiv:2207.12598.

    Args:
        image_shape: (h, w, c), h and w divisible by 4.
        num_classes: Number of classes, or `None` for no class condition.
        attention: `"self"` (`SelfAttention2D` at (h/4, w/4)), or a control:
            `"residual"` and `"uniform"`, of as many parameters, and `None`.
        width: Channels at (h/2, w/2), divisible by 8; twice as many at (h/4, w/4).
        pixel_mean: Mean of a pixel, in [0, 1], which becomes 0.
        pixel_deviation: Standard deviation of a pixel, above 0, which becomes 1.
        label_dropout: Share of the images that are trained without their class.
        ema_decay: Decay of the moving average, in [0, 1). Early on the average is
            shorter: the decay is at most (1 + s)/(10 + s) in step s.
        seed: Seed of the draws in training.

    Call arguments:
        inputs: Images (n, h, w, c) in [0, 1], or with classes (images, labels (n,)).

    Output:
        Dictionary of the `images`, of their `estimates` (n, h, w, c) and of the
        `velocity_error` (n,): the mean over the pixels of the squared error.

    Exported functions:
        generate: `generate` from standard normal noise (n, h, w, c), and the condition,
            if any, without guidance, by 16 steps of Heun's method.
        velocity: `velocity` of standardized images (n, h, w, c) at times (n,), and the
            condition, if any, for a solver of your own.

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    LOSS_TERMS = ("velocity_error",)
    NOT_IN_ONNX = ("call",)
    ATTENTIONS = ("self", "residual", "uniform", None)

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        num_classes: int | None = None,
        attention: Literal["self", "residual", "uniform"] | None = "self",
        width: int = 32,
        pixel_mean: float = 0.5,
        pixel_deviation: float = 0.5,
        label_dropout: float = 0.1,
        ema_decay: float = 0.999,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, num_classes, seed, divisor=4, **kwargs)
        check_choice("attention", attention, self.ATTENTIONS)
        width = check_integer("width", width, least=8)
        if width % 8:
            raise ValueError(
                f"Expected `width` to be divisible by 8. Received: width={width}"
            )
        check_above_0("pixel_deviation", pixel_deviation)
        check_share("label_dropout", label_dropout)
        check_share("ema_decay", ema_decay)
        self.attention = attention
        self.width = width
        self.pixel_mean = pixel_mean
        self.pixel_deviation = pixel_deviation
        self.label_dropout = label_dropout
        self.ema_decay = ema_decay
        # Half precision would round the noise on the path.
        self.autocast = False

        arguments = (self.image_shape, num_classes, width, attention)
        with self._settings(self.dtype_policy):
            self.network = build_unet(*arguments, name="network")
        # It generates and measures: never in half precision.
        with self._settings(self.variable_dtype):
            self.average = build_unet(*arguments, name="average")
        self.average.set_weights(self.network.get_weights())
        self.average.trainable = False
        self.num_averaged = self.add_weight(
            name="num_averaged",
            initializer="zeros",
            trainable=False,
            dtype="float32",
            autocast=False,  # half precision could not count to 3000
        )
        self.trackers = [keras.metrics.Mean(name=name) for name in self.LOSS_TERMS]
        self._flows = {
            solver: compiled(self, functools.partial(self._flow, solver))
            for solver in SOLVERS
        }
        self._log_densities = {
            (solver, divergence): compiled(
                self, functools.partial(self._log_density, solver, divergence)
            )
            for solver in SOLVERS
            for divergence in DIVERGENCES
        }
        self.built = True

    def _parts(self):
        never_trained = {*map(id, self.average._flatten_layers())}
        return [part for part in super()._parts() if id(part) not in never_trained]

    # --- training -------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        images, condition = self._split(inputs)
        images = ops.cast(images, "float32")
        uniform = drawn(keras.random.uniform, ops.shape(images), self.seed_generator)
        x = self._dequantized(images, uniform)
        n = ops.shape(x)[0]
        noise = drawn(keras.random.normal, ops.shape(x), self.seed_generator)
        t = ops.sigmoid(drawn(keras.random.normal, (n,), self.seed_generator))
        network = self.average
        if training:
            network = self.network
            self._average_step()
            condition = [self._without_some_labels(labels) for labels in condition]
        on_path = noise + t[:, None, None, None] * (x - noise)
        velocity = ops.cast(network([on_path, t, *condition]), "float32")
        error = ops.mean(ops.square(velocity - (x - noise)), axis=(1, 2, 3))
        estimates = on_path + (1 - t[:, None, None, None]) * velocity
        return {
            "images": images,
            "estimates": self._images(estimates),
            "velocity_error": error,
        }

    def _without_some_labels(self, labels):
        """One-hot classes (n, num_classes), some of them zeros, image by image."""
        numbers = drawn(
            keras.random.uniform, (ops.shape(labels)[0], 1), self.seed_generator
        )
        return labels * ops.cast(numbers >= self.label_dropout, labels.dtype)

    def _average_step(self):
        """Moves the average towards the network as the last step has left it."""
        step = ops.cast(self.num_averaged, "float32")
        decay = ops.minimum(self.ema_decay, (1 + step) / (10 + step))
        for average, current in zip(
            self.average.weights, self.network.weights, strict=True
        ):
            value = ops.cast(current, "float32")
            average.assign(value + decay * (average - value))
        self.num_averaged.assign(step + 1)

    def _dequantized(self, images, uniform):
        """Standardized pixels, uniform within the bins of the levels 0 to 255."""
        pixels = ((LEVELS - 1) * images + uniform) / LEVELS
        return (pixels - self.pixel_mean) / self.pixel_deviation

    def _images(self, x):
        """The inverse, at the middle of a bin, cut to [0, 1]."""
        pixels = self.pixel_mean + self.pixel_deviation * x
        return ops.clip((LEVELS * pixels - 0.5) / (LEVELS - 1), 0.0, 1.0)

    def _compared(self, outputs):
        return outputs["images"], outputs["estimates"]

    # --- using a trained model ------------------------------------------------

    def velocity(
        self, x: Tensor, t: Tensor, condition: Sequence[Tensor] = ()
    ) -> Tensor:
        """The velocity of standardized images: tensor (n, h, w, c).

        Args:
            x: Tensor (n, h, w, c), standardized.
            t: The time, a scalar.
            condition: A list of the one-hot classes (n, num_classes); empty for a model
                without classes, or for the velocity without a class.
        """
        n = ops.shape(x)[0]
        times = ops.broadcast_to(ops.cast(t, "float32"), (n,))
        if self.num_classes and not condition:
            condition = [ops.zeros((n, self.num_classes))]
        return self.average([x, times, *condition])

    def _guided_velocity(self, x, t, condition, guidance):
        """With w the guidance: v(no class) + w · (v(class) − v(no class)).

        Args:
            x, t, condition: As for `velocity`.
            guidance: Empty for none, or w and the times between which it is applied.
        """
        if not guidance:
            return self.velocity(x, t, condition)
        weight, first, last = guidance
        n = ops.shape(x)[0]
        both = self.velocity(
            ops.concatenate([x, x]),
            t,
            [ops.concatenate([*condition, ops.zeros((n, self.num_classes))])],
        )
        with_class, without = ops.split(both, 2)
        weight = ops.where(ops.logical_and(first <= t, t <= last), weight, 1.0)
        return without + weight * (with_class - without)

    def _flow(self, solver, x, condition, guidance, num_steps, start, end):
        return integrate(
            lambda x, t: self._guided_velocity(x, t, condition, guidance),
            x,
            solver,
            num_steps,
            start,
            end,
        )

    def generate(
        self,
        n: int,
        condition: ArrayLike | None = None,
        *,
        guidance: float = 1.0,
        guidance_interval: tuple[float, float] | None = None,
        num_steps: int = NUM_STEPS,
        solver: Literal["euler", "midpoint", "heun", "rk4"] = "heun",
        temperature: float = 1.0,
        seed: int | None = None,
        batch_size: int = 250,
    ) -> np.ndarray:
        """Generates images.

        Args:
            n: Number of images.
            condition: Classes (n,), for a model with classes.
            guidance: Weight w of the class, see `velocity`: 1 follows the model, above
                1 images show their class more clearly and vary less. Above 0.
            guidance_interval: Pair of times between which guidance is applied; `None`
                for all.
            num_steps: Steps of the solver. Each takes as many passes through the
                network as the solver has stages: 1 for Euler's method, 2 for the
                midpoint rule and for Heun's method, 4 for `"rk4"`; with guidance twice
                as many.
            solver: One of `"euler"`, `"midpoint"`, `"heun"`, `"rk4"`.
            temperature: Standard deviation of the noise.
            seed: Integer; the same seed gives the same images.
            batch_size: Images at once.

        Returns:
            NumPy array (n, h, w, c) in [0, 1].

        Raises:
            ValueError: For an argument outside the ranges above, or a condition that
                does not fit the model.
        """
        noise = self.sample_noise(n, temperature=temperature, seed=seed)
        return self.generate_from(
            noise,
            condition,
            guidance=guidance,
            guidance_interval=guidance_interval,
            num_steps=num_steps,
            solver=solver,
            batch_size=batch_size,
        )

    def sample_noise(
        self, n: int, *, temperature: float = 1.0, seed: int | None = None
    ) -> np.ndarray:
        """Samples the noise that images start from: NumPy array (n, h, w, c)."""
        n = check_integer("n", n, least=1)
        check_above_0("temperature", temperature)
        noise = keras.random.normal((n, *self.image_shape), seed=seed)
        return ops.convert_to_numpy(temperature * noise)

    def generate_from(
        self,
        noise: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        guidance: float = 1.0,
        guidance_interval: tuple[float, float] | None = None,
        num_steps: int = NUM_STEPS,
        solver: Literal["euler", "midpoint", "heun", "rk4"] = "heun",
        batch_size: int = 250,
    ) -> np.ndarray:
        """The images that start from given noise (n, h, w, c), as `generate`."""
        noise = self._checked_noise(noise)
        guide = self._checked_guidance(condition, guidance, guidance_interval)
        flow = self._checked_flow(solver, num_steps)
        encoded = self._condition(condition, len(noise))
        return self._in_batches(
            lambda x, *encoded: self._images(
                flow(x, encoded, guide, num_steps, 0.0, 1.0)
            ),
            batch_size,
            noise,
            *encoded,
        )

    def trajectory(
        self,
        noise: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        guidance: float = 1.0,
        guidance_interval: tuple[float, float] | None = None,
        num_steps: int = NUM_STEPS,
        solver: Literal["euler", "midpoint", "heun", "rk4"] = "heun",
    ) -> np.ndarray:
        """All states between noise and images, for pictures.

        Args:
            noise: Noise (n, h, w, c).
            condition: As for `generate`, and so are the other arguments.

        Returns:
            NumPy array (n, num_steps + 1, h, w, c): at times 0, 1/num_steps, …, 1,
            scaled as images are and cut to [0, 1].
        """
        noise = self._checked_noise(noise)
        guide = self._checked_guidance(condition, guidance, guidance_interval)
        flow = self._checked_flow(solver, num_steps)
        encoded = self._condition(condition, len(noise))
        states = [ops.convert_to_tensor(noise)]
        for i in range(num_steps):
            times = i / num_steps, (i + 1) / num_steps
            states.append(flow(states[-1], encoded, guide, 1, *times))
        images = [ops.convert_to_numpy(self._images(state)) for state in states]
        return np.stack(images, axis=1)

    def invert(
        self,
        images: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        num_steps: int = NUM_STEPS,
        solver: Literal["euler", "midpoint", "heun", "rk4"] = "heun",
        batch_size: int = 250,
    ) -> np.ndarray:
        """The noise from which images would be generated, by the flow backwards.

        Args:
            images: Images (n, h, w, c) in [0, 1].
            condition: Classes (n,), for a model with classes.
            num_steps, solver, batch_size: As for `generate`.

        Returns:
            NumPy array (n, h, w, c), near standard normal for images of the kind that
            the model was trained on.
        """
        images = checked_images(images, self.image_shape)
        flow = self._checked_flow(solver, num_steps)
        encoded = self._condition(condition, len(images))
        return self._in_batches(
            lambda x, *encoded: flow(
                self._dequantized(x, 0.5), encoded, [], num_steps, 1.0, 0.0
            ),
            batch_size,
            images,
            *encoded,
        )

    def _checked_noise(self, noise):
        noise = np.asarray(noise, "float32")
        if noise.shape[1:] != self.image_shape or not len(noise):
            raise ValueError(
                f"Expected noise of shape (n, {str(self.image_shape)[1:]}, at least "
                f"one. Received: noise of shape {noise.shape}"
            )
        return noise

    def _checked_guidance(self, condition, guidance, interval):
        """What `_guided_velocity` takes."""
        check_above_0("guidance", guidance)
        if guidance == 1:
            return []
        if condition is None:
            raise ValueError(
                "Guidance weights the class of each image. Expected a condition. "
                f"Received: condition=None, guidance={guidance}"
            )
        first, last = (0.0, 1.0) if interval is None else interval
        if not 0 <= first < last <= 1:
            raise ValueError(
                "Expected guidance_interval as two times 0 <= first < last <= 1. "
                f"Received: guidance_interval={interval!r}"
            )
        return [ops.convert_to_tensor(v, "float32") for v in (guidance, first, last)]

    def _checked_flow(self, solver, num_steps):
        check_choice("solver", solver, tuple(SOLVERS))
        check_integer("num_steps", num_steps, least=1)
        return self._flows[solver]

    def _in_batches(self, function, batch_size, *arrays):
        check_integer("batch_size", batch_size, least=1)
        parts = [
            function(*(ops.convert_to_tensor(a[i : i + batch_size]) for a in arrays))
            for i in range(0, len(arrays[0]), batch_size)
        ]
        return np.concatenate([ops.convert_to_numpy(part) for part in parts])

    # --- likelihood -----------------------------------------------------------

    def log_likelihood(
        self,
        x: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        num_steps: int = 32,
        solver: Literal["euler", "midpoint", "heun", "rk4"] = "heun",
        divergence: Literal["hutchinson", "exact"] = "hutchinson",
        num_samples: int = 1,
        seed: int = 0,
        batch_size: int = 100,
    ) -> np.ndarray:
        """log P of images of 256 levels, up to the errors named below.

        With z(t) the flow backwards from the standardized image at t = 1 to z(0),

            log p(z(1)) = log N(z(0); 0, I) − ∫ div v(z(t), t) dt.

        An image of integer levels k is dequantized: each pixel is (k + u)/256 with u
        uniform in [0, 1). Then log P(k) is at least the mean over u of
        log p − D·log(256·pixel_deviation), D the number of pixels and channels, and
        this is what is returned: a lower bound on average. Its errors are that of the
        solver, which falls with `num_steps`, and that of the samples of u and of the
        divergence's probe, which falls with `num_samples` and the number of images.

        Source: Grathwohl et al., *FFJORD*, arXiv:1810.01367, equations 3 and 8; Theis
        et al., arXiv:1511.01844, section 3.1, for the dequantization.

        Args:
            x: Images (n, h, w, c) in [0, 1], rounded to 256 levels.
            condition: Classes (n,), for a model with classes.
            num_steps, solver: As for `generate`; the flow is without guidance.
            divergence: `"hutchinson"`, an unbiased estimate from one random probe for
                each image, or `"exact"`, which takes D passes through the network.
            num_samples: Samples of u and of the probe for each image, averaged.
            seed: Integer seed of these samples.
            batch_size: Images at once.

        Returns:
            NumPy array (n,), nats per image.

        Raises:
            ValueError: For an argument outside the ranges above, or a condition that
                does not fit the model.
        """
        check_choice("divergence", divergence, DIVERGENCES)
        self._checked_flow(solver, num_steps)
        check_integer("num_samples", num_samples, least=1)
        check_integer("seed", seed, least=0)
        images = checked_images(x, self.image_shape)
        images = np.rint((LEVELS - 1) * images) / np.float32(LEVELS - 1)
        encoded = self._condition(condition, len(images))
        log_density = self._log_densities[solver, divergence]
        rng = np.random.default_rng(seed)
        total = np.zeros(len(images))
        for _ in range(num_samples):
            uniform = rng.random(images.shape, "float32")
            # Signs of equal probability have the least variance of all probes.
            probe = np.sign(rng.random(images.shape, "float32") - 0.5)
            total += self._in_batches(
                lambda x, u, probe, *encoded: log_density(
                    self._dequantized(x, u), probe, encoded, num_steps
                ),
                batch_size,
                images,
                uniform,
                probe,
                *encoded,
            )
        size = math.prod(self.image_shape)
        scale = size * math.log(LEVELS * self.pixel_deviation)
        return (total / num_samples - scale).astype("float32")

    def _log_density(self, solver, divergence, x, probe, condition, num_steps):
        """log p of standardized images (n,)."""

        def derivative(state, t):
            def velocity(x):
                return self.velocity(x, t, condition)

            if divergence == "exact":
                return list(exact(velocity, state[0]))
            return list(hutchinson(velocity, state[0], probe))

        state = [x, ops.zeros((ops.shape(x)[0],))]
        z, change = integrate(derivative, state, solver, num_steps, 1.0, 0.0)
        flat = ops.reshape(z, (-1, math.prod(self.image_shape)))
        return standard_normal_log_density(flat) + change

    # --- attention ------------------------------------------------------------

    def attention_maps(
        self, x: ArrayLike, t: float, condition: ArrayLike | None = None
    ) -> np.ndarray:
        """The network's attention map for images on their path.

        Args:
            x: States (n, h, w, c) at time t, standardized, such as noise.
            t: The time in [0, 1].
            condition: Classes (n,), for a model with classes.

        Returns:
            NumPy array (n, h/4, w/4, h/4, w/4), whose last two axes sum to 1.

        Raises:
            ValueError: If the model's attention is not `"self"`.
        """
        if self.attention != "self":
            raise ValueError(
                "Maps exist for attention='self'. Received: a model with "
                f"attention={self.attention!r}"
            )
        x = self._checked_noise(x)
        times = ops.full((len(x),), t)
        encoded = self._condition(condition, len(x))
        inputs = [ops.convert_to_tensor(x), times, *encoded]
        return attention_map(self.average, "attention", inputs)

    def gammas(self) -> dict[str, float]:
        """γ of the network's attention layer, if it has one, by the network's name."""
        return gammas({self.average: "attention"})

    def _exported_functions(self):
        def generate(noise, *condition):
            encoded = [self._encoded(classes) for classes in condition]
            end = self._flow("heun", noise, encoded, [], NUM_STEPS, 0.0, 1.0)
            return self._images(end)

        def velocity(images, times, *condition):
            encoded = [self._encoded(classes) for classes in condition]
            return self.average([images, times, *encoded])

        condition = self._condition_inputs()
        noise = tensor_input("noise", *self.image_shape)
        images = tensor_input("images", *self.image_shape)
        return {
            **super()._exported_functions(),
            "generate": ExportedFunction(self, generate, [noise, *condition]),
            "velocity": ExportedFunction(
                self, velocity, [images, tensor_input("times"), *condition]
            ),
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "attention": self.attention,
            "width": self.width,
            "pixel_mean": self.pixel_mean,
            "pixel_deviation": self.pixel_deviation,
            "label_dropout": self.label_dropout,
            "ema_decay": self.ema_decay,
        }
