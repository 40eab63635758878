"""What must hold of every self-attention layer; each check raises AssertionError.

A check takes `make(**arguments)`, which returns a `SelfAttention2D`, or a mutant of
it. `test_kill_matrix.py` holds them against published bugs.
"""

import keras
import numpy as np
import reference
from keras import ops


def images(shape=(2, 3, 5, 16), seed=0):
    """Maps whose batch, height, width and channels all differ."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(make, shape=(2, 3, 5, 16), **arguments):
    """A layer with γ = 0.7 and weights large enough for maps far from uniform."""
    layer = make(gamma_initializer=keras.initializers.Constant(0.7), **arguments)
    layer(images(shape))
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        if variable.name != "gamma":
            variable.assign(rng.normal(0, 0.5, variable.shape))
    return layer


def enliven(model, gamma):
    """Sets every γ, and weights that are zero to small numbers: every part counts."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        if variable.name == "gamma":
            variable.assign(np.full(variable.shape, gamma))
        elif not np.any(ops.convert_to_numpy(variable)):
            variable.assign(rng.normal(0, 0.3, variable.shape))


def numpy_of(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), "float64")


def gradients_of(function):
    """The function that returns the gradients of a scalar function of tensors."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def gradients(*tensors):
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                scalar = function(*tensors)
            return tape.gradient(scalar, tensors)

    elif keras.backend.backend() == "jax":
        import jax

        def gradients(*tensors):
            return jax.grad(function, argnums=tuple(range(len(tensors))))(*tensors)

    else:
        import torch

        def gradients(*tensors):
            tensors = [t if t.requires_grad else t.requires_grad_() for t in tensors]
            return torch.autograd.grad(function(*tensors), tensors, create_graph=True)

    return gradients


def keras_attention(layer, *shapes):
    """`keras.layers.MultiHeadAttention` with the weights of ours, built for shapes."""
    twin = keras.layers.MultiHeadAttention(
        layer.num_heads, layer.key_dim, value_dim=layer.value_dim
    )
    twin.build(*shapes)
    # Keras's kernels have an axis for the heads, ours have heads side by side.
    for own, other in (
        (layer.query_dense, twin.query_dense),
        (layer.key_dense, twin.key_dense),
        (layer.value_dense, twin.value_dense),
        (layer.output_dense, twin.output_dense),
    ):
        other.kernel.assign(ops.reshape(own.kernel, other.kernel.shape))
        other.bias.assign(ops.reshape(own.bias, other.bias.shape))
    return twin


def rows_sum_to_one(make):
    layer = built(make, variant="paper")
    _, maps = layer(images(), return_attention_scores=True)
    np.testing.assert_allclose(numpy_of(maps).sum(axis=(-2, -1)), 1, atol=1e-5)


def constant_value_gives_constant_output(make):
    """Averages of one vector are that vector, whatever the weights."""
    layer = built(make, variant="article")
    bias = np.linspace(-1, 1, 16)
    layer.value_dense.kernel.assign(np.zeros((16, 16)))
    layer.value_dense.bias.assign(bias)
    x = images()
    np.testing.assert_allclose(
        numpy_of(layer(x)) - x, np.broadcast_to(0.7 * bias, x.shape), atol=1e-5
    )


def permuted_pixels_permute_output(make):
    layer = built(make, variant="article")
    x = images()
    flat = x.reshape(2, 15, 16)
    order = np.random.default_rng(2).permutation(15)
    y = numpy_of(layer(x)).reshape(2, 15, 16)
    permuted = numpy_of(layer(flat[:, order].reshape(x.shape))).reshape(2, 15, 16)
    np.testing.assert_allclose(permuted, y[:, order], atol=1e-5)


def far_pixel_moves_output(make):
    layer = built(make, variant="article")
    x = images()
    moved = x.copy()
    moved[:, -1, -1] += 1
    difference = numpy_of(layer(moved)) - numpy_of(layer(x))
    assert np.abs(difference[:, 0, 0]).max() > 1e-3


def equals_pixel_loop(make):
    for arguments in (
        {"variant": "article"},
        {"variant": "paper"},
        {"variant": "biggan"},
    ):
        layer = built(make, **arguments)
        y, maps = layer(images(), return_attention_scores=True)
        expected_y, expected_maps = reference.self_attention_2d(
            images(), reference.layer_weights(layer), pool_size=layer.pool_size
        )
        np.testing.assert_allclose(numpy_of(maps), expected_maps, atol=1e-5)
        np.testing.assert_allclose(numpy_of(y), expected_y, atol=1e-4)


def mask_admits_where_true(make):
    layer = built(make, variant="paper")
    mask = np.random.default_rng(3).random((3, 5)) < 0.6
    y, maps = layer(images(), return_attention_scores=True, key_mask=mask)
    expected_y, expected_maps = reference.self_attention_2d(
        images(), reference.layer_weights(layer), key_mask=mask
    )
    np.testing.assert_allclose(numpy_of(maps), expected_maps, atol=1e-5)
    np.testing.assert_allclose(numpy_of(y), expected_y, atol=1e-4)


def fully_masked_gives_zero_attention(make):
    layer = built(make, variant="paper")
    y, maps = layer(
        images(), return_attention_scores=True, key_mask=np.zeros((3, 5), bool)
    )
    np.testing.assert_array_equal(numpy_of(maps), 0)
    np.testing.assert_allclose(numpy_of(y), images(), atol=1e-6)


ATTENTION_CHECKS = (
    rows_sum_to_one,
    constant_value_gives_constant_output,
    permuted_pixels_permute_output,
    far_pixel_moves_output,
    equals_pixel_loop,
)
MASK_CHECKS = (mask_admits_where_true, fully_masked_gives_zero_attention)
