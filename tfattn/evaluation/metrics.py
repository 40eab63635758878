"""Every number that is reported."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfattn._checks import as_array, check_integer, checked_numbers


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


class KernelDistance(NamedTuple):
    """A kernel distance averaged over subsets.

    Attributes:
        value: Mean over the subsets.
        standard_error: Standard error of that mean over the choice of subsets.
    """

    value: float
    standard_error: float


class PrecisionRecall(NamedTuple):
    """How far two sets of features cover each other.

    Attributes:
        precision: Share of generated features inside the real manifold.
        recall: Share of real features inside the generated manifold.
    """

    precision: float
    recall: float


def mean_estimate(values: ArrayLike) -> Estimate:
    """Mean of independent values and its normal 95 % interval.

    The interval speaks of the choice of images, not of the seed of the training.

    Args:
        values: Array (n,), n at least 2.

    Returns:
        `Estimate`, mean ± 1.96 standard errors.

    Raises:
        ValueError: If there are fewer than two values, or one is not finite.
    """
    values = checked_numbers("values", values).astype("float64")
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


def bootstrap_estimate(
    values: ArrayLike,
    groups: ArrayLike | None = None,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Mean of values and its 95 % percentile interval by the bootstrap.

    Source: Efron, *Bootstrap Methods: Another Look at the Jackknife*, 1979; with
    groups it is the cluster bootstrap of Cameron et al., 2008.

    Args:
        values: Array (n,), n at least 2.
        groups: Optional array (n,) of what values belong together, such as the person
            on each image; whole groups are drawn then, for values of one group are
            not independent of each other.
        num_resamples: Number of sets drawn, with replacement.
        seed: Seed of `numpy.random.default_rng`.

    Returns:
        `Estimate`.

    Raises:
        ValueError: If there are fewer than two values or groups, or one value is not
            finite.
    """
    values = checked_numbers("values", values).astype("float64")
    groups = np.arange(values.size) if groups is None else as_array(groups)
    if values.shape != groups.shape or not np.all(np.isfinite(values)):
        raise ValueError(
            "Expected finite values in one dimension, and as many groups. Received: "
            f"shapes {values.shape} and {groups.shape}, "
            f"{np.sum(~np.isfinite(values))} not finite"
        )
    _, members = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(members, values), np.bincount(members)
    if len(sums) < 2:
        raise ValueError(
            f"Expected at least two values or groups. Received: {len(sums)}"
        )
    drawn = np.random.default_rng(seed).integers(
        len(sums), size=(num_resamples, len(sums))
    )
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def bits_per_dimension(nats: float, image_shape: tuple[int, int, int]) -> float:
    """A negative log-likelihood in nats per image as bits per pixel and channel."""
    return nats / (np.log(2) * np.prod(image_shape))


def spread(draws: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, lowest and highest of measures that were taken several times.

    Args:
        draws: List of dictionaries from a measure's name to its value, one for each
            time.

    Returns:
        Dictionary from a measure's name to those of `mean`, `lowest` and `highest`.
    """
    return {
        name: {
            "mean": float(np.mean([draw[name] for draw in draws])),
            "lowest": min(draw[name] for draw in draws),
            "highest": max(draw[name] for draw in draws),
        }
        for name in draws[0]
    }


def active_units(posterior_means: ArrayLike, threshold: float = 0.01) -> int:
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
    posterior_means = checked_numbers("posterior_means", posterior_means)
    if posterior_means.ndim != 2:
        raise ValueError(
            "Expected posterior means of shape (n, latent_dim). Received: shape "
            f"{posterior_means.shape}"
        )
    return int(np.sum(np.var(posterior_means, axis=0) > threshold))


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features.

        d² = |μ_r − μ_g|² + tr(C_r + C_g − 2 (C_r C_g)^½)

    with the mean μ and the sample covariance C of each set. As in the literature, it
    is the square that is reported. The distance between two samples of one
    distribution is not 0 but falls with their size: compare sets of equal sizes, with
    the distance between two real sets beside them.

    Source: Heusel et al., arXiv:1706.08500, equation 6. It is the Fréchet *Inception*
    distance only on features of the Inception network.

    Args:
        real: Features of real images, array (n, d).
        generated: Features of generated images, array (m, d).

    Returns:
        d², at least 0.

    Raises:
        ValueError: If the features are not two finite arrays of two rows or more,
            with the same d.
    """
    real, generated = _checked_features(real, generated, least=2)
    difference = real.mean(axis=0) - generated.mean(axis=0)
    real_root = _covariance_root(real)
    generated_root = _covariance_root(generated)
    # With C = RᵀR the eigenvalues of C_r C_g are the squared singular values of
    # R_r R_gᵀ, so that nothing has to be inverted and no eigenvalue comes out negative.
    trace_of_root = np.linalg.svd(real_root @ generated_root.T, compute_uv=False).sum()
    squared_distance = (
        np.sum(difference**2)
        + np.sum(real_root**2)
        + np.sum(generated_root**2)
        - 2 * trace_of_root
    )
    # Rounding alone takes it below 0.
    return max(0.0, float(squared_distance))


def _covariance_root(features):
    """R (min(n, d), d) with RᵀR the sample covariance of features (n, d)."""
    deviations = features - features.mean(axis=0)
    return np.linalg.qr(deviations, mode="r") / np.sqrt(len(features) - 1)


def kernel_distance(
    real: ArrayLike,
    generated: ArrayLike,
    num_subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> KernelDistance:
    """Squared maximum mean discrepancy with a cubic kernel (KID).

    For subsets x and y of s features each, with k(x, y) = (x·y / d + 1)³:

        MMD² =   Σ_{i≠j} (k(x_i, x_j) + k(y_i, y_j)) / (s(s − 1))
               − 2 Σ_{i,j} k(x_i, y_j) / s²

    It is unbiased: for two samples of one distribution it is 0 on average, whatever
    their size, and so below 0 about half of the time.

    The standard error speaks of the choice of subsets from the features given. More
    subsets take it to 0; that other images would have given another value is not in
    it. That takes features of other images.

    Source: Bińkowski et al., arXiv:1801.01401, section 4.

    Args:
        real: Features of real images, array (n, d).
        generated: Features of generated images, array (m, d).
        num_subsets: Number of pairs of subsets, at least 2.
        subset_size: s, from 2 to the smaller of n and m; drawn without replacement.
        seed: Seed of the choice of subsets.

    Returns:
        `KernelDistance`.

    Raises:
        ValueError: If the features are not two finite arrays with the same d, or if
            `num_subsets` or `subset_size` is out of range.
    """
    num_subsets = check_integer("num_subsets", num_subsets, least=2)
    subset_size = check_integer("subset_size", subset_size, least=2)
    real, generated = _checked_features(real, generated, least=2)
    if subset_size > min(len(real), len(generated)):
        raise ValueError(
            "Expected subset_size to be at most the number of rows. Received: "
            f"subset_size={subset_size}, features of shapes {real.shape} and "
            f"{generated.shape}"
        )
    rng = np.random.default_rng(seed)
    distances = [
        _squared_mean_discrepancy(
            real[rng.choice(len(real), subset_size, replace=False)],
            generated[rng.choice(len(generated), subset_size, replace=False)],
        )
        for _ in range(num_subsets)
    ]
    return KernelDistance(
        float(np.mean(distances)),
        float(np.std(distances, ddof=1) / np.sqrt(num_subsets)),
    )


def _squared_mean_discrepancy(x, y):
    """Unbiased MMD² of two arrays (s, d) with the cubic kernel."""
    s = len(x)
    # A feature's kernel with itself is what would bias the first two means.
    within = sum(
        kernel.sum() - np.trace(kernel)
        for kernel in (_cubic_kernel(x, x), _cubic_kernel(y, y))
    )
    return within / (s * (s - 1)) - 2 * _cubic_kernel(x, y).mean()


def _cubic_kernel(x, y):
    products = x @ y.T / x.shape[1] + 1
    return products * products * products


def precision_recall(
    real: ArrayLike, generated: ArrayLike, num_neighbors: int = 3
) -> PrecisionRecall:
    """Precision and recall of generated features, by nearest neighbors.

    The manifold of a set is the union of closed balls, one around each feature, whose
    radius reaches the feature's k-th nearest neighbor in its own set, itself not
    counted. Precision is the share of generated features inside the real manifold:
    how many look real. Recall is the share of real features inside the generated
    manifold: how much of the real variety is generated. A generated outlier has a wide
    ball, so that outliers can feign recall.

    Source: Kynkäänniemi et al., arXiv:1904.06991, equations 1 and 2.

    Args:
        real: Features of real images, array (n, d).
        generated: Features of generated images, array (m, d).
        num_neighbors: k, at least 1.

    Returns:
        `PrecisionRecall`.

    Raises:
        ValueError: If the features are not two finite arrays of k + 1 rows or more,
            with the same d.
    """
    num_neighbors = check_integer("num_neighbors", num_neighbors, least=1)
    real, generated = _checked_features(real, generated, least=num_neighbors + 1)
    return PrecisionRecall(
        precision=_share_inside(generated, real, num_neighbors),
        recall=_share_inside(real, generated, num_neighbors),
    )


def _share_inside(points, centers, num_neighbors):
    """Share of points (m, d) inside the manifold of centers (n, d)."""
    # Place 0 is each center's distance to itself. A copy, for a view of the one column
    # would keep all distances in memory.
    squared_radii = np.concatenate(
        [
            np.partition(distances, num_neighbors, axis=1)[:, num_neighbors].copy()
            for distances in _squared_distances(centers, centers)
        ]
    )
    num_inside = sum(
        np.any(distances <= squared_radii, axis=1).sum()
        for distances in _squared_distances(points, centers)
    )
    return float(num_inside / len(points))


def _squared_distances(points, centers):
    """Yields squared distances (rows, n), few enough rows at once for 64 MB."""
    from scipy.spatial.distance import cdist

    num_rows = max(1, 8_000_000 // len(centers))
    for start in range(0, len(points), num_rows):
        # Not by |x|² + |y|² − 2x·y, whose rounding would move points that lie on the
        # edge of a ball, or that are equal.
        yield cdist(points[start : start + num_rows], centers, "sqeuclidean")


def _checked_features(real, generated, least):
    """Both as float64; ValueError unless (n, d), (m, d), finite, n and m >= least."""
    real = checked_numbers("real", real).astype("float64")
    generated = checked_numbers("generated", generated).astype("float64")
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(
            "Expected real and generated features of shapes (n, d) and (m, d). "
            f"Received: shapes {real.shape} and {generated.shape}"
        )
    if min(len(real), len(generated)) < least:
        raise ValueError(
            f"Expected at least {least} rows of features. "
            f"Received: shapes {real.shape} and {generated.shape}"
        )
    for name, features in (("real", real), ("generated", generated)):
        if not np.all(np.isfinite(features)):
            raise ValueError(
                f"Expected finite features. Received: {name} with "
                f"{np.sum(~np.isfinite(features))} values that are not finite"
            )
    return real, generated
