import checks
import numpy as np
import pytest

from tfattn.layers import PositionalEncoding

pytestmark = pytest.mark.backend


def test_sinusoids_equal_the_formula():
    layer = PositionalEncoding("sinusoidal")
    found = checks.numpy_of(layer(np.zeros((1, 3, 5, 8), "float32")))[0]
    for row, column, channel in np.ndindex(3, 5, 8):
        p, k = (row, channel) if channel < 4 else (column, channel - 4)
        angle = p / 10000 ** (2 * (k // 2) / 4)
        expected = np.sin(angle) if k % 2 == 0 else np.cos(angle)
        np.testing.assert_allclose(found[row, column, channel], expected, atol=1e-6)


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
        ("sinusoidal", (2, 3, 5, 6), "divisible by 4"),
    ],
)
def test_bad_input(kind, shape, message):
    with pytest.raises(ValueError, match=message):
        PositionalEncoding(kind).build(shape)
