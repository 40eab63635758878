import checks
import keras
import numpy as np
import pytest

from tfattn.layers import AttentionGate

pytestmark = pytest.mark.backend


def convolve(x, kernel, bias):
    """Pixel by pixel, zeros outside of the image."""
    b, h, w, _ = x.shape
    size = kernel.shape[0]
    y = np.zeros((b, h, w, kernel.shape[-1]))
    # An even kernel's center is left and above of its middle.
    before = (size - 1) // 2
    for row in range(h):
        for col in range(w):
            for i in range(size):
                for j in range(size):
                    r, c = row + i - before, col + j - before
                    if 0 <= r < h and 0 <= c < w:
                        y[:, row, col] += x[:, r, c] @ kernel[i, j]
    return y + bias


def built(**arguments):
    layer = AttentionGate(**arguments)
    layer(checks.images())
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    return layer, [checks.numpy_of(w) for w in layer.trainable_variables]


@pytest.mark.parametrize("kernel_size", [1, 3, 4])
@pytest.mark.parametrize("filters", [None, 7])
def test_equals_pixel_loop(filters, kernel_size):
    x = checks.images()
    layer, weights = built(filters=filters, kernel_size=kernel_size)
    hidden = x
    if filters:
        hidden = np.maximum(0, convolve(x, *weights[:2]))
    expected = 1 / (1 + np.exp(-convolve(hidden, *weights[-2:])))
    y, scores = layer(x, return_attention_scores=True)
    np.testing.assert_allclose(checks.numpy_of(scores), expected, atol=1e-5)
    np.testing.assert_allclose(checks.numpy_of(y), x * (1 + expected), atol=1e-5)
    np.testing.assert_array_equal(checks.numpy_of(layer(x)), checks.numpy_of(y))


def test_symbolic_shapes_and_saving(tmp_path):
    inputs = keras.Input((None, None, 16))
    outputs = AttentionGate(filters=5)(inputs, return_attention_scores=True)
    assert [tuple(o.shape) for o in outputs] == [
        (None, None, None, 16),
        (None, None, None, 1),
    ]
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for shape in ((2, 3, 5, 16), (1, 9, 4, 16)):
        x = checks.images(shape)
        for own, other in zip(model(x), loaded(x), strict=True):
            np.testing.assert_array_equal(checks.numpy_of(own), checks.numpy_of(other))


@pytest.mark.parametrize("dtype_policy", ["mixed_float16"], indirect=True)
def test_mixed_precision(dtype_policy):
    layer = AttentionGate(filters=5)
    y, scores = layer(checks.images(), return_attention_scores=True)
    assert {keras.backend.standardize_dtype(t.dtype) for t in (y, scores)} == {
        "float16"
    }


@pytest.mark.parametrize(
    "arguments",
    [{"filters": 0}, {"filters": 2.5}, {"kernel_size": 0}, {"kernel_size": None}],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))}.*integer >= 1"):
        AttentionGate(**arguments)
    with pytest.raises(ValueError, match="4-dimensional"):
        AttentionGate().build((3, 5, 16))
