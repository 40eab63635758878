import checks
import keras
import numpy as np
import pytest
import reference
from keras import ops

from tfattn.layers import MultiHeadAttention, multi_head_attention

pytestmark = pytest.mark.backend

# Batch 2, 3 queries of 10 channels, 5 keys of 6 and values of 7; 4 heads of 8 and 9.
QUERY, KEY, VALUE = (2, 3, 10), (2, 5, 6), (2, 5, 7)


def built(query=QUERY, value=VALUE, key=KEY, layer_class=MultiHeadAttention, **kwargs):
    """A layer whose weights are large enough for maps far from uniform."""
    layer = layer_class(4, 8, value_dim=9, **kwargs)
    layer.build(query, value, key)
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return layer


def inputs(*shapes):
    return [checks.images(shape, seed) for seed, shape in enumerate(shapes)]


def random_masks(seed=3):
    """A mask of each kind, each query with a key left."""
    rng = np.random.default_rng(seed)
    value_mask, key_mask = rng.random((2, 2, 5)) < 0.8
    attention_mask = rng.random((2, 4, 3, 5)) < 0.7
    value_mask[:, 0] = key_mask[:, 0] = attention_mask[..., 0] = True
    query_mask = np.array([[True, True, False], [True, False, True]])
    return query_mask, value_mask, key_mask, attention_mask


# --- against loops and against Keras ------------------------------------------


def difference_from_loops(layer_class, masked):
    """The largest in output and map, with no mask or with one of each kind."""
    layer = built(layer_class=layer_class)
    query, key, value = inputs(QUERY, KEY, VALUE)
    query_mask, value_mask, key_mask, attention_mask = random_masks()
    arguments = {
        "query_mask": query_mask,
        "value_mask": value_mask,
        "key_mask": key_mask,
        "attention_mask": attention_mask,
        "use_causal_mask": True,
    }

    def admitted(n, head, i, j):
        return not masked or (
            query_mask[n, i]
            and value_mask[n, j]
            and key_mask[n, j]
            and attention_mask[n, head, i, j]
            and j <= i
        )

    found = layer(
        query,
        value,
        key,
        return_attention_scores=True,
        **(arguments if masked else {}),
    )
    expected = reference.multi_head_attention(
        query, value, key, reference.projection_weights(layer), 4, admitted
    )
    return max(
        np.abs(checks.numpy_of(ours) - theirs).max()
        for ours, theirs in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("masked", [False, True])
def test_equals_loops(masked):
    assert difference_from_loops(MultiHeadAttention, masked) < 1e-5


@pytest.mark.parametrize(
    ("causal", "mask_rank"), [(False, None), (True, None), (True, 2), (False, 3)]
)
def test_equals_keras(causal, mask_rank):
    """Weight for weight: output, map, and the gradients of all inputs."""
    layer = built()
    twin = checks.keras_attention(layer, QUERY, VALUE, KEY)
    query, key, value = (ops.convert_to_tensor(x) for x in inputs(QUERY, KEY, VALUE))
    mask = None
    if mask_rank is not None:
        mask = random_masks()[-1]
        mask = mask[0, 0] if mask_rank == 2 else mask[:, 0]
    cotangent = ops.convert_to_tensor(checks.images(QUERY, seed=5))
    found = []
    for one in (layer, twin):

        def run(q, v, k, one=one):
            # With its map, for on JAX Keras cannot do without if value_dim ≠ key_dim.
            return one(
                q,
                v,
                k,
                attention_mask=mask,
                use_causal_mask=causal,
                return_attention_scores=True,
            )

        y, maps = run(query, value, key)
        gradients = checks.gradients_of(
            lambda q, v, k, run=run: ops.sum(run(q, v, k)[0] * cotangent)
        )(query, value, key)
        found.append([checks.numpy_of(x) for x in (y, maps, *gradients)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)


def test_equals_keras_with_masks_of_the_inputs():
    """Embeddings mask their padding; queries that are padding have no weights here."""
    tokens = np.array([[3, 1, 4, 0, 0], [2, 5, 0, 0, 0]])
    embedding = keras.layers.Embedding(6, 7, mask_zero=True)
    query = checks.images(QUERY)
    layer = built(key=VALUE)
    # Embedded anew for each: Keras's layer takes the mask off its input.
    y = layer(query, embedding(tokens))
    expected, _ = checks.keras_attention(layer, QUERY, VALUE)(
        query, embedding(tokens), return_attention_scores=True
    )
    np.testing.assert_allclose(checks.numpy_of(y), checks.numpy_of(expected), atol=1e-5)
    layer = built(query=VALUE, key=VALUE)
    x = embedding(tokens)
    y, maps = layer(x, x, return_attention_scores=True)
    maps = checks.numpy_of(maps)
    assert np.all(maps[0, ..., 3:] == 0) and np.all(maps[0, :, 3:] == 0)
    x = embedding(tokens)
    expected, _ = checks.keras_attention(layer, VALUE, VALUE)(
        x, x, return_attention_scores=True
    )
    np.testing.assert_allclose(
        checks.numpy_of(y)[tokens > 0], checks.numpy_of(expected)[tokens > 0], atol=1e-5
    )


def test_nothing_admitted_gives_the_output_bias():
    layer = built()
    query, key, value = inputs(QUERY, KEY, VALUE)
    mask = np.ones((2, 3, 5), bool)
    mask[0, 1] = False
    y, maps = layer(
        query, value, key, attention_mask=mask, return_attention_scores=True
    )
    maps = checks.numpy_of(maps)
    np.testing.assert_array_equal(maps[0, :, 1], 0)
    np.testing.assert_allclose(np.delete(maps[0], 1, axis=1).sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        checks.numpy_of(y)[0, 1], checks.numpy_of(layer.output_dense.bias), atol=1e-6
    )


# --- the cache ----------------------------------------------------------------


@pytest.mark.parametrize("steps", [(1, 1, 1, 1, 1, 1), (4, 1, 1), (2, 3, 1)])
def test_steps_equal_the_causal_pass(steps):
    """In steps of one token or more, into a cache that is longer than needed."""
    shape = (2, 6, 10)
    layer = built(query=shape, value=shape, key=shape)
    x = checks.images(shape)
    expected, expected_maps = layer(
        x, x, use_causal_mask=True, return_attention_scores=True
    )
    cache = layer.initial_cache(2, 8)
    index = 0
    for size in steps:
        part = x[:, index : index + size]
        y, maps, cache = layer(
            part, part, cache=cache, cache_index=index, return_attention_scores=True
        )
        step = slice(index, index + size)
        np.testing.assert_allclose(
            checks.numpy_of(y), checks.numpy_of(expected)[:, step], atol=1e-5
        )
        maps = checks.numpy_of(maps)
        np.testing.assert_array_equal(maps[..., 6:], 0)
        np.testing.assert_allclose(
            maps[..., :6], checks.numpy_of(expected_maps)[:, :, step], atol=1e-5
        )
        index += size


def test_projected_cache_equals_cross_attention():
    layer = built()
    query, key, value = inputs(QUERY, KEY, VALUE)
    mask = random_masks()[-1]
    expected = layer(query, value, key, attention_mask=mask)
    cache = layer.project_cache(value, key)
    y = layer(query, np.zeros(VALUE), cache=cache, attention_mask=mask)
    np.testing.assert_allclose(checks.numpy_of(y), checks.numpy_of(expected), atol=1e-5)


# --- as any Keras layer -------------------------------------------------------


@pytest.mark.parametrize(
    "dtype_policy", ["mixed_float16", "mixed_bfloat16"], indirect=True
)
def test_half_precision(dtype_policy):
    """Scores around 1e6, which float16 cannot hold, and a softmax that stays exact."""
    layer = built()
    query, key, value = inputs(QUERY, KEY, VALUE)
    y, maps = layer(100 * query, value, 100 * key, return_attention_scores=True)
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    assert np.all(np.isfinite(checks.numpy_of(ops.cast(y, "float32"))))
    rows = checks.numpy_of(ops.cast(maps, "float32")).sum(-1)
    np.testing.assert_allclose(rows, 1, atol=1e-2)
    for part in layer.project_cache(value, key):
        assert keras.backend.standardize_dtype(part.dtype) == layer.compute_dtype


def test_dropout_drops_in_training_alone():
    layer = built(dropout=0.5)
    query, key, value = inputs(QUERY, KEY, VALUE)
    y, maps = layer(query, value, key, return_attention_scores=True)
    dropped, training_maps = layer(
        query, value, key, return_attention_scores=True, training=True
    )
    without = built()(query, value, key)
    np.testing.assert_allclose(checks.numpy_of(y), checks.numpy_of(without), atol=1e-6)
    assert np.abs(checks.numpy_of(dropped) - checks.numpy_of(y)).max() > 0.1
    np.testing.assert_allclose(
        checks.numpy_of(training_maps), checks.numpy_of(maps), atol=1e-6
    )


def test_saves_and_loads(tmp_path):
    query = keras.Input((None, 10))
    value = keras.Input((5, 7))
    layer = MultiHeadAttention(2, 3, value_dim=4, dropout=0.1, use_bias=False)
    y, maps = layer(query, value, return_attention_scores=True)
    assert y.shape == (None, None, 10) and maps.shape == (None, 2, None, 5)
    model = keras.Model([query, value], [y, maps])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    arrays = inputs(QUERY, VALUE)
    for ours, theirs in zip(model(arrays), loaded(arrays), strict=True):
        np.testing.assert_array_equal(checks.numpy_of(ours), checks.numpy_of(theirs))
    assert [v.path.split("/")[1:] for v in layer.trainable_variables] == [
        [name, "kernel"] for name in ("query", "key", "value", "output")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 0}, "num_heads=0"),
        ({"key_dim": 1.5}, "key_dim=1.5"),
        ({"value_dim": 0}, "value_dim=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(**{"num_heads": 2, "key_dim": 4, **arguments})


@pytest.mark.parametrize(
    ("shapes", "arguments", "message"),
    [
        (((2, 3), (2, 5, 7)), {}, r"query of shape \(2, 3\)"),
        (((2, 3, 4), (2, 5, 7), (2, 6, 7)), {}, r"key of shape \(2, 6, 7\)"),
        (((2, 3, 4), (2, 5, 7)), {"query_mask": (2, 5)}, r"query_mask of shape"),
        (((2, 3, 4), (2, 5, 7)), {"value_mask": (2, 3)}, r"\(2, 3\)"),
        (((2, 3, 4), (2, 5, 7)), {"attention_mask": (5, 3)}, r"\(5, 3\)"),
        (((2, 3, 4), (2, 5, 7)), {"attention_mask": (2, 3, 3, 5)}, "attention_mask of"),
    ],
)
def test_bad_inputs(shapes, arguments, message):
    masks = {name: np.ones(shape, bool) for name, shape in arguments.items()}
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(4, 2)(*inputs(*shapes), **masks)


def test_one_head_of_one_channel():
    layer = MultiHeadAttention(1, 1, value_dim=1)
    assert tuple(layer(*inputs(QUERY, VALUE, KEY)).shape) == QUERY
    with pytest.raises(ValueError, match=r"key_dim.*integer >= 1.*0"):
        MultiHeadAttention(1, 0)


@pytest.mark.parametrize(
    "shapes",
    [
        *(((2, 3, 5, 10), VALUE, KEY), (QUERY, (2, 3, 5, 7), KEY)),
        *((QUERY, VALUE, (2, 4, 6)), (QUERY, VALUE, (2, 6, 6))),
    ],
)
def test_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match=r"Expected `(query|value|key)`.*Received"):
        MultiHeadAttention(4, 8).build(*shapes)


def test_many_positions_of_key_and_value():
    """More than 256: small integers alone are the same object in Python."""
    query, value, key = inputs(QUERY, (2, 300, 7), (2, 300, 6))
    _, maps = MultiHeadAttention(4, 8)(query, value, key, return_attention_scores=True)
    assert tuple(maps.shape) == (2, 4, 3, 300)


@pytest.mark.parametrize(
    "shape",
    [(5,), (3,), (2, 5), (0, 5), (3, 2), (3, 5, 1), (1, 2, 4, 3, 5)],
)
def test_masks_that_do_not_fit(shape):
    layer = built()
    with pytest.raises(
        ValueError, match=r"Expected `attention_mask` of shape \(3, 5\)"
    ):
        layer(*inputs(QUERY, VALUE, KEY), attention_mask=np.ones(shape, bool))


def test_a_mask_of_one_row_is_that_of_all():
    layer, arrays = built(), inputs(QUERY, VALUE, KEY)
    row = np.array([[True, False, True, True, False]])
    one, all_rows = (
        checks.numpy_of(layer(*arrays, attention_mask=mask))
        for mask in (row, np.repeat(row, 3, axis=0))
    )
    np.testing.assert_array_equal(one, all_rows)


def test_the_mask_of_the_query_goes_on():
    tokens = np.array([[3, 1, 0, 0], [2, 0, 0, 0]])
    embedded = keras.layers.Embedding(5, 10, mask_zero=True)(tokens)
    y = MultiHeadAttention(2, 3)(embedded, checks.images((2, 5, 7)))
    np.testing.assert_array_equal(checks.numpy_of(y._keras_mask), tokens != 0)


def test_bad_cache():
    x = checks.images((2, 3, 4))
    layer = MultiHeadAttention(4, 2)
    with pytest.raises(ValueError, match="cache=None, cache_index=3"):
        layer(x, x, cache_index=3)
    with pytest.raises(ValueError, match="a cache of 5, cache_index=3"):
        layer(x, x, cache=layer.initial_cache(2, 5), cache_index=3)


# --- mutants ------------------------------------------------------------------


class HeadsAttendToHeads(MultiHeadAttention):
    """The published bug: the batch's axis is taken for the positions'."""

    def _split_heads(self, x):
        b, positions, channels = x.shape
        return ops.reshape(
            x, (b, self.num_heads, positions, channels // self.num_heads)
        )


def softmax_over_queries(query, key, mask=None, sharpness=1.0):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) * sharpness
    return ops.softmax(scores, axis=-2)


def not_scaled(query, key, mask=None, sharpness=1.0):
    return right(query, key, mask)


def mask_inverted(query, key, mask=None, sharpness=1.0):
    mask = None if mask is None else ops.logical_not(mask)
    return right(query, key, mask, sharpness)


def mask_dropped(query, key, mask=None, sharpness=1.0):
    return right(query, key, None, sharpness)


right = multi_head_attention.attention_weights


@pytest.mark.parametrize("mutant", [softmax_over_queries, not_scaled])
def test_mutant_of_the_map_is_killed(mutant, monkeypatch):
    monkeypatch.setattr(multi_head_attention, "attention_weights", mutant)
    assert difference_from_loops(MultiHeadAttention, masked=False) > 0.1


@pytest.mark.parametrize("mutant", [mask_inverted, mask_dropped])
def test_mutant_of_the_mask_is_killed(mutant, monkeypatch):
    monkeypatch.setattr(multi_head_attention, "attention_weights", mutant)
    # Without a mask they are the correct layer: only a test of masks finds them.
    assert difference_from_loops(MultiHeadAttention, masked=False) < 1e-5
    assert difference_from_loops(MultiHeadAttention, masked=True) > 0.1


def test_heads_that_attend_to_heads_are_killed():
    assert difference_from_loops(HeadsAttendToHeads, masked=False) > 0.1
