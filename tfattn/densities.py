"""Log densities of vectors and images, in nats."""

import math

from keras import ops


def standard_normal_log_density(z):
    """log N(z; 0, I), summed over the last axis.

    Args:
        z: Tensor (..., d).

    Returns:
        Tensor (...).
    """
    return -0.5 * ops.sum(ops.square(z) + math.log(2 * math.pi), axis=-1)


def gaussian_log_density(noise, log_variance):
    """log N(z; mean, σ²) at z = mean + σ·noise, summed over the last axis.

    Args:
        noise: Tensor (..., d).
        log_variance: log σ², broadcast against `noise`.

    Returns:
        Tensor (...).
    """
    return standard_normal_log_density(noise) - 0.5 * ops.sum(log_variance, axis=-1)


def bernoulli_log_density(x, logits):
    """log p(x) of independent binary pixels, summed over the last three axes.

    Args:
        x: Binary images (..., h, w, c).
        logits: log p(1)/p(0) of each pixel, broadcast against `x`.

    Returns:
        Tensor (...).
    """
    return ops.sum(x * logits - ops.softplus(logits), axis=(-3, -2, -1))
