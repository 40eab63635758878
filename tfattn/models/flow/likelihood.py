"""What a flow says about images: their log-likelihood, and a bound on it."""

import functools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tfattn._checks import check_choice, check_integer, checked_images
from tfattn.models.compiling import compiled
from tfattn.models.flow.densities import (
    LOG_SNR,
    log_density,
    log_density_bound,
)
from tfattn.models.flow.sampling import LEVELS, FlowSampling
from tfattn.models.flow.solvers import SOLVERS

DIVERGENCES = ("hutchinson", "exact")


class FlowLikelihood(FlowSampling):
    """The part of `AttentionFlow` that measures images.

    Attributes:
        objective: `"samples"` or `"likelihood"`.
    """

    objective: str

    @functools.cached_property
    def _log_densities(self):
        return {
            (solver, divergence): compiled(
                self, functools.partial(self._log_density, solver, divergence)
            )
            for solver in SOLVERS
            for divergence in DIVERGENCES
        }

    @functools.cached_property
    def _bound(self):
        return compiled(self, self._log_density_bound)

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
        _, num_steps = self._checked_flow(solver, num_steps)
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
            lambda x, t: self.velocity(x, t, condition), x, noise, log_snr
        )
