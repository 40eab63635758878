import checks
import keras
import numpy as np
import pytest
from conftest import on_tensorflow
from keras import ops

from tfattn.layers import (
    PatchEmbedding,
    PositionalEncoding,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)

pytestmark = pytest.mark.backend

X, CONTEXT = (2, 6, 8), (2, 5, 7)


def randomized(layer):
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return layer


def decoder(context_shape=CONTEXT):
    layer = TransformerDecoderLayer(2, 12)
    layer.build(X, context_shape)
    return randomized(layer)


# --- encoder and decoder ------------------------------------------------------


def keras_part(layer, name, query, value, **arguments):
    """Keras's own attention with the weights of a layer's."""
    twin = checks.keras_attention(getattr(layer, name), query.shape, value.shape)
    return twin(query, value, **arguments)


def keras_norm(norm, x):
    twin = keras.layers.LayerNormalization(epsilon=1e-5)
    twin.build(x.shape)
    twin.set_weights(norm.get_weights())
    return twin(x)


def keras_feed_forward(layer, x):
    y = keras_norm(layer.feed_forward_norm, x)
    y = ops.matmul(y, layer.expand.kernel) + layer.expand.bias
    y = ops.relu(y) ** 2
    return x + ops.matmul(y, layer.contract.kernel) + layer.contract.bias


def test_encoder_equals_keras_layers():
    x = ops.convert_to_tensor(checks.images(X))
    layer = TransformerEncoderLayer(2, 12)
    layer.build(X)
    randomized(layer)
    mask = np.array([[True] * 4 + [False] * 2, [True] * 6])
    y = keras_norm(layer.self_attention_norm, x)
    attended = keras_part(
        layer, "self_attention", y, y, attention_mask=mask[:, None, :]
    )
    expected = keras_feed_forward(layer, x + attended)
    np.testing.assert_allclose(
        checks.numpy_of(layer(x, mask=mask)), checks.numpy_of(expected), atol=1e-4
    )


@pytest.mark.parametrize("with_context", [False, True])
def test_decoder_equals_keras_layers(with_context):
    x = ops.convert_to_tensor(checks.images(X))
    context = ops.convert_to_tensor(checks.images(CONTEXT, seed=1))
    layer = decoder(CONTEXT if with_context else None)
    mask = np.array([[True] * 3 + [False] * 2, [True] * 5])
    y = keras_norm(layer.self_attention_norm, x)
    z = x + keras_part(layer, "self_attention", y, y, use_causal_mask=True)
    if with_context:
        y = keras_norm(layer.cross_attention_norm, z)
        z = z + keras_part(
            layer, "cross_attention", y, context, attention_mask=mask[:, None, :]
        )
        found = layer(x, context, context_mask=mask)
    else:
        found = layer(x)
    expected = keras_feed_forward(layer, z)
    np.testing.assert_allclose(
        checks.numpy_of(found), checks.numpy_of(expected), atol=1e-4
    )


def test_no_token_sees_a_later_one():
    """By gradient: token i depends on tokens 0 to i, and on each of them."""
    layer = decoder(None)
    x = ops.convert_to_tensor(checks.images(X))
    for i in range(X[1]):
        (gradient,) = checks.gradients_of(lambda x, i=i: ops.sum(layer(x)[:, i, 0]))(x)
        size = np.abs(checks.numpy_of(gradient)).max(axis=(0, 2))
        assert np.all(size[: i + 1] > 1e-6) and np.all(size[i + 1 :] == 0)


@pytest.mark.parametrize("with_context", [False, True])
def test_cached_steps_equal_the_whole_sequence(with_context):
    layer = decoder(CONTEXT if with_context else None)
    x = checks.images(X)
    context = checks.images(CONTEXT, seed=1) if with_context else None
    mask = np.array([[True] * 3 + [False] * 2, [True] * 5]) if with_context else None
    expected, self_map, cross_map = layer(
        x, context, context_mask=mask, return_attention_scores=True
    )
    assert self_map.shape == (2, 2, 6, 6)
    assert cross_map is None or cross_map.shape == (2, 2, 6, 5)
    cache = layer.initial_cache(2, 6, context)
    for i in range(6):
        y, *maps, cache = layer(
            x[:, i : i + 1],
            context_mask=mask,
            cache=cache,
            cache_index=i,
            return_attention_scores=True,
        )
        np.testing.assert_allclose(
            checks.numpy_of(y)[:, 0], checks.numpy_of(expected)[:, i], atol=1e-4
        )
        for step_map, whole in zip(maps, (self_map, cross_map), strict=True):
            if whole is not None:
                np.testing.assert_allclose(
                    checks.numpy_of(step_map)[:, :, 0],
                    checks.numpy_of(whole)[:, :, i],
                    atol=1e-5,
                )


# --- as any Keras layer -------------------------------------------------------


@on_tensorflow
def test_saves_and_loads(tmp_path):
    tokens = keras.Input((5,), dtype="int32")
    image = keras.Input((4, 6, 3))
    words = keras.layers.Embedding(7, 8, mask_zero=True)(tokens)
    words = PositionalEncoding("sinusoidal")(words)
    words = TransformerEncoderLayer(2, 12, dropout=0.1)(words)
    patches = PositionalEncoding()(PatchEmbedding((2, 3), 8)(image))
    patches = keras.layers.Reshape((4, 8))(patches)
    y, _, cross_map = TransformerDecoderLayer(2, 12, dropout=0.1)(
        patches, words, return_attention_scores=True
    )
    assert cross_map.shape == (None, 2, 4, 5)
    model = keras.Model([tokens, image], [y, cross_map])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    arrays = [np.array([[3, 1, 0, 0, 0]]), checks.images((1, 4, 6, 3))]
    expected, maps = model(arrays)
    np.testing.assert_allclose(
        checks.numpy_of(loaded(arrays)[0]), checks.numpy_of(expected), atol=1e-6
    )
    # The embedding's mask reaches the cross-attention through the encoder.
    assert np.all(checks.numpy_of(maps)[..., 2:] == 0)


@pytest.mark.parametrize("layer", [TransformerEncoderLayer, TransformerDecoderLayer])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 12), "num_heads=0"),
        ((2, 0), "intermediate_dim=0"),
        ((2, 12, 1.0), "dropout=1.0"),
        ((3, 12), r"divisible by num_heads=3.*\(2, 6, 8\)"),
    ],
)
def test_bad_arguments(layer, arguments, message):
    with pytest.raises(ValueError, match=message):
        layer(*arguments).build(X)


@pytest.mark.parametrize("layer", [TransformerEncoderLayer, TransformerDecoderLayer])
def test_heads_share_the_channels(layer):
    for num_heads, width in ((1, 8), (2, 8), (4, 12)):
        made = layer(num_heads, 1)
        assert tuple(made(checks.images((2, 6, width))).shape) == (2, 6, width)
        attention = made.self_attention
        assert attention.key_dim == attention.value_dim == width // num_heads


def test_the_mask_goes_on():
    tokens = np.array([[3, 1, 0, 0], [2, 0, 0, 0]])
    embedded = keras.layers.Embedding(5, 8, mask_zero=True)(tokens)
    mask = TransformerEncoderLayer(2, 12)(embedded)._keras_mask
    np.testing.assert_array_equal(checks.numpy_of(mask), tokens != 0)


def test_a_context_in_some_calls_is_refused():
    x, context = checks.images((2, 6, 8)), checks.images((2, 5, 4), seed=1)
    for built, called, words in ((None, context, "a"), (context, None, "no")):
        layer = TransformerDecoderLayer(2, 12)
        layer(x, built)
        with pytest.raises(ValueError, match=f"Received: {words} context"):
            layer(x, called)


def test_a_given_mask_comes_before_the_cached_one():
    """And a cache without a mask admits all of the context."""
    layer = TransformerDecoderLayer(2, 12)
    x, context = checks.images((2, 6, 8)), checks.images((2, 5, 4), seed=1)
    layer(x, context)
    mask, other = np.arange(5) < [[2], [4]], np.arange(5) < [[5], [1]]
    kept = layer.initial_cache(2, 6, context, context_mask=mask)
    free = layer.initial_cache(2, 6, context)
    assert (len(kept), len(free)) == (3, 2)
    for cache, given, expected in (
        *((kept, None, mask), (kept, other, other)),
        *((free, None, None), (free, other, other)),
    ):
        y, *_ = layer(x, cache=cache, cache_index=0, context_mask=given)
        whole = layer(x, context, context_mask=expected)
        np.testing.assert_allclose(
            checks.numpy_of(y), checks.numpy_of(whole), atol=1e-5
        )
