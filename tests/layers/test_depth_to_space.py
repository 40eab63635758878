import checks
import keras
import numpy as np
import pytest

from tfattn.layers import DepthToSpace

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("shape", [(2, 3, 5, 12), (1, 1, 7, 4), (3, 4, 1, 8)])
def test_equals_pixel_loop(shape):
    """Four channels c, one after the other, are the four places of a block."""
    x = checks.images(shape)
    b, h, w, channels = shape
    c = channels // 4
    expected = np.zeros((b, 2 * h, 2 * w, c))
    for i, j, row, column in np.ndindex(h, w, 2, 2):
        first = (2 * row + column) * c
        expected[:, 2 * i + row, 2 * j + column] = x[:, i, j, first : first + c]
    y = checks.numpy_of(DepthToSpace()(x))
    np.testing.assert_allclose(y, expected, rtol=1e-7)
    found = DepthToSpace().compute_output_shape((None, *shape[1:]))
    assert found == (None, 2 * h, 2 * w, c)
    assert DepthToSpace()(keras.Input(shape[1:])).shape == found


@pytest.mark.parametrize(
    "shape",
    [
        *((3, 5, 12), (2, 3, 5, 8, 12), (2, 3, 5, 10)),
        *((2, None, 5, 12), (2, 3, None, 12), (2, 3, 5, None)),
    ],
)
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="all known but the batch"):
        DepthToSpace().build(shape)
