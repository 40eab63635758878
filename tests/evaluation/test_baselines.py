import numpy as np
import pytest

from tfattn.data import masks
from tfattn.evaluation import baselines
from tfattn.evaluation.baselines import BASELINES

H, W = 6, 8
VISIBLE = masks.draw("left_half", 1, (H, W))[0]
VISIBLE[0, 0] = False


def data(n, seed=0, channels=2):
    return np.random.default_rng(seed).random((n, H, W, channels)).astype("float32")


@pytest.mark.parametrize("name", BASELINES)
def test_visible_pixels_are_untouched_and_training_images_used(name):
    x_train, x = data(30), data(5, 1)
    found = BASELINES[name](x_train, x, VISIBLE)
    assert found.shape[0] == 5 and found.shape[2:] == x.shape[1:]
    assert found.min() >= 0 and found.max() <= 1
    for k in range(found.shape[1]):
        np.testing.assert_array_equal(found[:, k][:, VISIBLE], x[:, VISIBLE])
    spoiled = x.copy()
    spoiled[:, ~VISIBLE] = 0.25
    again = BASELINES[name](x_train, spoiled, VISIBLE)
    np.testing.assert_array_equal(again[:, :, ~VISIBLE], found[:, :, ~VISIBLE])
    other = BASELINES[name](data(30, 2), x, VISIBLE)
    assert np.abs(other - found).max() > 0.01


def test_each_place_gets_its_own_answer():
    """Constant images, but for a known pattern: rows and columns stay in order."""
    pattern = np.arange(H * W * 2).reshape(H, W, 2) / 200
    x_train = np.repeat(pattern[None], 12, axis=0).astype("float32")
    x_train += np.random.default_rng(0).normal(0, 1e-3, x_train.shape)
    x = pattern[None].astype("float32")
    for name, baseline in BASELINES.items():
        found = baseline(x_train, x, VISIBLE).mean(axis=1)[0]
        np.testing.assert_allclose(found, pattern, atol=5e-3, err_msg=name)


def test_nearest_neighbor_is_the_nearest():
    x_train = data(30)
    x = x_train[[4, 17]].copy()
    x[:, ~VISIBLE] = 0
    x[:, VISIBLE] += 0.001
    found = baselines.nearest_neighbor(x_train, x, VISIBLE)[:, 0]
    expected = x_train[[4, 17]]
    np.testing.assert_array_equal(found[:, ~VISIBLE], expected[:, ~VISIBLE])


def test_ridge_regression_in_closed_form():
    x_train, x = data(30, channels=1), data(3, 1, channels=1)
    a, b = x_train[:, VISIBLE, 0], x_train[:, ~VISIBLE, 0]
    centered = a - a.mean(axis=0)
    weights = np.linalg.solve(
        centered.T @ centered + baselines.RIDGE_PENALTY * np.eye(a.shape[1]),
        centered.T @ (b - b.mean(axis=0)),
    )
    expected = b.mean(axis=0) + (x[:, VISIBLE, 0] - a.mean(axis=0)) @ weights
    found = baselines.ridge_regression(x_train, x, VISIBLE)[:, 0]
    np.testing.assert_allclose(found[:, ~VISIBLE, 0], expected, atol=1e-5)


def test_conditional_gaussian_is_that_of_the_covariance():
    """The dense covariance W Wᵀ + σ² I, conditioned by its blocks."""
    # Values around the middle: no draw is clipped.
    x_train, x = (0.4 + 0.2 * data(n, n, channels=1) for n in (40, 3))
    flat = x_train.reshape(40, -1)
    centered = flat - flat.mean(axis=0)
    sample = centered.T @ centered / 39
    noise = baselines.NOISE_VARIANCE
    hidden = ~VISIBLE.reshape(-1)
    # All 39 components: W Wᵀ is the sample covariance.
    visible_block = sample[~hidden][:, ~hidden] + noise * np.eye((~hidden).sum())
    gain = sample[hidden][:, ~hidden] @ np.linalg.inv(visible_block)
    expected = (
        flat.mean(axis=0)[hidden]
        + (x.reshape(3, -1)[:, ~hidden] - flat.mean(axis=0)[~hidden]) @ gain.T
    )
    covariance = sample[hidden][:, hidden] - gain @ sample[~hidden][:, hidden]
    found = baselines.conditional_gaussian(x_train, x, VISIBLE, num_samples=6000)
    drawn = found[:, :, ~VISIBLE, 0]
    assert drawn.min() > 0 and drawn.max() < 1
    np.testing.assert_allclose(drawn.mean(axis=1), expected, atol=1e-5)
    np.testing.assert_allclose(
        np.cov(drawn[0].T), covariance, atol=0.08 * covariance.max()
    )


def test_mirror_images():
    x = data(3)
    both = baselines.with_mirror_images(x)
    np.testing.assert_array_equal(both[:3], x)
    np.testing.assert_array_equal(both[5, :, 0], x[2, :, -1])
