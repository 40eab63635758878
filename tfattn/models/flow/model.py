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
    check_fraction,
    check_integer,
    check_share,
    checked_images,
    checked_partly_visible,
)
from tfattn._typing import Tensor
from tfattn.models.attention import attention_map, check_has_map, gammas
from tfattn.models.averaging import averaged_copy, move_average
from tfattn.models.compiling import compiled
from tfattn.models.exporting import ExportedFunction, tensor_input
from tfattn.models.flow.dit import DEPTH, block_attention_map, build_dit
from tfattn.models.flow.inpainting import inpaint, num_passes
from tfattn.models.flow.likelihood import (
    LOG_SNR,
    Draws,
    log_density,
    log_density_bound,
    time_at,
)
from tfattn.models.flow.solvers import SOLVERS, integrate
from tfattn.models.flow.unet import build_unet
from tfattn.models.generative import GenerativeModel
from tfattn.models.replicas import drawn

# Levels of a pixel, for likelihoods.
LEVELS = 256
DIVERGENCES = ("hutchinson", "exact")
NETWORKS = {"unet": build_unet, "dit": build_dit}
OBJECTIVES = {"samples": "velocity_error", "likelihood": "noise_error"}
NUM_STEPS = 16


@keras.saving.register_keras_serializable(package="tfattn")
class AttentionFlow(GenerativeModel):
    """Rectified flow from noise to images, by a network with attention.

    With x₁ an image whose pixels are standardized, ε standard normal noise, y an
    optional class or text and t a time in [0, 1]:

    1. path: x_t = (1 − t) ε + t x₁, whose velocity is x₁ − ε
    2. network: v(x_t, t, y), trained to predict the velocity; what it learns is the
       mean of all velocities that pass through x_t at t
    3. generation: dx/dt = v(x, t, y) from noise at t = 0 to an image at t = 1

    In training, t is sigmoid(n) with n standard normal, and the loss is the mean of the
    squared error of the velocity. With `objective="likelihood"`, log(t²/(1 − t)²) is
    uniform and the loss is the error of the noise, t² times that of the velocity: up to
    a factor the bound on log p that `log_likelihood_bound` gives. Each image loses its
    class or text with probability `label_dropout`, so that the network also learns the
    velocity without it, which `guidance` needs. An exponential moving average of the
    network, never the trained network itself, generates and measures.

    After `compile(optimizer)`, training is `fit(x)`, or `fit(x, condition)`,
    with x in [0, 1]. Metrics of `compile` compare the images with the estimates of them
    that the network's velocity gives.

    Source: Liu et al., *Flow Straight and Fast*, arXiv:2209.03003, equation 1; Lipman
    et al., *Flow Matching for Generative Modeling*, arXiv:2210.02747; Esser et al.,
    arXiv:2403.03206, section 3.1, for the times; Kingma et al., *Variational Diffusion
    Models*, arXiv:2107.00630, equation 18, for the other objective; Ho & Salimans,
    *Classifier-Free Diffusion Guidance*, arXiv:2207.12598.

    Args:
        image_shape: (h, w, c), h and w divisible by 4.
        num_classes: Number of classes, or `None` for no class condition.
        vocabulary: Words that a text may hold, or `None` for no condition by texts.
            With them, each position of the U-Net at (h/4, w/4) attends to the words of
            the text, see `word_attention_maps`.
        max_words: Largest number of words in a text, with a vocabulary.
        network: `"unet"`, convolutions on 2×2 patches with attention at (h/4, w/4), or
            `"dit"`, a Transformer over 4×4 patches, see `build_dit`.
        attention: `"self"`, or a control: `"residual"` and `"uniform"`, of about as
            many parameters, and `None`.
        width: Channels of the U-Net at (h/2, w/2), divisible by 8; twice as many at
            (h/4, w/4), and four times as many in the Transformer.
        objective: `"samples"`, for images that look right, or `"likelihood"`, for a
            high log p: such a network also sees waves as short as a pixel's level.
        pixel_mean: Mean of a pixel, in [0, 1], which becomes 0.
        pixel_deviation: Standard deviation of a pixel, above 0, which becomes 1.
        label_dropout: Share of the images that are trained without their class or text.
        ema_decay: Decay of the moving average, in [0, 1). Early on the average is
            shorter: the decay is at most (1 + s)/(10 + s) in step s.
        seed: Seed of the draws in training.

    Call arguments:
        inputs: Images (n, h, w, c) in [0, 1], or with a condition (images, classes (n,)
            or words (n, max_words), see `TextEncoder`).

    Output:
        Dictionary of the `images`, of their `estimates` (n, h, w, c) and of the
        `velocity_error` (n,): the mean over the pixels of the squared error; or for
        `objective="likelihood"` of the `noise_error` (n,).

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
        vocabulary: Sequence[str] | None = None,
        max_words: int | None = None,
        network: Literal["unet", "dit"] = "unet",
        attention: Literal["self", "residual", "uniform"] | None = "self",
        width: int = 32,
        objective: Literal["samples", "likelihood"] = "samples",
        pixel_mean: float = 0.5,
        pixel_deviation: float = 0.5,
        label_dropout: float = 0.1,
        ema_decay: float = 0.999,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, num_classes, seed, divisor=4, **kwargs)
        check_choice("network", network, NETWORKS)
        _check_condition(num_classes, vocabulary, max_words, network)
        check_choice("attention", attention, self.ATTENTIONS)
        check_choice("objective", objective, OBJECTIVES)
        width = check_integer("width", width, least=8, divisor=8)
        check_above_0("pixel_deviation", pixel_deviation)
        check_share("label_dropout", label_dropout)
        check_share("ema_decay", ema_decay)
        self.vocabulary = vocabulary and tuple(vocabulary)
        if max_words is not None:
            max_words = check_integer("max_words", max_words, least=1)
        self.max_words = max_words
        self.network = network
        self.attention = attention
        self.width = width
        self.objective = objective
        self.LOSS_TERMS = (OBJECTIVES[objective],)
        self.pixel_mean = pixel_mean
        self.pixel_deviation = pixel_deviation
        self.label_dropout = label_dropout
        self.ema_decay = ema_decay
        # Half precision would round the noise on the path, and the time.
        self.autocast = False

        pixels = None
        if objective == "likelihood":
            pixels = (pixel_mean, pixel_deviation)
        of_texts = {}
        if vocabulary is not None:
            of_texts = {"vocabulary": vocabulary, "max_words": max_words}
        build = functools.partial(
            NETWORKS[network],
            self.image_shape,
            num_classes,
            width,
            attention,
            pixels=pixels,
            **of_texts,
        )
        with self._settings(self.dtype_policy):
            self.trained_network = build(name="network")
        self.trained_network.autocast = False
        # It generates and measures: never in half precision.
        with self._settings(self.variable_dtype):
            average = build(name="average")
        self.average_network = averaged_copy(self.trained_network, average)
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
        self._bound = compiled(self, self._log_density_bound)
        self._inpaint = compiled(self, self._inpainted)
        self.built = True

    def _averages(self):
        return [self.average_network]

    # --- training -------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        images, condition = self._split(inputs)
        images = ops.cast(images, "float32")
        uniform = drawn(keras.random.uniform, ops.shape(images), self.seed_generator)
        x = self._dequantized(images, uniform)
        n = ops.shape(x)[0]
        noise = drawn(keras.random.normal, ops.shape(x), self.seed_generator)
        t = time_at(self._log_snr(n))
        network = self.average_network
        if training:
            network = self.trained_network
            # As the last step has left it.
            move_average(
                self.average_network, network, self.ema_decay, self.num_averaged
            )
            self.num_averaged.assign_add(1.0)
            condition = [self._without_some_labels(labels) for labels in condition]
        on_path = noise + t[:, None, None, None] * (x - noise)
        velocity = ops.cast(network([on_path, t, *condition]), "float32")
        error = ops.mean(ops.square(velocity - (x - noise)), axis=(1, 2, 3))
        if self.objective == "likelihood":
            error = ops.square(t) * error
        estimates = on_path + (1 - t[:, None, None, None]) * velocity
        return {
            "images": images,
            "estimates": self._images(estimates),
            self.LOSS_TERMS[0]: error,
        }

    def _log_snr(self, n):
        """λ = log(t²/(1 − t)²) of n images in training."""
        if self.objective == "samples":
            return 2 * drawn(keras.random.normal, (n,), self.seed_generator)
        # Spread evenly over a batch, which makes its loss vary less.
        first = drawn(keras.random.uniform, (1,), self.seed_generator)
        places = ops.arange(n, dtype="float32") / ops.cast(n, "float32")
        lowest, highest = LOG_SNR
        return lowest + (highest - lowest) * ops.mod(first + places, 1.0)

    def _without_some_labels(self, labels):
        """One-hot classes or words (n, any), some of them zeros, image by image."""
        numbers = drawn(
            keras.random.uniform, (ops.shape(labels)[0], 1), self.seed_generator
        )
        return labels * ops.cast(numbers >= self.label_dropout, labels.dtype)

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
            t: The time, a scalar, or the time of each image (n,).
            condition: A list of the one-hot classes (n, num_classes) or of the words
                (n, max_words), see `TextEncoder`; empty for a model without a
                condition, or for the velocity without it.
        """
        n = ops.shape(x)[0]
        times = ops.broadcast_to(ops.cast(t, "float32"), (n,))
        if not condition:
            condition = [
                ops.zeros((n, *given.shape[1:]), given.dtype)
                for given in self.average_network.inputs[2:]
            ]
        return self.average_network([x, times, *condition])

    def _guided_velocity(self, x, t, condition, guidance):
        """With w the guidance: v(no condition) + w · (v(condition) − v(no condition)).

        Args:
            x, t, condition: As for `velocity`.
            guidance: Empty for none, or w and the times between which it is applied.
        """
        if not guidance:
            return self.velocity(x, t, condition)
        weight, first, last = guidance
        both = self.velocity(
            ops.concatenate([x, x]),
            t,
            [ops.concatenate([given, ops.zeros_like(given)]) for given in condition],
        )
        with_it, without = ops.split(both, 2)
        weight = ops.where(ops.logical_and(first <= t, t <= last), weight, 1.0)
        return without + weight * (with_it - without)

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
        condition: Sequence[str] | ArrayLike | None = None,
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
            condition: Classes (n,) or texts (n), for a model with a condition.
            guidance: Weight w of the condition: 1 follows the model, above 1 images
                show their class or text more clearly and vary less. Above 0.
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
        condition: Sequence[str] | ArrayLike | None = None,
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
        condition: Sequence[str] | ArrayLike | None = None,
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
        x: ArrayLike,
        condition: Sequence[str] | ArrayLike | None = None,
        *,
        num_steps: int = NUM_STEPS,
        solver: Literal["euler", "midpoint", "heun", "rk4"] = "heun",
        batch_size: int = 250,
    ) -> np.ndarray:
        """The noise from which images would be generated, by the flow backwards.

        Args:
            x: Images (n, h, w, c) in [0, 1].
            condition: Classes (n,) or texts (n), for a model with a condition.
            num_steps, solver, batch_size: As for `generate`.

        Returns:
            NumPy array (n, h, w, c), near standard normal for images of the kind that
            the model was trained on.
        """
        x = checked_images(x, self.image_shape)
        flow = self._checked_flow(solver, num_steps)
        encoded = self._condition(condition, len(x))
        return self._in_batches(
            lambda x, *encoded: flow(
                self._dequantized(x, 0.5), encoded, [], num_steps, 1.0, 0.0
            ),
            batch_size,
            x,
            *encoded,
        )

    def interpolate(
        self,
        x_from: ArrayLike,
        x_to: ArrayLike,
        condition: Sequence[str] | ArrayLike | None = None,
        *,
        num_points: int,
        num_steps: int = NUM_STEPS,
        solver: Literal["euler", "midpoint", "heun", "rk4"] = "heun",
        batch_size: int = 250,
    ) -> np.ndarray:
        """Walks from one image to another, from noise to noise.

        The path turns from the noise of the one to that of the other at an even speed,
        where a straight line would pass through noise that is too weak to be noise.

        Source: Shoemake, *Animating rotation with quaternion curves*, SIGGRAPH 1985,
        section 3.3 (spherical linear interpolation).

        Args:
            x_from: Images (n, h, w, c) in [0, 1].
            x_to: Images of the same shape.
            condition: Classes (n,) or texts (n) of both ends, for a model with a
                condition.
            num_points: Number of images on each path, both ends included.
            num_steps, solver, batch_size: As for `generate`.

        Returns:
            NumPy array (n, num_points, h, w, c) in [0, 1].

        Raises:
            ValueError: For images of different numbers, or as `invert`.
        """
        num_points = check_integer("num_points", num_points, least=2)
        if np.shape(x_from) != np.shape(x_to):
            raise ValueError(
                "Expected x_from and x_to of one shape. Received: x_from of shape "
                f"{np.shape(x_from)}, x_to of shape {np.shape(x_to)}"
            )
        solving: Any = {
            "num_steps": num_steps,
            "solver": solver,
            "batch_size": batch_size,
        }
        ends = [self.invert(x, condition, **solving) for x in (x_from, x_to)]
        start, end = (z.reshape(len(z), -1).astype("float64") for z in ends)
        lengths = np.linalg.norm(start, axis=1) * np.linalg.norm(end, axis=1)
        cosine = np.clip(np.sum(start * end, axis=1) / lengths, -1.0, 1.0)
        # Equal ends have no angle, and their path no length.
        angle = np.maximum(np.arccos(cosine), 1e-6)[:, None]
        points = []
        for share in np.linspace(0.0, 1.0, num_points):
            weights = np.sin((1 - share) * angle), np.sin(share * angle)
            z = (weights[0] * start + weights[1] * end) / np.sin(angle)
            noise = z.reshape(ends[0].shape)
            points.append(self.generate_from(noise, condition, **solving))
        return np.stack(points, axis=1)

    def complete(
        self,
        images: ArrayLike,
        visible: ArrayLike,
        *,
        condition: Sequence[str] | ArrayLike | None = None,
        num_samples: int = 1,
        guidance: float = 1.0,
        guidance_interval: tuple[float, float] | None = None,
        num_steps: int = NUM_STEPS,
        num_resamplings: int = 4,
        temperature: float = 1.0,
        seed: int | None = None,
        batch_size: int = 250,
    ) -> np.ndarray:
        """Samples the hidden pixels of images, given the visible ones (inpainting).

        Any pixels may be visible: a part of the image, or every second one, which is
        super-resolution. The model needs no training for it. The samples are
        approximate, and fit the visible pixels better with more resamplings: see
        `tfattn.models.flow.inpainting.inpaint`.

        Args:
            images: Images (n, h, w, c) in [0, 1]; hidden pixels are ignored.
            visible: Boolean array (h, w) or (n, h, w), `True` where a pixel is known;
                each image needs both kinds.
            condition: Classes (n,) or texts (n), for a model with a condition.
            num_samples: Completions of each image.
            guidance, guidance_interval: As for `generate`.
            num_steps: Steps from noise to images. Each visit of a step takes one pass
                through the network, with guidance two.
            num_resamplings: How often each step but the last is repeated.
            temperature: Standard deviation of the noise of the hidden pixels.
            seed: Integer; the same seed gives the same completions.
            batch_size: Completions computed at once.

        Returns:
            NumPy array (n, num_samples, h, w, c) in [0, 1]; visible pixels are those
            of `images`, bit by bit.

        Raises:
            ValueError: For an argument outside the ranges above, images of another
                shape, with NaN or outside [0, 1], a mask of another shape or type, one
                that is all visible or all hidden, or a condition that does not fit the
                model.
        """
        num_samples = check_integer("num_samples", num_samples, least=1)
        num_steps = check_integer("num_steps", num_steps, least=1)
        num_resamplings = check_integer("num_resamplings", num_resamplings, least=0)
        check_above_0("temperature", temperature)
        guide = self._checked_guidance(condition, guidance, guidance_interval)
        images = checked_images(images, self.image_shape)
        visible = checked_partly_visible(visible, len(images), self.image_shape)
        encoded = self._condition(condition, len(images))
        images, visible = (np.repeat(a, num_samples, axis=0) for a in (images, visible))
        deviation = np.where(visible, 1, temperature).astype("float32")
        size = (1 + num_passes(num_steps, num_resamplings), *self.image_shape)
        rng = np.random.default_rng(seed)

        def inpainted(x, visible, deviation, *encoded):
            # Image after image, so that no sample depends on the size of the batch.
            noise = ops.convert_to_tensor(
                rng.standard_normal((len(x), *size), "float32")
            )
            noise = deviation[:, None] * noise
            return self._inpaint(
                x, visible, noise, encoded, guide, num_steps, num_resamplings
            )

        completions = self._in_batches(
            inpainted,
            batch_size,
            images,
            visible,
            deviation,
            *(ops.repeat(part, num_samples, axis=0) for part in encoded),
        )
        completions = np.where(visible, images, completions)
        return completions.reshape(-1, num_samples, *self.image_shape)

    def _inpainted(
        self, images, visible, noise, condition, guidance, num_steps, num_resamplings
    ):
        x = inpaint(
            lambda x, t: self._guided_velocity(x, t, condition, guidance),
            self._dequantized(images, 0.5),
            visible,
            noise,
            num_steps,
            num_resamplings,
        )
        return self._images(x)

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
        interval = (0.0, 1.0) if interval is None else interval
        if (
            not isinstance(interval, tuple | list)
            or len(interval) != 2
            or not 0 <= interval[0] < interval[1] <= 1
        ):
            raise ValueError(
                "Expected guidance_interval as two times 0 <= first < last <= 1. "
                f"Received: guidance_interval={interval!r}"
            )
        if guidance == 1:
            return []
        if condition is None:
            raise ValueError(
                "Guidance weights the class or text. Expected a condition. "
                f"Received: condition=None, guidance={guidance}"
            )
        return [ops.convert_to_tensor(v, "float32") for v in (guidance, *interval)]

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
        condition: Sequence[str] | ArrayLike | None = None,
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
            condition: Classes (n,) or texts (n), for a model with a condition.
            num_steps: Steps of the solver, equal in t, or for `objective="likelihood"`
                in log(t²/(1 − t)²).
            solver: As for `generate`; the flow is without guidance.
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
        density = self._log_densities[solver, divergence]

        def draw(rng, shape):
            # Signs of equal probability have the least variance of all probes.
            return [np.sign(rng.random(shape, "float32") - 0.5)]

        return self._mean_log_density(
            lambda x, encoded, probe: density(x, encoded, probe, num_steps),
            draw,
            x,
            condition,
            num_samples,
            seed,
            batch_size,
        )

    def log_likelihood_bound(
        self,
        x: ArrayLike,
        condition: Sequence[str] | ArrayLike | None = None,
        *,
        num_samples: int = 32,
        seed: int = 0,
        batch_size: int = 100,
    ) -> np.ndarray:
        """A lower bound on log P of images of 256 levels, without solving an equation.

        The variational bound of the stochastic process that has the same distributions
        at all times as the flow, for images dequantized as in `log_likelihood`. A
        sample takes one pass through the network, at one time; only the mean over
        samples is a bound. It is meant for `objective="likelihood"`: other training
        never sees the times near 0 and 1 that it covers, and leaves it loose.

        Source: Kingma et al., *Variational Diffusion Models*, arXiv:2107.00630,
        equations 11 and 17.

        Args:
            x: Images (n, h, w, c) in [0, 1], rounded to 256 levels.
            condition: Classes (n,) or texts (n), for a model with a condition.
            num_samples: Times for each image, spread evenly in log(t²/(1 − t)²).
            seed: Integer seed of the times, of the noise and of the dequantization.
            batch_size: Images at once.

        Returns:
            NumPy array (n,), nats per image.

        Raises:
            ValueError: For an argument outside the ranges above, or a condition that
                does not fit the model.
        """
        lowest, highest = LOG_SNR
        places = iter(range(check_integer("num_samples", num_samples, least=1)))

        def draw(rng, shape):
            share = (next(places) + rng.random(shape[0], "float32")) / num_samples
            log_snr = lowest + (highest - lowest) * share
            return [rng.standard_normal(shape, "float32"), log_snr]

        return self._mean_log_density(
            self._bound, draw, x, condition, num_samples, seed, batch_size
        )

    def _mean_log_density(
        self, density, draw, x, condition, num_samples, seed, batch_size
    ):
        """Mean over samples of the log-density of dequantized images, as log P (n,).

        Args:
            density: Function of standardized images, encoded condition and draws.
            draw: Function of a NumPy generator and the images' shape; returns arrays.
        """
        check_integer("num_samples", num_samples, least=1)
        check_integer("seed", seed, least=0)
        images = checked_images(x, self.image_shape)
        images = np.rint((LEVELS - 1) * images) / np.float32(LEVELS - 1)
        encoded = self._condition(condition, len(images))
        rng = np.random.default_rng(seed)
        total = np.zeros(len(images))
        for _ in range(num_samples):
            uniform = rng.random(images.shape, "float32")
            total += self._in_batches(
                lambda x, u, *rest: density(
                    self._dequantized(x, u), rest[: len(encoded)], *rest[len(encoded) :]
                ),
                batch_size,
                images,
                uniform,
                *encoded,
                *draw(rng, images.shape),
            )
        scale = math.prod(self.image_shape) * math.log(LEVELS * self.pixel_deviation)
        return (total / num_samples - scale).astype("float32")

    def _log_density(self, solver, divergence, x, condition, probe, num_steps):
        """log p of standardized images (n,)."""
        return log_density(
            lambda x, t: self.velocity(x, t, condition),
            x,
            probe,
            solver=solver,
            divergence=divergence,
            num_steps=num_steps,
            even_in_log_snr=self.objective == "likelihood",
        )

    def _log_density_bound(self, x, condition, noise, log_snr):
        return log_density_bound(
            lambda x, t: self.velocity(x, t, condition), x, Draws(noise, log_snr)
        )

    # --- attention ------------------------------------------------------------

    def attention_maps(
        self, x: ArrayLike, t: float, condition: Sequence[str] | ArrayLike | None = None
    ) -> np.ndarray:
        """The network's attention map for images on their path.

        Args:
            x: States (n, h, w, c) at time t, standardized, such as noise.
            t: The time in [0, 1].
            condition: Classes (n,) or texts (n), for a model with a condition.

        Returns:
            NumPy array (n, h/4, w/4, h/4, w/4), whose last two axes sum to 1; of a
            Transformer that of its middle layer, the mean over the heads.

        Raises:
            ValueError: If the model's attention is not `"self"`, or t is not in [0, 1].
        """
        check_has_map(self.attention, ["self"])
        inputs = self._inputs_at(x, t, condition)
        if self.network == "dit":
            return block_attention_map(self.average_network, DEPTH // 2, inputs)
        return attention_map(self.average_network, "attention", inputs)

    def word_attention_maps(
        self, x: ArrayLike, t: float, condition: Sequence[str]
    ) -> np.ndarray:
        """Which words the positions of images on their path attend to.

        Args:
            x: States (n, h, w, c) at time t, standardized, such as noise.
            t: The time in [0, 1].
            condition: Texts (n).

        Returns:
            NumPy array (n, heads, h/4, w/4, max_words), words in the order of the text,
            and 0 where it has none. What the last axis lacks to a sum of 1 goes to the
            null vector, which stands for no word.

        Raises:
            ValueError: If the model has no condition by texts, or t is not in [0, 1].
        """
        if self.vocabulary is None:
            raise ValueError(
                "Maps of words exist for a model with a vocabulary. Received: a model "
                "with vocabulary=None"
            )
        inputs = self._inputs_at(x, t, condition)
        attention = self.average_network.get_layer("word_attention")
        query, words, mask = keras.Model(self.average_network.inputs, attention.input)(
            inputs
        )
        _, maps = attention(query, words, value_mask=mask, return_attention_scores=True)
        h, w, _ = self.image_shape
        maps = ops.convert_to_numpy(maps)[..., 1:]
        return maps.reshape(*maps.shape[:2], h // 4, w // 4, self.max_words)

    def _inputs_at(self, x, t, condition):
        """The network's inputs for states that are all at one time."""
        x = self._checked_noise(x)
        check_fraction("t", t)
        encoded = self._condition(condition, len(x))
        return [ops.convert_to_tensor(x), ops.full((len(x),), float(t)), *encoded]

    def gammas(self) -> dict[str, float]:
        """γ of the network's attention layer, if it has one, by the network's name."""
        if self.network == "dit":
            return {}
        return gammas({self.average_network: "attention"})

    # --- texts ----------------------------------------------------------------

    def _checked_condition(self, condition, n):
        """Classes (n,), or words (n, max_words) as numbers; `None` without either."""
        if self.vocabulary is None:
            return super()._checked_condition(condition, n)
        return self._text_encoder.checked_words(condition, n)

    def _converted_in_graph(self, y):
        return y if self.vocabulary is None else self._text_encoder.words_in_graph(y)

    def _encoded(self, condition):
        """Classes one-hot (n, num_classes), or words (n, max_words)."""
        if self.vocabulary is None:
            return super()._encoded(condition)
        return ops.cast(condition, "int32")

    @property
    def _text_encoder(self):
        return self.average_network.get_layer("text_encoder")

    def _condition_inputs(self):
        if self.max_words is None:
            return super()._condition_inputs()
        return [tensor_input("condition", self.max_words, dtype="int32")]

    # --- export and files -----------------------------------------------------

    def _exported_functions(self):
        def generate(noise, *condition):
            encoded = [self._encoded(classes) for classes in condition]
            end = self._flow("heun", noise, encoded, [], NUM_STEPS, 0.0, 1.0)
            return self._images(end)

        def velocity(images, times, *condition):
            encoded = [self._encoded(classes) for classes in condition]
            return self.average_network([images, times, *encoded])

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
            "vocabulary": self.vocabulary,
            "max_words": self.max_words,
            "network": self.network,
            "attention": self.attention,
            "width": self.width,
            "objective": self.objective,
            "pixel_mean": self.pixel_mean,
            "pixel_deviation": self.pixel_deviation,
            "label_dropout": self.label_dropout,
            "ema_decay": self.ema_decay,
        }


def _check_condition(num_classes, vocabulary, max_words, network):
    """ValueError unless the arguments of the condition go together."""
    given = {
        "num_classes": num_classes,
        "vocabulary": vocabulary,
        "max_words": max_words,
    }
    found = [name for name, value in given.items() if value is not None]
    if found not in ([], ["num_classes"], ["vocabulary", "max_words"]):
        raise ValueError(
            "Expected num_classes, or vocabulary and max_words, or nothing as the "
            f"condition. Received: {found}"
        )
    if vocabulary is not None and network != "unet":
        raise ValueError(
            f"Expected network='unet' with a vocabulary. Received: network={network!r}"
        )
