import checks
import keras
import numpy as np
import pytest
from keras import ops

from tfattn.layers import PatchEmbedding, images_to_patches, patches_to_images

pytestmark = pytest.mark.backend


def test_patches_equal_loops_and_back():
    """2×3 patches of 4×9 images with 5 channels."""
    x = checks.images((2, 4, 9, 5))
    patches = images_to_patches(x, (2, 3))
    assert patches.shape == (2, 2, 3, 30)
    for b, row, column in np.ndindex(2, 2, 3):
        expected = x[b, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3].ravel()
        np.testing.assert_array_equal(
            checks.numpy_of(patches)[b, row, column], expected.astype("float64")
        )
    back = checks.numpy_of(patches_to_images(patches, (2, 3)))
    np.testing.assert_array_equal(back, x)


def test_patch_embedding_is_a_convolution():
    x = checks.images((2, 4, 9, 5))
    layer = PatchEmbedding((2, 3), 7)
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    oracle = keras.layers.Conv2D(7, (2, 3), strides=(2, 3))
    oracle.build(x.shape)
    oracle.kernel.assign(ops.reshape(layer.projection.kernel, (2, 3, 5, 7)))
    oracle.bias.assign(layer.projection.bias)
    np.testing.assert_allclose(
        checks.numpy_of(layer(x)), checks.numpy_of(oracle(x)), atol=1e-4
    )
    assert layer(keras.Input((None, None, 5))).shape == (None, None, None, 7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PatchEmbedding(2, 4), "patch_size=2"),
        (lambda: PatchEmbedding((2, 0), 4), "patch_size=0"),
        (lambda: PatchEmbedding((2, 3), 0), "width=0"),
        (lambda: PatchEmbedding((2, 3), 4).build((4, 9, 1)), r"\(4, 9, 1\)"),
        (
            lambda: PatchEmbedding((2, 3), 4)(keras.Input((4, 8, 1))),
            r"h divisible by 2 and w by 3.*\(None, 4, 8, 1\)",
        ),
        (lambda: images_to_patches(np.ones((1, 5, 9, 1)), (2, 3)), r"\(1, 5, 9, 1\)"),
        (lambda: patches_to_images(np.ones((1, 2, 2, 7)), (2, 3)), "divisible by 6"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
