import checks
import keras
import numpy as np
import pytest

from tfattn.layers import PositionalEncoding

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("sizes", [(7,), (3, 5), (2, 3, 5)])
def test_sinusoids_equal_the_formula(sizes):
    """Each axis has four channels."""
    layer = PositionalEncoding("sinusoidal")
    x = np.zeros((1, *sizes, 4 * len(sizes)), "float32")
    found = checks.numpy_of(layer(x))[0]
    for *position, channel in np.ndindex(found.shape):
        p, k = position[channel // 4], channel % 4
        angle = p / 10000 ** (2 * (k // 2) / 4)
        expected = np.sin(angle) if k % 2 == 0 else np.cos(angle)
        np.testing.assert_allclose(found[*position, channel], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_a_part_is_that_of_the_whole(kind):
    """Every part of three of six positions, and those that reach beyond."""
    layer = PositionalEncoding(kind)
    whole = checks.numpy_of(layer(np.zeros((1, 6, 4), "float32")))
    x = np.zeros((1, 3, 4), "float32")
    for start in range(4):
        part = checks.numpy_of(layer(x, start=start))
        np.testing.assert_array_equal(part, whole[:, start : start + 3])
    assert tuple(layer._from(0, keras.Input((3, 4))).shape) == (3, 4)
    for start in (-1, 4):
        words = f"3 of the positions 0 to 5 from start on.*start={start}"
        with pytest.raises(ValueError, match=words):
            layer(x, start=start)
    for shape in ((1, 3, 2, 4), (3, 4)):
        with pytest.raises(ValueError, match="a part of a sequence"):
            layer(np.zeros(shape, "float32"), start=0)
    with pytest.raises(ValueError, match="n known"):
        layer._from(0, keras.Input((None, 4)))


def test_other_positions_are_refused():
    layer = PositionalEncoding()
    layer.build((None, 3, 5, 4))
    for shape in ((2, 3, 6, 4), (2, 4, 5, 4), (2, 15, 4), (2, 3, 4), (2, 3, 5, 1, 4)):
        with pytest.raises(ValueError, match=r"was built for, \(3, 5\)"):
            layer(np.zeros(shape, "float32"))
    assert layer(keras.Input((None, 5, 4))).shape == (None, None, 5, 4)
    with pytest.raises(ValueError, match="a part of a sequence"):
        layer(np.zeros((2, 3, 4), "float32"), start=0)


def test_learned_positions_start_small():
    layer = PositionalEncoding()
    layer.build((None, 50, 40))
    assert 0.018 < np.std(checks.numpy_of(layer.tables[0])) < 0.022


def test_the_mask_goes_on():
    tokens = np.array([[3, 1, 0], [2, 0, 0]])
    embedded = keras.layers.Embedding(5, 4, mask_zero=True)(tokens)
    mask = PositionalEncoding()(embedded)._keras_mask
    np.testing.assert_array_equal(checks.numpy_of(mask), tokens != 0)


def test_learned_positions_add_row_and_column():
    x = checks.images((2, 3, 5, 4))
    layer = PositionalEncoding()
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    rows, columns = (checks.numpy_of(table) for table in layer.tables)
    expected = x + rows[:, None] + columns[None, :]
    np.testing.assert_allclose(checks.numpy_of(layer(x)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        ("fixed", (2, 3, 4), "kind='fixed'"),
        ("learned", (None, None, 4), "None, None, 4"),
        ("learned", (None, 3, None), "3, None"),
        ("learned", (None, 4), "positions…, channels"),
        ("sinusoidal", (2, 3, 5, 6), "divisible by 4"),
        ("sinusoidal", (2, 3, 5, 7, 8), "divisible by 6"),
    ],
)
def test_bad_input(kind, shape, message):
    with pytest.raises(ValueError, match=message):
        PositionalEncoding(kind).build(shape)
