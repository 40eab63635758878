"""What a flow generates: images from noise, and noise from images."""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import (
    as_array,
    check_above_0,
    check_choice,
    check_integer,
    checked_images,
    checked_seed,
    is_number,
)
from tfattn._typing import Tensor
from tfattn.models.compiling import compiled
from tfattn.models.flow.solvers import SOLVERS, integrate
from tfattn.models.generative import GenerativeModel

# Levels of a pixel.
LEVELS = 256
NUM_STEPS = 16


class FlowSampling(GenerativeModel):
    """The part of `AttentionFlow` that solves its equation.

    Attributes:
        average_network: The network of the velocity: a model of standardized images,
            times (n,), the encoded condition, if any, and what is visible, if it is
            trained to complete images.
        pixel_mean, pixel_deviation: By which pixels are standardized.
    """

    average_network: keras.Model
    pixel_mean: float
    pixel_deviation: float

    @functools.cached_property
    def _flows(self):
        return {
            solver: compiled(self, functools.partial(self._flow, solver))
            for solver in SOLVERS
        }

    # --- pixels ---------------------------------------------------------------

    def _dequantized(self, images, uniform):
        """Standardized pixels, uniform within the bins of the levels 0 to 255."""
        pixels = ((LEVELS - 1) * images + uniform) / LEVELS
        return (pixels - self.pixel_mean) / self.pixel_deviation

    def _images(self, x):
        """The inverse, at the middle of a bin, cut to [0, 1]."""
        pixels = self.pixel_mean + self.pixel_deviation * x
        return ops.clip((LEVELS * pixels - 0.5) / (LEVELS - 1), 0.0, 1.0)

    # --- the velocity ---------------------------------------------------------

    def velocity(
        self, x: Tensor, t: Tensor, condition: Sequence[Tensor] = ()
    ) -> Tensor:
        """The velocity of standardized images: tensor (n, h, w, c).

        Args:
            x: Tensor (n, h, w, c), standardized.
            t: The time, a scalar, or the time of each image (n,).
            condition: A list of the one-hot classes (n, num_classes) or of the words
                (n, max_words), see `TextEncoder`; empty for a model without a
                condition, or for the velocity without it. With `completes=True`, what
                is visible (n, h, w, c + 1) may follow, see `visible_part`.
        """
        return self.average_network(self._network_inputs(x, t, condition))

    def _network_inputs(self, x, t, condition):
        """With zeros for what is missing of the condition."""
        n = ops.shape(x)[0]
        times = ops.broadcast_to(ops.cast(t, "float32"), (n,))
        missing = [
            ops.zeros((n, *of_network.shape[1:]), of_network.dtype)
            for of_network in self.average_network.inputs[2 + len(condition) :]
        ]
        return [x, times, *condition, *missing]

    def _guided_velocity(self, x, t, condition, guidance):
        """With w the guidance: v(no condition) + w · (v(condition) − v(no condition)).

        What is visible is always given.

        Args:
            x, t, condition: As for `velocity`.
            guidance: Empty for none, or w and the times between which it is applied.
        """
        if not guidance:
            return self.velocity(x, t, condition)
        weight, first, last = guidance

        def guided():
            of_class, *visible = condition
            both = self.velocity(
                ops.concatenate([x, x]),
                t,
                [
                    ops.concatenate([of_class, ops.zeros_like(of_class)]),
                    *(ops.concatenate([given, given]) for given in visible),
                ],
            )
            with_it, without = ops.split(both, 2)
            return without + weight * (with_it - without)

        return ops.cond(
            ops.logical_and(first <= t, t <= last),
            guided,
            lambda: self.velocity(x, t, condition),
        )

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
                midpoint rule and for Heun's method, 4 for `"rk4"`; where there is
                guidance twice as many.
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
        noise = keras.random.normal((n, *self.image_shape), seed=checked_seed(seed))
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
        noise, encoded, flow, num_steps = self._start(
            noise, condition, guidance, guidance_interval, solver, num_steps
        )
        return self._in_batches(
            lambda x, *encoded: self._images(flow(x, encoded, num_steps, 0.0, 1.0)),
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
        noise, encoded, flow, num_steps = self._start(
            noise, condition, guidance, guidance_interval, solver, num_steps
        )
        states = [ops.convert_to_tensor(noise)]
        for i in range(num_steps):
            times = i / num_steps, (i + 1) / num_steps
            states.append(flow(states[-1], encoded, 1, *times))
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
        flow, num_steps = self._checked_flow(solver, num_steps)
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

    def _start(self, noise, condition, guidance, interval, solver, num_steps):
        """The checked noise, its encoded condition, the guided flow, its steps."""
        noise = self._checked_noise(noise)
        guide = self._checked_guidance(condition, guidance, interval)
        flow, num_steps = self._checked_flow(solver, num_steps)

        def guided(x, encoded, num_steps, start, end):
            return flow(x, encoded, guide, num_steps, start, end)

        return noise, self._condition(condition, len(noise)), guided, num_steps

    def _checked_noise(self, noise):
        noise = as_array(noise, "float32")
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
        if not _is_interval(interval):
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
        first, last = interval
        if last == 1:  # the last stage of a step may be past 1 by rounding
            last = np.inf
        return [ops.convert_to_tensor(v, "float32") for v in (guidance, first, last)]

    def _checked_flow(self, solver, num_steps):
        check_choice("solver", solver, tuple(SOLVERS))
        return self._flows[solver], check_integer("num_steps", num_steps, least=1)


def _is_interval(times):
    """Whether these are two times, the first before the last."""
    if not isinstance(times, tuple | list) or len(times) != 2:
        return False
    return all(map(is_number, times)) and 0 <= times[0] < times[1] <= 1
