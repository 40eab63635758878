"""Every number that is reported."""

from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A mean over images with its 95 % interval.

    Attributes:
        value: The mean.
        low: Lower end of the interval.
        high: Upper end of the interval.
        num_images: Number of images averaged.
    """

    value: float
    low: float
    high: float
    num_images: int


def mean_estimate(values):
    """Mean of independent values and its normal 95 % interval.

    The interval speaks of the choice of images, not of the seed of the training.

    Args:
        values: Array (n,), n at least 2.

    Returns:
        `Estimate`, mean ± 1.96 standard errors.

    Raises:
        ValueError: If there are fewer than two values, or one is not finite.
    """
    values = np.asarray(values, dtype="float64")
    if values.ndim != 1 or len(values) < 2 or not np.all(np.isfinite(values)):
        raise ValueError(
            "Expected at least two finite values in one dimension. Received: "
            f"shape {values.shape}, {np.sum(~np.isfinite(values))} not finite"
        )
    mean = values.mean()
    margin = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return Estimate(
        float(mean), float(mean - margin), float(mean + margin), len(values)
    )


def active_units(posterior_means, threshold=0.01):
    """Number of latents that a variational autoencoder uses.

    A latent whose posterior mean hardly varies from image to image carries nothing.

    Source: Burda et al., arXiv:1509.00519, section 5.2.

    Args:
        posterior_means: Array (n, latent_dim).
        threshold: Least variance of an active latent's posterior mean.

    Returns:
        Integer from 0 to latent_dim.

    Raises:
        ValueError: If the array does not have two dimensions.
    """
    posterior_means = np.asarray(posterior_means)
    if posterior_means.ndim != 2:
        raise ValueError(
            "Expected posterior means of shape (n, latent_dim). Received: shape "
            f"{posterior_means.shape}"
        )
    return int(np.sum(np.var(posterior_means, axis=0) > threshold))
