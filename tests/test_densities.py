import checks
import numpy as np
import pytest
from keras import ops

from tfattn.densities import (
    bernoulli_log_density,
    bounded_features,
    bounded_log_variance,
    discretized_logistic_log_density,
    discretized_logistic_mixture_log_density,
    gaussian_log_density,
    gaussian_sample,
    standard_normal_log_density,
)


@pytest.mark.backend
def test_gaussian_densities_of_several_vectors_each():
    """Two images of three vectors in five dimensions: a density for each vector."""
    noise, log_variance = checks.images((2, 3, 5)), checks.images((2, 3, 5), seed=1)
    mean = checks.images((2, 3, 5), seed=2)
    tensors = [ops.convert_to_tensor(a) for a in (noise, log_variance, mean)]
    found = gaussian_log_density(*tensors[:2])
    z = checks.numpy_of(gaussian_sample(tensors[2], tensors[1], tensors[0]))
    for i, j in np.ndindex(2, 3):
        standard = of_z = 0.0
        for k in range(5):
            standard -= (noise[i, j, k] ** 2 + np.log(2 * np.pi)) / 2
            variance = np.exp(log_variance[i, j, k])
            squared = (z[i, j, k] - mean[i, j, k]) ** 2
            of_z -= (squared / variance + np.log(2 * np.pi * variance)) / 2
        np.testing.assert_allclose(
            checks.numpy_of(standard_normal_log_density(tensors[0]))[i, j],
            standard,
            rtol=1e-5,
        )
        np.testing.assert_allclose(checks.numpy_of(found)[i, j], of_z, rtol=1e-4)


@pytest.mark.backend
def test_binary_pixels_of_several_images_each():
    x = np.random.default_rng(0).integers(0, 2, (2, 3, 4, 5, 1)).astype("float32")
    logits = checks.images((2, 3, 4, 5, 1))
    white = 1 / (1 + np.exp(-logits))
    expected = np.where(x == 1, np.log(white), np.log(1 - white)).sum(axis=(2, 3, 4))
    found = bernoulli_log_density(*(ops.convert_to_tensor(a) for a in (x, logits)))
    np.testing.assert_allclose(checks.numpy_of(found), expected, rtol=1e-4)


@pytest.mark.backend
@pytest.mark.parametrize(
    ("bounded", "limit"), [(bounded_features, 1e4), (bounded_log_variance, 15)]
)
def test_only_what_is_beyond_a_limit_is_moved_to_it(bounded, limit):
    x = limit * np.array([-3, -1, -0.5, 0, 0.5, 1, 3], "float32")
    expected = limit * np.array([-1, -1, -0.5, 0, 0.5, 1, 1], "float32")
    np.testing.assert_array_equal(checks.numpy_of(bounded(x)), expected)


def test_a_pixel_has_256_levels():
    x, mean, log_scale = np.array([0, 51 / 255, 1]), 0.3, ops.array(-2.0)
    of_logistic = discretized_logistic_log_density
    np.testing.assert_array_equal(
        checks.numpy_of(of_logistic(ops.array(x, "float32"), mean, log_scale)),
        checks.numpy_of(of_logistic(ops.array(x, "float32"), mean, log_scale, 256)),
    )
    x = ops.array(x[:, None], "float32")
    parameters = [ops.array(a, "float32") for a in mixture(k=2, c=1)]
    np.testing.assert_array_equal(
        checks.numpy_of(discretized_logistic_mixture_log_density(x, *parameters)),
        mixture_log_density(x, *parameters, levels=256),
    )


@pytest.mark.backend
def test_each_pixel_has_a_mixture_of_its_own():
    """Images (2, 3, 4, c): as many mixtures as pixels, each as if it were alone."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, (2, 3, 4, 2)) / 5
    shapes = ((2, 3, 4, 3), (2, 3, 4, 3, 2), (2, 3, 4, 3, 2))
    parameters = [rng.normal(size=shape) for shape in shapes]
    found = mixture_log_density(x, *parameters, levels=6)
    for place in np.ndindex(2, 3, 4):
        alone = mixture_log_density(x[place], *(p[place] for p in parameters), levels=6)
        np.testing.assert_allclose(found[place], alone, rtol=1e-5)


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
