import checks
import numpy as np
import pytest
from keras import ops

from tfattn.densities import (
    discretized_logistic_log_density,
    discretized_logistic_mixture_log_density,
)


@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.313, 1.0])
@pytest.mark.parametrize("log_scale", [-6.0, -2.0, 1.0])
def test_levels_sum_to_one_and_equal_differences(levels, mean, log_scale):
    x = np.arange(levels) / (levels - 1)
    found = checks.numpy_of(
        discretized_logistic_log_density(
            ops.array(x, "float32"), mean, ops.array(log_scale), levels
        )
    )
    with np.errstate(over="ignore"):
        below = 1 / (
            1 + np.exp(-(x[:-1] + 0.5 / (levels - 1) - mean) / np.exp(log_scale))
        )
    expected = np.diff(np.concatenate([[0.0], below, [1.0]]))
    np.testing.assert_allclose(np.exp(found), expected, atol=2e-5)
    np.testing.assert_allclose(np.exp(found).sum(), 1, atol=1e-4)


def test_far_from_the_mean_it_is_finite_and_has_a_gradient():
    """A difference of distribution functions would be 0 there, its log infinite."""

    def total(mean):
        return ops.sum(discretized_logistic_log_density(x, mean, -6.0))

    x = ops.array([[0.1, 0.5, 0.9]])
    mean = ops.array([[0.9, 0.1, 0.1]])
    assert np.isfinite(checks.numpy_of(total(mean)))
    (gradient,) = checks.gradients_of(total)(mean)
    # log P falls by 1/scale for each unit of distance.
    np.testing.assert_allclose(
        checks.numpy_of(gradient), np.exp(6.0) * np.array([[-1, 1, 1]]), rtol=1e-3
    )


def mixture(k, c, seed=0):
    """Logits of the weights (k,), means and log-scales (k, c)."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=k), rng.normal(0.5, 0.4, (k, c)), rng.normal(-2, 1, (k, c))


def mixture_log_density(x, *parameters, levels):
    x, *parameters = (ops.array(a, "float32") for a in (x, *parameters))
    return checks.numpy_of(
        discretized_logistic_mixture_log_density(x, *parameters, levels=levels)
    )


@pytest.mark.backend
@pytest.mark.parametrize(("levels", "c", "k"), [(256, 1, 4), (7, 3, 2), (2, 2, 3)])
def test_a_mixture_sums_to_one_over_all_colors(levels, c, k):
    """Over each color once: over each channel by itself would hide a shared sum."""
    x = np.stack(np.meshgrid(*[np.arange(levels)] * c), axis=-1).reshape(-1, c)
    found = mixture_log_density(x / (levels - 1), *mixture(k, c), levels=levels)
    np.testing.assert_allclose(np.exp(found).sum(), 1, atol=1e-4)


def test_a_mixture_equals_loops():
    logits, means, log_scales = mixture(k=3, c=2)
    x = np.array([[0.0, 1.0], [0.4, 0.2], [1.0, 0.6]])
    found = mixture_log_density(x, logits, means, log_scales, levels=6)
    weights = np.exp(logits) / np.exp(logits).sum()
    for pixel, log_density in zip(x, found, strict=True):
        total = 0.0
        for weight, mean, log_scale in zip(weights, means, log_scales, strict=True):
            of_component = weight
            for value, m, s in zip(pixel, mean, log_scale, strict=True):

                def below(edge, m=m, s=s):
                    return 1 / (1 + np.exp(-(edge - m) / np.exp(s)))

                high = 1.0 if value == 1 else below(value + 0.1)
                low = 0.0 if value == 0 else below(value - 0.1)
                of_component *= high - low
            total += of_component
        np.testing.assert_allclose(log_density, np.log(total), rtol=1e-4)


def test_a_mixture_far_from_all_its_means_has_a_gradient():
    def total(means):
        return ops.sum(
            discretized_logistic_mixture_log_density(
                ops.array([[0.0, 1.0]]),
                ops.zeros((1, 2)),
                means,
                ops.full((2, 2), -8.0),
            )
        )

    means = ops.array([[0.9, 0.1], [0.8, 0.3]])
    (gradient,) = checks.gradients_of(total)(means)
    gradient = checks.numpy_of(gradient)
    assert np.isfinite(checks.numpy_of(total(means)))
    # The nearer component, the second, is pulled to the pixel.
    assert gradient[1, 0] < -1000 and gradient[1, 1] > 1000
