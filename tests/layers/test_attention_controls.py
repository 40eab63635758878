import checks
import keras
import numpy as np
import pytest

from tfattn.layers import ResidualBlock2D, SelfAttention2D, UniformAttention2D

pytestmark = pytest.mark.backend


def built(layer, x):
    layer(x)
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return layer, [checks.numpy_of(w) for w in layer.trainable_variables]


def test_residual_block_by_definition():
    x = checks.images()
    layer, (gamma, value, output) = built(ResidualBlock2D(), x)
    hidden = x @ value
    expected = x + gamma * ((hidden / (1 + np.exp(-hidden))) @ output)
    np.testing.assert_allclose(checks.numpy_of(layer(x)), expected, atol=1e-4)


def test_uniform_attention_is_attention_with_equal_weights():
    x = checks.images()
    layer, (gamma, value, output) = built(UniformAttention2D(), x)
    mean = (x @ value).reshape(2, 15, -1).mean(axis=1)
    expected = x + gamma * (mean @ output)[:, None, None]
    np.testing.assert_allclose(checks.numpy_of(layer(x)), expected, atol=1e-4)


@pytest.mark.parametrize("control", [ResidualBlock2D, UniformAttention2D])
@pytest.mark.parametrize("channels", [32, 64])
def test_as_many_parameters_as_self_attention(control, channels):
    own, other = control(), SelfAttention2D(spectral_norm=False)
    for layer in (own, other):
        layer.build((None, 7, 7, channels))
    assert own.count_params() == other.count_params()


@pytest.mark.slow
@pytest.mark.parametrize("control", [ResidualBlock2D, UniformAttention2D])
def test_spectral_norm(control):
    """With the kernels divided by their norms by hand the plain layer is the same."""
    x = checks.images()
    layer, (gamma, value, output) = built(control(spectral_norm=True), x)
    for _ in range(200):
        y = layer(x, training=True)
    plain, _ = built(control(), x)
    plain.value_dense.kernel.assign(value / np.linalg.norm(value, ord=2))
    plain.output_dense.kernel.assign(output / np.linalg.norm(output, ord=2))
    plain.gamma.assign(gamma)
    np.testing.assert_allclose(checks.numpy_of(y), checks.numpy_of(plain(x)), atol=1e-4)


@pytest.mark.parametrize("control", [ResidualBlock2D, UniformAttention2D])
def test_save_and_load(control, tmp_path):
    inputs = keras.Input((3, 5, 16))
    model = keras.Model(inputs, control(spectral_norm=True)(inputs))
    model.layers[1].gamma.assign(0.7)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = checks.images()
    np.testing.assert_array_equal(checks.numpy_of(loaded(x)), checks.numpy_of(model(x)))
    with pytest.raises(ValueError, match="4-dimensional"):
        control().build((3, 5, 16))
