import checks
import keras
import numpy as np
import pytest
import reference
from conftest import on_tensorflow

from tfattn.layers import SelfAttention2D, SpectralNorm

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (3, 2, 5, 4)])
def test_largest_singular_value_becomes_one(shape):
    kernel = np.random.default_rng(0).normal(size=shape).astype("float32")
    norm = SpectralNorm()
    for _ in range(200):
        normalized = norm(kernel, training=True)
    singular_values = np.linalg.svd(
        checks.numpy_of(normalized).reshape(-1, shape[-1]), compute_uv=False
    )
    np.testing.assert_allclose(singular_values[0], 1, rtol=1e-4)
    expected = np.linalg.svd(kernel.reshape(-1, shape[-1]), compute_uv=False)
    np.testing.assert_allclose(singular_values, expected / expected[0], rtol=1e-4)


def test_estimate_moves_only_in_training():
    kernel = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    norm = SpectralNorm()
    norm.build(kernel.shape)
    start = checks.numpy_of(norm.right_singular_vector)
    for training in (False, None):
        norm(kernel, training=training)
        np.testing.assert_array_equal(
            checks.numpy_of(norm.right_singular_vector), start
        )
    norm(kernel, training=True)
    v = kernel @ start
    moved = kernel.T @ (v / np.linalg.norm(v))
    np.testing.assert_allclose(
        checks.numpy_of(norm.right_singular_vector),
        moved / np.linalg.norm(moved),
        rtol=1e-4,
    )


def test_layer_leaves_kernels_alone_and_moves_every_estimate():
    """The wrapper in Keras overwrites kernels, so that two passes see two weights."""
    x = checks.images()
    layer = checks.built(SelfAttention2D, x.shape)
    kernels = [checks.numpy_of(w) for w in layer.trainable_weights]
    estimates = [checks.numpy_of(w) for w in layer.non_trainable_weights]
    y = layer(x, training=False)
    for before, after in zip(estimates, layer.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(before, checks.numpy_of(after))
    layer(x, training=True)
    for before, after in zip(kernels, layer.trainable_weights, strict=True):
        np.testing.assert_array_equal(before, checks.numpy_of(after))
    for before, after in zip(estimates, layer.non_trainable_weights, strict=True):
        assert np.any(before != checks.numpy_of(after))
    assert np.any(checks.numpy_of(y) != checks.numpy_of(layer(x, training=False)))


def test_fit_moves_the_estimates():
    inputs = keras.Input((3, 5, 16))
    layer = SelfAttention2D(gamma_initializer="ones")
    model = keras.Model(inputs, layer(inputs))
    model.compile("sgd", "mse")
    before = checks.numpy_of(layer.value_dense.norm.right_singular_vector)
    model.fit(checks.images(), checks.images(seed=1), verbose=0)
    assert np.any(
        checks.numpy_of(layer.value_dense.norm.right_singular_vector) != before
    )


@on_tensorflow
def test_gradient_passes_through_sigma():
    """Against finite differences of the NumPy reference; a constant σ fails."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    kernel, cotangent, direction = rng.normal(size=(3, 5, 4)).astype("float32")
    norm = SpectralNorm()
    for _ in range(100):  # at the fixed point, moving u and v changes σ not at all
        norm(kernel, training=True)
    variable = tf.Variable(kernel)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(norm(variable) * cotangent)
    gradient = tape.gradient(loss, variable).numpy()
    u = checks.numpy_of(norm.right_singular_vector)

    def reference_loss(step):
        moved = kernel.astype("float64") + step * direction
        return np.sum(reference.power_iteration_norm(moved, u) * cotangent)

    expected = (reference_loss(1e-5) - reference_loss(-1e-5)) / 2e-5
    np.testing.assert_allclose(np.sum(gradient * direction), expected, rtol=1e-3)
    # W/σ does not depend on the scale of W, so its gradient along W is zero. The
    # straight-through gradient, with σ held constant, is not.
    straight_through = np.sum(cotangent * kernel)
    assert abs(np.sum(gradient * kernel)) < 1e-3 * abs(straight_through)
