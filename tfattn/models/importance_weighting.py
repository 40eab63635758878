"""Bounds on log p(x) from draws of the latent, in memory that the draws do not fill."""

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from tfattn._checks import check_integer
from tfattn._typing import Tensor


def bounds(
    log_weights: Callable[..., Tensor],
    encoder: Callable[..., Tensor],
    x: np.ndarray,
    condition: Sequence[Tensor],
    num_samples: int,
    seed: int,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The evidence lower bound and the importance-weighted bound of each image.

    With w_k = p(x|z_k) p(z_k) / q(z_k|x) and z_k drawn from q(z|x), the first is the
    mean of log w_k over K draws, the second log (1/K) Σ_k w_k, kept as a running
    log-sum-exp. Source: Burda et al., arXiv:1509.00519, equation 8.

    Args:
        log_weights: Function of (images, condition, mean, log_variance, noise) that
            returns log w of each draw and image, (draws, n).
        encoder: Function of [images, *condition] that returns the mean and the
            log-variance of q(z|x).
        x: Images (n, h, w, c).
        condition: List of tensors whose first axis is that of `x`.
        num_samples: K.
        seed: Integer seed of the draws.
        batch_size: Draws times images at once, at most.

    Returns:
        Two NumPy arrays (n,), in nats.
    """
    batch_size = check_integer("batch_size", batch_size, least=1)
    n = len(x)
    # Few images need many draws at once to fill a batch, and the reverse.
    images = min(n, batch_size)
    draws = min(num_samples, max(1, batch_size // images))
    total, log_total = np.zeros(n), np.full(n, -np.inf)
    seeds = keras.random.SeedGenerator(seed)
    for start in range(0, n, images):
        part = slice(start, min(start + images, n))
        x_part = ops.convert_to_tensor(x[part])
        given = [c[part] for c in condition]
        mean, log_variance = encoder([x_part, *given])
        for first in range(0, num_samples, draws):
            count = min(draws, num_samples - first)
            noise = keras.random.normal((count, *mean.shape), seed=seeds)
            drawn = ops.convert_to_numpy(
                log_weights(x_part, given, mean, log_variance, noise)
            ).astype("float64")
            total[part] += drawn.sum(axis=0)
            log_total[part] = np.logaddexp(
                log_total[part], np.logaddexp.reduce(drawn, axis=0)
            )
    return total / num_samples, log_total - math.log(num_samples)
