import numpy as np
import pytest

from tfattn import metrics


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


def test_active_units():
    """Standard deviations 1, 0.2, 0.05, 0: variances 1, 0.04, 0.0025, 0."""
    draws = np.random.default_rng(0).normal(size=(10_000, 4))
    means = 5 + draws * [1, 0.2, 0.05, 0]
    assert metrics.active_units(means) == 2
    assert metrics.active_units(means, threshold=0.001) == 3


def test_bad_input():
    for values in ([1.0], [[1.0, 2.0]], [1.0, np.nan]):
        with pytest.raises(ValueError, match="finite values in one dimension"):
            metrics.mean_estimate(values)
    with pytest.raises(ValueError, match=r"\(n, latent_dim\).*\(3,\)"):
        metrics.active_units(np.zeros(3))
