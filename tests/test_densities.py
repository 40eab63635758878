import checks
import numpy as np
import pytest
from keras import ops

from tfattn.densities import discretised_logistic_log_density


@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.313, 1.0])
@pytest.mark.parametrize("log_scale", [-6.0, -2.0, 1.0])
def test_levels_sum_to_one_and_equal_differences(levels, mean, log_scale):
    x = np.arange(levels) / (levels - 1)
    found = checks.numpy_of(
        discretised_logistic_log_density(
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
        return ops.sum(discretised_logistic_log_density(x, mean, -6.0))

    x = ops.array([[0.1, 0.5, 0.9]])
    mean = ops.array([[0.9, 0.1, 0.1]])
    assert np.isfinite(checks.numpy_of(total(mean)))
    (gradient,) = checks.gradients_of(total)(mean)
    # log P falls by 1/scale for each unit of distance.
    np.testing.assert_allclose(
        checks.numpy_of(gradient), np.exp(6.0) * np.array([[-1, 1, 1]]), rtol=1e-3
    )
