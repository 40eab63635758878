"""What users of such layers have reported, here or elsewhere: right, or refused."""

import checks
import keras
import numpy as np
import pytest
from keras import ops

from tfattn import layers

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("scale", [0.0, 1e-30])
@pytest.mark.parametrize("training", [False, True])
def test_a_kernel_of_zeros_stays_zero(scale, training):
    norm = layers.SpectralNorm()
    kernel = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    norm.build(kernel.shape)
    before = checks.numpy_of(norm.right_singular_vector)
    found = checks.numpy_of(norm(scale * kernel, training=training))
    np.testing.assert_allclose(found, np.float32(scale) * kernel, rtol=1e-5)
    np.testing.assert_array_equal(checks.numpy_of(norm.right_singular_vector), before)
    # The estimate still converges.
    for _ in range(50):
        found = checks.numpy_of(norm(kernel, training=True))
    assert abs(np.linalg.norm(found, 2) - 1) < 1e-4


def test_a_convolution_of_zeros_has_a_gradient():
    layer = layers.SpectralConv2D(3, 1, kernel_initializer="zeros")
    x = np.random.default_rng(0).random((2, 2, 3, 4)).astype("float32")
    model = keras.Sequential([keras.Input((2, 3, 4)), layer])
    np.testing.assert_array_equal(checks.numpy_of(model(x)), 0)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, np.ones((2, 2, 3, 3), "float32"), epochs=2, verbose=0)
    kernel = checks.numpy_of(layer.kernel)
    assert np.all(np.isfinite(kernel)) and np.any(kernel != 0)


def test_conditional_normalization_takes_epsilon_and_momentum():
    layer = layers.ConditionalBatchNormalization(epsilon=0.5, momentum=0.25)
    x = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")
    classes = np.eye(2, dtype="float32")[[0, 1, 1, 0]]
    found = checks.numpy_of(layer([x, classes], training=True))
    mean, variance = x.mean((0, 1)), x.var((0, 1))
    np.testing.assert_allclose(found, (x - mean) / np.sqrt(variance + 0.5), atol=1e-5)
    moving = checks.numpy_of(layer.norm.moving_mean)
    np.testing.assert_allclose(moving, 0.75 * mean, atol=1e-5)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_frozen_normalization_stays_frozen_in_a_file(tmp_path):
    """Its statistics are the moving averages then, as in Keras's own."""
    inputs = [keras.Input((3, 2)), keras.Input((2,))]
    layer = layers.ConditionalBatchNormalization()
    model = keras.Model(inputs, layer(inputs))
    layer.trainable = False
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(3, 2, (4, 3, 2)).astype("float32")
    data = [x, np.eye(2, dtype="float32")[[0, 1, 1, 0]]]
    for made in (model, loaded):
        found = checks.numpy_of(made(data, training=True))
        np.testing.assert_allclose(found, x / np.sqrt(1.001), rtol=1e-4)


def test_positions_other_than_built_are_refused():
    for kind in ("learned", "sinusoidal"):
        layer = layers.PositionalEncoding(kind)
        layer.build((None, 21, 8))
        with pytest.raises(ValueError, match=r"built for, \(21,\)"):
            layer(np.zeros((1, 1, 8), "float32"))


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_a_part_of_a_sequence_has_its_own_positions(kind):
    x = np.random.default_rng(0).normal(size=(2, 7, 8)).astype("float32")
    layer = layers.PositionalEncoding(kind)
    expected = checks.numpy_of(layer(x))
    for start in (0, 3, 5):
        found = layer(x[:, start : start + 2], start=start)
        np.testing.assert_allclose(
            checks.numpy_of(found), expected[:, start : start + 2], atol=1e-6
        )
    for start in (-1, 6):
        with pytest.raises(ValueError, match=f"2 of the positions 0 to 6.*{start}"):
            layer(x[:, :2], start=start)
    grid = layers.PositionalEncoding(kind)
    grid(x[:, None])
    with pytest.raises(ValueError, match="Expected a part of a sequence"):
        grid(x[:, None], start=0)


def test_a_decoder_does_not_read_padding():
    x = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
    mask = np.array([[1, 0, 1, 1, 0, 1], [1] * 6], bool)
    layer = layers.TransformerDecoderLayer(2, 12)
    found = checks.numpy_of(layer(x, mask=mask))
    other = checks.numpy_of(layer(np.where(mask[..., None], x, -x), mask=mask))
    np.testing.assert_allclose(found[mask], other[mask], atol=1e-5)
    unmasked = checks.numpy_of(layer(x))
    assert np.abs(unmasked - found)[0, 2:].max() > 1e-3
    np.testing.assert_allclose(found[1], unmasked[1], atol=1e-5)


@pytest.mark.parametrize("attached", [True, False])
def test_a_cache_keeps_the_mask_of_its_context(attached):
    """Which Keras attached to it, or which was given."""
    x = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")
    numbers = np.array([[3, 1, 0, 0], [2, 4, 1, 0]])
    context = keras.layers.Embedding(5, 6, mask_zero=attached)(numbers)
    mask = None if attached else numbers > 0
    layer = layers.TransformerDecoderLayer(2, 12)
    expected = checks.numpy_of(layer(x, context, context_mask=numbers > 0))
    cache = layer.initial_cache(2, 3, context, mask)
    for i in range(3):
        y, cache = layer(x[:, i : i + 1], cache=cache, cache_index=i)
        np.testing.assert_allclose(checks.numpy_of(y)[:, 0], expected[:, i], atol=1e-5)


@pytest.mark.parametrize("built_with", [True, False])
def test_a_context_comes_in_all_calls_or_in_none(built_with):
    layer = layers.TransformerDecoderLayer(2, 16)
    x, context = np.ones((1, 5, 8), "float32"), np.ones((1, 3, 6), "float32")
    with pytest.raises(ValueError, match="Expected a layer that was built"):
        layer.initial_cache(1, 5)
    layer.build(x.shape, context.shape if built_with else None)
    right, wrong = (context, None) if built_with else (None, context)
    layer(x, right)
    layer.initial_cache(1, 5, right)
    with pytest.raises(ValueError, match="a context in all calls or in none"):
        layer(x, wrong)
    with pytest.raises(ValueError, match="a context in all calls or in none"):
        layer.initial_cache(1, 5, wrong)


@pytest.mark.parametrize("index", [-1, 4])
def test_a_place_outside_the_cache_is_refused(index):
    layer = layers.MultiHeadAttention(2, 4)
    x = np.ones((1, 2, 8), "float32")
    layer.build(x.shape, x.shape)
    with pytest.raises(ValueError, match="Expected cache_index >= 0 and a cache with"):
        layer(x, x, cache=layer.initial_cache(1, 5), cache_index=index)
    layer(x, x, cache=layer.initial_cache(1, 5), cache_index=3)


INTEGERS = [
    (layers.SelfAttention2D, {}, ["key_ratio", "value_ratio", "pool_size"]),
    (layers.SelfAttention2D, {}, ["chunk_size"]),
    (layers.AttentionGate, {}, ["filters", "kernel_size"]),
    (layers.MultiHeadAttention, {"num_heads": 2, "key_dim": 3}, ["value_dim"]),
    (layers.MultiHeadAttention, {}, ["num_heads", "key_dim"]),
    (layers.TransformerEncoderLayer, {}, ["num_heads", "intermediate_dim"]),
    (layers.TransformerDecoderLayer, {}, ["num_heads", "intermediate_dim"]),
    (layers.CouplingFlow, {}, ["num_layers", "units"]),
    (layers.PatchEmbedding, {"patch_size": (2, 3)}, ["width"]),
]


@pytest.mark.parametrize(("layer", "others", "names"), INTEGERS)
def test_integers_are_numpys_too_and_no_booleans(layer, others, names):
    right = dict.fromkeys(names, np.int64(2))
    config = layer(**others, **right).get_config()
    for name in names:
        assert type(config[name]) is int
        for wrong in (True, 2.5, -1, "2"):
            with pytest.raises(ValueError, match=f"`{name}` to be an integer"):
                layer(**others, **{**right, name: wrong})


@pytest.mark.parametrize(
    ("layer", "first"),
    [(layers.SelfAttention2D, True), (layers.ResidualBlock2D, False)],
)
def test_channels_first_of_keras(layer, first):
    """What `SelfAttention2D` takes over; the others have channels last."""
    x = np.random.default_rng(0).random((2, 4, 6, 16)).astype("float32")
    made = layer(spectral_norm=False)
    expected = checks.numpy_of(made(x))
    keras.config.set_image_data_format("channels_first")
    try:
        other = layer(spectral_norm=False)
        y = x.transpose(0, 3, 1, 2) if first else x
        other(y)
        other.set_weights(made.get_weights())
        found = checks.numpy_of(other(ops.convert_to_tensor(y)))
    finally:
        keras.config.set_image_data_format("channels_last")
    found = found.transpose(0, 2, 3, 1) if first else found
    np.testing.assert_allclose(found, expected, atol=1e-6)
