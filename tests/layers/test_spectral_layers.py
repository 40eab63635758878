import checks
import keras
import numpy as np
import pytest

from tfattn.layers import SpectralConv2D, SpectralDense

pytestmark = pytest.mark.backend

CASES = [
    (SpectralConv2D, keras.layers.Conv2D, {"filters": 7, "kernel_size": (3, 2)}),
    (
        SpectralConv2D,
        keras.layers.Conv2D,
        {"filters": 4, "kernel_size": 3, "strides": 2, "use_bias": False},
    ),
    (SpectralDense, keras.layers.Dense, {"units": 7, "activation": "relu"}),
    (SpectralDense, keras.layers.Dense, {"units": 3, "use_bias": False}),
]


@pytest.mark.parametrize(("own", "keras_layer", "arguments"), CASES)
def test_is_kerass_layer_with_a_kernel_of_norm_one(own, keras_layer, arguments):
    x = checks.images()
    layer, plain = own(**arguments), keras_layer(**arguments)
    layer(x)
    plain(x)
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=layer.kernel.shape).astype("float32")
    layer.kernel.assign(kernel)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    plain.kernel.assign(kernel / np.linalg.norm(matrix, ord=2))
    if layer.use_bias:
        bias = rng.normal(size=layer.bias.shape)
        layer.bias.assign(bias)
        plain.bias.assign(bias)
    for _ in range(200):
        y = layer(x, training=True)
    expected = checks.numpy_of(plain(x))
    np.testing.assert_allclose(checks.numpy_of(y), expected, atol=1e-4)
    np.testing.assert_allclose(checks.numpy_of(layer(x)), expected, atol=1e-4)
    np.testing.assert_array_equal(checks.numpy_of(layer.kernel), kernel)


@pytest.mark.parametrize(("own", "keras_layer", "arguments"), CASES)
def test_estimate_moves_only_in_training_and_is_saved(
    own, keras_layer, arguments, tmp_path
):
    x = checks.images()
    model = keras.Sequential([keras.Input(x.shape[1:]), own(**arguments)])
    estimate = model.layers[0].norm.right_singular_vector
    start = checks.numpy_of(estimate)
    model(x)
    np.testing.assert_array_equal(checks.numpy_of(estimate), start)
    model(x, training=True)
    assert np.any(checks.numpy_of(estimate) != start)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(checks.numpy_of(loaded(x)), checks.numpy_of(model(x)))


@pytest.mark.parametrize("dtype_policy", ["mixed_bfloat16"], indirect=True)
def test_mixed_precision(dtype_policy):
    for own, _, arguments in CASES:
        y = own(**arguments)(checks.images(), training=True)
        assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
