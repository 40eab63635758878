"""What holds for layers of any size and any options: examples by machine."""

import tempfile
from pathlib import Path

import checks
import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from keras import ops

from tfattn import layers

pytestmark = pytest.mark.ci
any_example = hypothesis.settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
small_size = st.integers(1, 5)


@st.composite
def self_attentions(draw, **fixed):
    """Arguments of a `SelfAttention2D`, and a map (b, h, w, c) that it takes."""
    variant = draw(st.sampled_from(["biggan", "paper", "article"]))
    pool = draw(st.sampled_from([1, 2, 3]))
    arguments = {
        "variant": variant,
        "key_ratio": draw(st.sampled_from([1, 2, 8])),
        "value_ratio": 1 if variant == "article" else draw(st.sampled_from([1, 2])),
        "pool_size": pool,
        "use_bias": draw(st.booleans()),
        "spectral_norm": draw(st.booleans()),
        **fixed,
    }
    pool = arguments["pool_size"]
    h, w = (draw(st.integers(pool, pool + 4)) for _ in range(2))
    return arguments, (draw(small_size), h, w, draw(st.sampled_from([8, 11])))


def attention(arguments, shape, **more):
    """The layer with γ = 0.7 and weights that matter, and a map of this shape."""
    layer = checks.built(
        lambda **kwargs: layers.SelfAttention2D(**kwargs, **arguments, **more), shape
    )
    return layer, checks.images(shape, seed=3)


@any_example
@hypothesis.given(self_attentions())
def test_maps_are_distributions_and_symbolic_shapes_the_real_ones(example):
    arguments, shape = example
    layer, x = attention(arguments, shape)
    y, maps = layer(x, return_attention_scores=True)
    y, maps = checks.numpy_of(y), checks.numpy_of(maps)
    assert np.all(np.isfinite(y)) and np.all(maps >= 0)
    np.testing.assert_allclose(maps.sum(axis=(-2, -1)), 1, atol=1e-5)
    unknown = keras.Input((None, None, shape[-1]))
    for found, symbolic in zip(
        (y, maps), layer(unknown, return_attention_scores=True), strict=True
    ):
        for size, known in zip(found.shape, symbolic.shape, strict=True):
            assert known in (None, size)
    known = keras.Input(shape[1:])
    for found, symbolic in zip(
        (y, maps), layer(known, return_attention_scores=True), strict=True
    ):
        assert tuple(symbolic.shape[1:]) == found.shape[1:]


@any_example
@hypothesis.given(self_attentions(pool_size=1), st.randoms())
def test_permuted_places_permute_the_output(example, random):
    arguments, (b, h, w, c) = example
    layer, x = attention(arguments, (b, h, w, c))
    order = random.sample(range(h * w), h * w)

    def permuted(z):
        return z.reshape(b, h * w, c)[:, order].reshape(b, h, w, c)

    found = checks.numpy_of(layer(permuted(x)))
    expected = permuted(checks.numpy_of(layer(x)))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@any_example
@hypothesis.given(self_attentions(), st.integers(1, 7))
def test_chunks_have_the_values_and_the_gradients_of_the_whole(example, chunk_size):
    arguments, shape = example
    found, weights = [], None
    for size in (None, chunk_size):
        layer, x = attention(arguments, shape, chunk_size=size)
        weights = weights or layer.get_weights()
        layer.set_weights(weights)
        cotangent = ops.convert_to_tensor(checks.images(shape, seed=5))
        (gradient,) = checks.gradients_of(
            lambda x, layer=layer, c=cotangent: ops.sum(layer(x) * c)
        )(ops.convert_to_tensor(x))
        found.append([checks.numpy_of(layer(x)), checks.numpy_of(gradient)])
    for whole, chunked in zip(*found, strict=True):
        np.testing.assert_allclose(chunked, whole, atol=2e-4)


@any_example
@hypothesis.given(self_attentions(), st.sampled_from(["float16", "bfloat16"]))
def test_half_precision_is_near(example, dtype):
    arguments, shape = example
    layer, x = attention(arguments, shape)
    half, _ = attention(arguments, shape, dtype=f"mixed_{dtype}")
    half.set_weights(layer.get_weights())
    expected = checks.numpy_of(layer(x))
    found = checks.numpy_of(ops.cast(half(x), "float32"))
    tolerance = {"float16": 0.02, "bfloat16": 0.15}[dtype]
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()


@any_example
@hypothesis.given(
    st.sampled_from([1, 2, 3]),
    st.integers(1, 6),
    st.booleans(),
    st.integers(1, 3),
)
def test_cached_steps_equal_the_whole_sequence(num_heads, length, with_context, step):
    layer = layers.TransformerDecoderLayer(num_heads, 5)
    x = checks.images((2, length, 4 * num_heads))
    context = checks.images((2, 3, 7), seed=1) if with_context else None
    expected = checks.numpy_of(layer(x, context))
    cache = layer.initial_cache(2, length, context)
    for start in range(0, length, step):
        part = x[:, start : start + step]
        y, cache = layer(part, cache=cache, cache_index=start)
        np.testing.assert_allclose(
            checks.numpy_of(y), expected[:, start : start + step], atol=1e-4
        )


SAVED = {
    "self": (
        layers.SelfAttention2D,
        {"variant": st.sampled_from(["paper", "article"])},
    ),
    "gate": (layers.AttentionGate, {"filters": small_size}),
    "module": (layers.AttentionModule, {"axis": st.sampled_from([-1, 1, (1, 2)])}),
    "residual": (layers.ResidualBlock2D, {"spectral_norm": st.booleans()}),
    "uniform": (layers.UniformAttention2D, {"spectral_norm": st.booleans()}),
    "patches": (layers.PatchEmbedding, {"width": small_size}),
    "positions": (
        layers.PositionalEncoding,
        {"kind": st.sampled_from(["learned", "sinusoidal"])},
    ),
    "depth": (layers.DepthToSpace, {}),
}


@pytest.mark.parametrize("name", SAVED)
def test_saved_and_loaded_it_is_the_same(name):
    made, options = SAVED[name]
    fixed = {"patch_size": (2, 3)} if name == "patches" else {}

    @hypothesis.settings(any_example, max_examples=6)
    @hypothesis.given(st.fixed_dictionaries(options))
    def check(arguments):
        x = checks.images((2, 4, 6, 16))
        inputs = keras.Input(x.shape[1:])
        model = keras.Model(inputs, made(**fixed, **arguments)(inputs))
        checks.enliven(model, gamma=0.7)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            loaded = keras.saving.load_model(path)
        np.testing.assert_array_equal(
            *(checks.numpy_of(one(x)) for one in (model, loaded))
        )

    check()
