import keras
import numpy as np
import pytest

from tfattn.evaluation import metrics


def draws(n, d, seed, mean=0.0):
    return mean + np.random.default_rng(seed).normal(size=(n, d))


def with_moments(n, mean, covariance, seed):
    """Features (n, d) whose sample mean and covariance are these, not nearly these."""
    z = draws(n, len(mean), seed)
    z -= z.mean(axis=0)
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / (n - 1)).T)
    return np.asarray(mean) + z @ np.linalg.cholesky(covariance).T


def test_mean_estimate_by_hand():
    """Values 1, 2, 3, 6: mean 3, variance 14/3, standard error √(14/12)."""
    estimate = metrics.mean_estimate([1, 2, 3, 6])
    margin = 1.96 * np.sqrt(14 / 12)
    np.testing.assert_allclose(estimate, (3, 3 - margin, 3 + margin, 4))


def test_mean_estimate_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        estimate = metrics.mean_estimate(rng.exponential(size=200))
        covered += estimate.low <= 1 <= estimate.high
    assert 920 <= covered <= 970


def test_bootstrap_estimate_is_the_normal_one_of_many_values():
    values = np.random.default_rng(0).exponential(size=2000)
    found, normal = metrics.bootstrap_estimate(values), metrics.mean_estimate(values)
    np.testing.assert_allclose(found, normal, rtol=0.01)
    assert metrics.bootstrap_estimate(values) == found
    assert metrics.bootstrap_estimate(values, seed=1).low != found.low
    assert metrics.bootstrap_estimate([3.0, 3.0]) == (3, 3, 3, 2)


def test_bootstrap_of_groups_draws_whole_groups():
    """Copies of a value say nothing new; of groups of two sizes the mean is theirs."""
    values = np.random.default_rng(0).normal(size=30)
    copies, groups = np.repeat(values, 20), np.repeat(np.arange(30), 20)
    found = metrics.bootstrap_estimate(copies, groups)
    np.testing.assert_allclose(found[:3], metrics.bootstrap_estimate(values)[:3])
    alone = metrics.bootstrap_estimate(copies)
    assert found.high - found.low > 3 * (alone.high - alone.low)
    # Drawn twice, "a" gives 0 and "b" 1; once each, the mean of 4 values is 1/4.
    found = metrics.bootstrap_estimate([0, 0, 0, 1], ["a", "a", "a", "b"])
    np.testing.assert_allclose(found, (0.25, 0, 1, 4))


@pytest.mark.parametrize(
    ("values", "groups"),
    [([1.0], None), ([1.0, np.nan], None), ([1, 2], [0, 0]), ([1, 2], [0, 1, 2])],
)
def test_bootstrap_refuses(values, groups):
    with pytest.raises(ValueError, match="Expected"):
        metrics.bootstrap_estimate(values, groups)


def test_spread_by_hand():
    draws = [{"a": 3.0, "b": 1.0}, {"a": 1.0, "b": 1.0}, {"a": 5.0, "b": 4.0}]
    assert metrics.spread(draws) == {
        "a": {"mean": 3.0, "lowest": 1.0, "highest": 5.0},
        "b": {"mean": 2.0, "lowest": 1.0, "highest": 4.0},
    }


def test_active_units():
    """Standard deviations 1, 0.2, 0.05, 0: variances 1, 0.04, 0.0025, 0."""
    draws = np.random.default_rng(0).normal(size=(10_000, 4))
    means = 5 + draws * [1, 0.2, 0.05, 0]
    assert metrics.active_units(means) == 2
    assert metrics.active_units(means, threshold=0.001) == 3


@pytest.mark.backend
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tensors_are_taken_as_they_are(dtype):
    """A variable of torch has a gradient, and bfloat16 is no type of NumPy's."""
    means = 5 + draws(50, 3, seed=0) * [1, 0.2, 0]
    variable = keras.Variable(means, dtype=dtype)
    assert metrics.active_units(variable.value) == 2


# --- Fréchet distance ---------------------------------------------------------


def test_frechet_distance_of_commuting_gaussians():
    """Means (1, 0, 2) apart, standard deviations (1, 2, 3) and (4, 2, 1).

    5 + (1 − 4)² + (2 − 2)² + (3 − 1)² = 18.
    """
    real = with_moments(7, [1, 5, 0], np.diag([1.0, 4.0, 9.0]), seed=0)
    generated = with_moments(11, [2, 5, 2], np.diag([16.0, 4.0, 1.0]), seed=1)
    np.testing.assert_allclose(metrics.frechet_distance(real, generated), 18)


def test_frechet_distance_of_gaussians_that_do_not_commute():
    """For 2×2 matrices tr (C_r C_g)^½ = √(tr C_r C_g + 2 √(det C_r det C_g)).

    C_r = (5 3; 3 5) and C_g = (4 0; 0 1): traces 10 and 5, determinants 16 and 4,
    tr C_r C_g = 25. With means (3, 4) apart: 25 + 10 + 5 − 2 √(25 + 16).
    """
    real = with_moments(7, [3, 4], np.array([[5.0, 3.0], [3.0, 5.0]]), seed=0)
    generated = with_moments(11, [0, 0], np.diag([4.0, 1.0]), seed=1)
    expected = 40 - 2 * np.sqrt(41)
    np.testing.assert_allclose(metrics.frechet_distance(real, generated), expected)
    np.testing.assert_allclose(metrics.frechet_distance(generated, real), expected)


def test_frechet_distance_of_singular_covariances():
    """All features on a line each, along (3, 4, 0) and (4, 3, 0), sample variance 1.

    C = v vᵀ, of trace 25; tr (C_r C_g)^½ = |v_r · v_g| = 24: 25 + 25 − 2 · 24 = 2.
    """
    along = with_moments(7, [0], np.eye(1), seed=0)
    real, generated = along * [3, 4, 0], along * [4, 3, 0]
    np.testing.assert_allclose(metrics.frechet_distance(real, generated), 2)


def test_frechet_distance_of_fewer_features_than_dimensions():
    """Shifted by 2 in each of 17 dimensions: 17 · 2²."""
    features = draws(5, 17, seed=0)
    np.testing.assert_allclose(
        metrics.frechet_distance(features, features + 2), 17 * 2**2
    )


@pytest.mark.parametrize("n", [5, 300])
def test_frechet_distance_of_a_set_to_itself_is_0(n):
    features = 100 + draws(n, 17, seed=0)
    assert 0 <= metrics.frechet_distance(features, features) < 1e-9
    shuffled = np.random.default_rng(1).permutation(features)
    assert 0 <= metrics.frechet_distance(features, shuffled) < 1e-9


# --- kernel distance ----------------------------------------------------------


def kernel_distance_by_loops(real, generated):
    """The unbiased estimate from all features, one pair at a time."""

    def mean_kernel(a, b, leave_out_itself):
        values = [
            (sum(p * q for p, q in zip(x, y, strict=True)) / len(x) + 1) ** 3
            for i, x in enumerate(a)
            for j, y in enumerate(b)
            if not (leave_out_itself and i == j)
        ]
        return sum(values) / len(values)

    return (
        mean_kernel(real, real, True)
        + mean_kernel(generated, generated, True)
        - 2 * mean_kernel(real, generated, False)
    )


def test_kernel_distance_by_hand():
    """Features 1 and 2 against 0 and −1, d = 1.

    Within: (1·2 + 1)³ = 27 and (0·−1 + 1)³ = 1. Between: 1, 0, 1, −1, of mean 1/4.
    """
    found = metrics.kernel_distance([[1], [2]], [[0], [-1]], 2, subset_size=2)
    np.testing.assert_allclose(found.value, 27 + 1 - 2 / 4)


def test_kernel_distance_equals_loops():
    """A subset of all features is one set: the same value each time."""
    real, generated = draws(13, 5, seed=0), draws(13, 5, seed=1, mean=0.3)
    found = metrics.kernel_distance(real, generated, num_subsets=3, subset_size=13)
    np.testing.assert_allclose(found.value, kernel_distance_by_loops(real, generated))
    np.testing.assert_allclose(found.standard_error, 0, atol=1e-12)


def test_kernel_distance_of_one_distribution_is_0_on_average():
    values = [
        metrics.kernel_distance(
            draws(11, 5, seed=(0, i)), draws(11, 5, seed=(1, i)), 2, subset_size=11
        ).value
        for i in range(500)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(500)
    assert np.min(values) < 0


def test_standard_error_is_that_of_the_choice_of_subsets():
    """Over seeds: spread as stated, around the mean of all pairs."""
    real, generated = draws(30, 3, seed=0), draws(45, 3, seed=1, mean=0.5)
    found = [
        metrics.kernel_distance(real, generated, 2, subset_size=10, seed=seed)
        for seed in range(1000)
    ]
    values = np.array([f.value for f in found])
    stated = np.sqrt(np.mean([f.standard_error**2 for f in found]))
    np.testing.assert_allclose(values.std(ddof=1), stated, rtol=0.1)
    whole = kernel_distance_by_loops(real, generated)
    assert abs(values.mean() - whole) < 3 * stated / np.sqrt(1000)


def test_kernel_distance_depends_on_the_seed_alone():
    features = draws(30, 3, seed=0), draws(40, 3, seed=1)
    first, again, other = (
        metrics.kernel_distance(*features, 5, subset_size=10, seed=seed)
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


# --- precision and recall -----------------------------------------------------


def column(*values):
    return np.array(values, dtype="float64")[:, None]


def precision_recall_by_loops(real, generated, num_neighbors):
    def share_inside(points, centers):
        radii = []
        for i, center in enumerate(centers):
            others = [c for j, c in enumerate(centers) if j != i]
            radii.append(
                sorted(np.linalg.norm(center - c) for c in others)[num_neighbors - 1]
            )
        inside = [
            any(
                np.linalg.norm(point - center) <= radius
                for center, radius in zip(centers, radii, strict=True)
            )
            for point in points
        ]
        return np.mean(inside)

    return share_inside(generated, real), share_inside(real, generated)


@pytest.mark.parametrize("offset", [0, 1e9])
def test_precision_recall_by_hand(offset):
    """Real 0, 1, 3, 7 have balls [−1, 1], [0, 2], [1, 5], [3, 11] with one neighbor.

    Of −2, −1, 11, 12, 30 two are inside, on the edge. The generated balls are [−3, −1],
    [−2, 0], [10, 12], [11, 13], [12, 48]: only the real 0 is inside. With two
    neighbors: [−3, 3], [−1, 3], [0, 6], [1, 13] hold all but 30; the generated
    [−15, 11], … hold all real ones. Far from 0 the edges are the same.
    """
    real = offset + column(0, 1, 3, 7)
    generated = offset + column(-2, -1, 11, 12, 30)
    assert metrics.precision_recall(real, generated, 1) == (2 / 5, 1 / 4)
    assert metrics.precision_recall(real, generated, 2) == (4 / 5, 1)


@pytest.mark.parametrize("num_neighbors", [1, 3, 5])
def test_precision_recall_equals_loops(num_neighbors):
    real, generated = draws(31, 3, seed=0), draws(43, 3, seed=1, mean=0.7)
    found = metrics.precision_recall(real, generated, num_neighbors)
    expected = precision_recall_by_loops(real, generated, num_neighbors)
    np.testing.assert_allclose(found, expected)
    assert found.precision != found.recall


def test_precision_recall_of_sets_too_large_for_one_piece():
    """Real ones beside generated ones, in order, but for the last tenths."""
    n = 4000
    real = np.arange(n, dtype="float64")[:, None]
    generated = real + 0.5
    generated[-n // 10 :] += 1e6
    real[-n // 5 :] -= 1e6
    found = metrics.precision_recall(real, generated, num_neighbors=1)
    # The ball of a feature reaches the next one of its own set, and those before a gap
    # reach as far.
    np.testing.assert_allclose(found, (0.8, 0.8), atol=2 / n)


def test_dropped_mode_lowers_recall_alone():
    modes = draws(50, 2, seed=0), draws(50, 2, seed=1, mean=100)
    found = metrics.precision_recall(np.concatenate(modes), modes[0])
    assert found == (1, 0.5)


def test_outliers_lower_precision_alone():
    real = draws(50, 2, seed=0)
    outliers = 1e3 * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    found = metrics.precision_recall(real, np.concatenate([real, outliers]))
    assert found == (50 / 53, 1)


def test_equal_features_are_found():
    """A generator of one image: its ball is a point, which holds that image alone."""
    real = 1e4 + draws(20, 5, seed=0)
    found = metrics.precision_recall(real, np.repeat(real[:1], 9, axis=0))
    assert found == (1, 1 / 20)


# --- against torch-fidelity ---------------------------------------------------

# What torch-fidelity 0.4.0 makes of `waves()`.
TORCH_FIDELITY = {
    "frechet": 0.5426238213093049,
    "kernel": 0.36442347383874774,
    "precision": 0.51,
    "recall": 0.97,
}


def waves():
    """Two sets (300, 5) that overlap, the same with every version of NumPy."""
    steps = np.arange(300)[:, None]
    real = np.sin(steps * np.sqrt([2, 3, 5, 7, 11]))
    return real, 0.3 + 1.2 * np.sin(steps * np.sqrt([13, 17, 19, 23, 29]))


def test_same_numbers_as_torch_fidelity():
    precision, recall = metrics.precision_recall(*waves(), num_neighbors=3)
    found = {
        "frechet": metrics.frechet_distance(*waves()),
        "kernel": metrics.kernel_distance(*waves(), 2, subset_size=300).value,
        "precision": precision,
        "recall": recall,
    }
    assert found == pytest.approx(TORCH_FIDELITY, rel=1e-6)


@pytest.mark.peer
def test_numbers_of_torch_fidelity():
    """Needs the packages torch, torchvision and torch-fidelity."""
    import torch
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    real, generated = map(torch.tensor, waves())
    statistics = map(metric_fid.fid_features_to_statistics, (real, generated))
    frechet = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    kernel = metric_kid.kid_features_to_metric(
        real, generated, kid_subsets=2, kid_subset_size=300, verbose=False
    )
    # There the generated features come first.
    manifolds = metric_prc.prc_features_to_metric(
        generated, real, prc_neighborhood=3, verbose=False
    )
    found = {
        "frechet": frechet["frechet_inception_distance"],
        "kernel": kernel["kernel_inception_distance_mean"],
        "precision": manifolds["precision"],
        "recall": manifolds["recall"],
    }
    assert found == pytest.approx(TORCH_FIDELITY, rel=1e-6)


# --- bad input ----------------------------------------------------------------


def test_bad_input():
    for values in ([1.0], [[1.0, 2.0]], [1.0, np.nan]):
        with pytest.raises(ValueError, match="finite values in one dimension"):
            metrics.mean_estimate(values)
    with pytest.raises(ValueError, match=r"\(n, latent_dim\).*\(3,\)"):
        metrics.active_units(np.zeros(3))


@pytest.mark.parametrize(
    "distance",
    [metrics.frechet_distance, metrics.kernel_distance, metrics.precision_recall],
)
def test_bad_features(distance):
    features = draws(2000, 3, seed=0)
    for real, generated in (
        (features, features[:, :2]),
        (features[0], features[0]),
        (features, features[:, :, None]),
    ):
        with pytest.raises(ValueError, match=r"\(n, d\) and \(m, d\).*Received"):
            distance(real, generated)
    for one in (features[:1], features[:0]):
        for pair in ((features, one), (one, features)):
            with pytest.raises(ValueError, match=r"at least . rows.*Received"):
                distance(*pair)
    for value in (np.nan, np.inf):
        broken = features.copy()
        broken[1, 2] = value
        with pytest.raises(ValueError, match="real with 1 values"):
            distance(broken, features)
        with pytest.raises(ValueError, match="generated with 1 values"):
            distance(features, broken)


def test_bad_sizes():
    features = draws(20, 3, seed=0)
    for size in (21, 1000):
        with pytest.raises(ValueError, match=rf"number of rows.*subset_size={size}"):
            metrics.kernel_distance(features, draws(5000, 3, seed=1), 2, size)
    for arguments in ({"num_subsets": 1}, {"subset_size": 1}, {"subset_size": 2.5}):
        with pytest.raises(ValueError, match="integer >= 2"):
            metrics.kernel_distance(features, features, **arguments)
    with pytest.raises(ValueError, match=r"integer >= 1.*num_neighbors=0"):
        metrics.precision_recall(features, features, 0)
    with pytest.raises(ValueError, match="at least 4 rows"):
        metrics.precision_recall(features, features[:3], 3)


def test_kernel_distance_is_a_mean_with_its_standard_error(monkeypatch):
    """Subsets at distances 1, 2, 3, 6: mean 3, standard error √(14/3) / √4."""
    distances = iter([1.0, 2.0, 3.0, 6.0])
    monkeypatch.setattr(
        metrics, "_squared_mean_discrepancy", lambda *_: next(distances)
    )
    features = draws(10, 3, seed=0)
    found = metrics.kernel_distance(features, features, num_subsets=4, subset_size=5)
    np.testing.assert_allclose(found, (3, np.sqrt(14 / 3) / 2))


@pytest.mark.parametrize(
    ("num_centers", "num_rows"), [(3, 5), (4_000_000, 2), (8_000_001, 1)]
)
def test_no_more_distances_at_once_than_64_megabytes(num_centers, num_rows):
    centers = np.zeros((num_centers, 1))
    block = next(metrics._squared_distances(np.ones((5, 1)), centers))
    assert block.shape == (num_rows, num_centers) and np.all(block[:, -1] == 1)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_values_have_one_dimension(shape):
    for estimate in (metrics.mean_estimate, metrics.bootstrap_estimate):
        with pytest.raises(ValueError, match=r"in one dimension|at least two"):
            estimate(np.zeros(shape))


def test_two_values_are_enough_and_those_that_are_not_finite_are_counted():
    assert metrics.mean_estimate([1, 3]).value == 2
    assert metrics.frechet_distance([[0.0], [2.0]], [[0.0], [2.0]]) == 0
    for estimate in (metrics.mean_estimate, metrics.bootstrap_estimate):
        with pytest.raises(ValueError, match="2 not finite"):
            estimate([1, np.nan, 2, 3, np.inf])


@pytest.mark.parametrize("num_groups", [2, 4])
def test_each_value_has_a_group(num_groups):
    with pytest.raises(ValueError, match=rf"\(3,\) and \({num_groups},\)"):
        metrics.bootstrap_estimate([1, 2, 3], groups=range(num_groups))


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4)])
def test_posterior_means_have_two_dimensions(shape):
    with pytest.raises(ValueError, match=r"\(n, latent_dim\)"):
        metrics.active_units(np.zeros(shape))


def test_an_active_unit_varies_more_than_the_threshold():
    assert metrics.active_units([[0.0, 0.0], [2.0, 2.1]], threshold=1) == 1


@pytest.mark.parametrize(
    ("real", "generated"),
    [
        *(((4,), (4, 3)), ((4, 3, 2), (4, 3)), ((4, 3), (4,))),
        *(((4, 3), (4, 3, 2)), ((4, 3), (4, 2)), ((4, 2), (4, 3))),
    ],
)
def test_features_are_rows_of_one_length(real, generated):
    for measure in (metrics.frechet_distance, metrics.precision_recall):
        with pytest.raises(ValueError, match=r"\(n, d\) and \(m, d\)"):
            measure(np.ones(real), np.ones(generated))


def test_features_may_be_many():
    """More than 256 of them: small integers alone are the same object in Python."""
    features = draws(5, 300, seed=0)
    assert metrics.precision_recall(features, features.copy()) == (1, 1)


def test_the_spread_of_one_draw():
    of_one = {"mean": 2.0, "lowest": 2.0, "highest": 2.0}
    assert metrics.spread([{"recall": 2.0}]) == {"recall": of_one}
