"""Densities of a flow: by its equation backwards, and a bound that needs none.

With t a time on the path x_t = (1 − t) ε + t x, σ = (1 − t)/t is the noise relative to
the image, and λ = −2 log σ is the logarithm of the ratio of signal to noise.
"""

import math
from collections.abc import Callable

from keras import ops

from tfattn._typing import Tensor
from tfattn.densities import standard_normal_log_density
from tfattn.models.flow.divergence import exact, hutchinson
from tfattn.models.flow.solvers import integrate

# The λ between which a flow is trained for its likelihood: at the upper end the noise
# is a tenth of a level of a pixel, at the lower one fifty times an image.
LOG_SNR = (-8.0, 14.0)

Velocity = Callable[[Tensor, Tensor], Tensor]


def time_at(log_snr: Tensor) -> Tensor:
    """The time t at which the log signal-to-noise ratio is λ: 1/(1 + e^(−λ/2))."""
    return ops.sigmoid(log_snr / 2)


def log_density(
    velocity: Velocity,
    x: Tensor,
    probe: Tensor,
    *,
    solver: str,
    divergence: str,
    num_steps: int | Tensor,
    even_in_log_snr: bool,
) -> Tensor:
    """log p of images: log N(z; 0, I) − ∫ div v dt, with z the flow's start.

    Source: Grathwohl et al., *FFJORD*, arXiv:1810.01367, equations 3 and 8.

    Args:
        velocity: Function of images (n, ...) and a time, a scalar.
        x: Images (n, ...), at t = 1.
        probe: Signs of the shape of x, for `"hutchinson"`.
        solver: A name in `SOLVERS`.
        divergence: `"hutchinson"` or `"exact"`.
        num_steps: Number of steps from t = 1 to t = 0.
        even_in_log_snr: Whether the steps are equal in λ, between one step from t = 1
            and one to t = 0, instead of equal in t. They resolve the levels of pixels.

    Returns:
        Tensor (n,), nats.
    """

    def slope(state, t):
        def at_t(x):
            return velocity(x, t)

        if divergence == "exact":
            return list(exact(at_t, state[0]))
        return list(hutchinson(at_t, state[0], probe))

    def slope_in_log_snr(state, log_snr):
        t = time_at(log_snr)
        return [t * (1 - t) / 2 * part for part in slope(state, t)]

    state = [x, ops.zeros((ops.shape(x)[0],))]
    if even_in_log_snr:
        lowest, highest = LOG_SNR
        first, last = (1 / (1 + math.exp(-end / 2)) for end in LOG_SNR)
        state = integrate(slope, state, solver, 1, 1.0, last)
        state = integrate(slope_in_log_snr, state, solver, num_steps, highest, lowest)
        state = integrate(slope, state, solver, 1, first, 0.0)
    else:
        state = integrate(slope, state, solver, num_steps, 1.0, 0.0)
    z, change = state
    flat = ops.reshape(z, (-1, math.prod(x.shape[1:])))
    return standard_normal_log_density(flat) + change


def log_density_bound(
    velocity: Velocity, x: Tensor, noise: Tensor, log_snr: Tensor
) -> Tensor:
    """A sample whose mean is a lower bound of the log-density of images.

    For the model that goes from noise to the image along the stochastic process with
    the same distributions as the flow's path, the bound is

        −log p(x) ≤ KL(q(x_t₀ | x) ‖ p(x_t₀)) + ½ ∫ E‖ε − ε̂‖² dλ + E[−log p(x | x_t₁)]

    with ε̂ = x_t − t·v(x_t, t), λ over `LOG_SNR`, t₀ and t₁ the times at its ends,
    p(x_t₀) normal with mean 0 and variance t₀² + (1 − t₀)², and p(x | x_t₁) normal
    around x_t₁/t₁ with deviation (1 − t₁)/t₁.

    Source: Kingma et al., *Variational Diffusion Models*, arXiv:2107.00630, equations
    11 and 17.

    Args:
        velocity: Function of images (n, ...) and times (n,).
        x: Images (n, ...).
        noise: Standard normal, of the shape of the images.
        log_snr: λ of each image (n,), uniform over `LOG_SNR`.

    Returns:
        Tensor (n,), nats.
    """
    lowest, highest = LOG_SNR
    shape = (-1, *[1] * (len(x.shape) - 1))
    axes = tuple(range(1, len(x.shape)))
    t = time_at(log_snr)
    wide = ops.reshape(t, shape)
    on_path = (1 - wide) * noise + wide * x
    found = on_path - wide * velocity(on_path, t)
    error = ops.sum(ops.square(noise - found), axis=axes)

    first = 1 / (1 + math.exp(-lowest / 2))
    variance = first**2 + (1 - first) ** 2
    start = (first**2 * ops.square(x) + (1 - first) ** 2) / variance
    start = ops.sum(start - 1 + math.log(variance / (1 - first) ** 2), axis=axes) / 2
    end = (math.log(2 * math.pi) - highest + 1) / 2 * math.prod(x.shape[1:])
    return -(start + (highest - lowest) / 2 * error + end)
