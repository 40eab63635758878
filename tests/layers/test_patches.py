import checks
import keras
import numpy as np
import pytest
from keras import ops

from tfattn.layers import PatchEmbedding, images_to_patches, patches_to_images

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("h", "w", "patch_h", "patch_w"),
    [(6, 35, 2, 5), (12, 3, 4, 1), (5, 8, 1, 8), (9, 4, 3, 2)],
)
def test_patches_equal_loops_and_back(h, w, patch_h, patch_w):
    x = checks.images((2, h, w, 3))
    patches = images_to_patches(x, (patch_h, patch_w))
    rows, columns, size = h // patch_h, w // patch_w, patch_h * patch_w * 3
    assert tuple(patches.shape) == (2, rows, columns, size)
    for b, row, column in np.ndindex(2, rows, columns):
        top, left = row * patch_h, column * patch_w
        expected = x[b, top : top + patch_h, left : left + patch_w].ravel()
        np.testing.assert_array_equal(
            checks.numpy_of(patches)[b, row, column], expected.astype("float64")
        )
    back = checks.numpy_of(patches_to_images(patches, (patch_h, patch_w)))
    np.testing.assert_array_equal(back, x)
    layer = PatchEmbedding((patch_h, patch_w), 1)
    assert layer.compute_output_shape(x.shape) == (2, rows, columns, 1)
    assert layer(keras.Input((None, None, 3))).shape == (None, None, None, 1)


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
        (lambda: patches_to_images(np.ones((1, 2, 2, 9)), (2, 3)), "divisible by 6"),
        (lambda: patches_to_images(np.ones((1, 2, 2, 10)), (2, 3)), "divisible by 6"),
        (lambda: patches_to_images(np.ones((2, 2, 6)), (2, 3)), "divisible by 6"),
        (lambda: patches_to_images(np.ones((1, 2, 2, 2, 6)), (2, 3)), "divisible by"),
        (
            lambda: PatchEmbedding((2, 3), 4).build((1, 2, 4, 9, 1)),
            r"\(1, 2, 4, 9, 1\)",
        ),
        (lambda: PatchEmbedding((2, 3), 4).build((1, 4, 9, None)), r"4, 9, None\)"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
