"""Texts as the condition of flows: words that positions of the U-Net attend to."""

import checks
import keras
import numpy as np
import pytest
import reference
from keras import ops

from tfattn.models import AttentionFlow, ImageTransformer
from tfattn.models.flow.unet import NUM_HEADS, _with_words

SHAPE = (8, 12, 1)
WORDS = ("red", "green", "blue", "chin-length")
TEXTS = ["Red, green!", "blue"]
NUMBERS = [[2, 3, 0], [4, 0, 0]]
EAGER = keras.backend.backend() != "jax"  # a graph takes long for one step


def flow(**arguments):
    return AttentionFlow(SHAPE, vocabulary=WORDS, max_words=3, width=8, **arguments)


def randomize(network, seed=0):
    rng = np.random.default_rng(seed)
    network.set_weights(
        [rng.normal(scale=0.2, size=w.shape) for w in network.get_weights()]
    )


@pytest.fixture(scope="module")
def model():
    made = flow()
    randomize(made.trained_network)
    made.average_network.set_weights(made.trained_network.get_weights())
    return made


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(1).normal(size=(2, *SHAPE)).astype("float32")


def inputs_of(x, t, words):
    times = np.full(len(x), t, "float32")
    words = np.array(words, "int32")
    return [ops.convert_to_tensor(a) for a in (x, times, words)]


def velocity(model, x, words, t=0.3):
    return checks.numpy_of(model.average_network(inputs_of(x, t, words)))


def by_loops(x, words, mask, weights):
    """x + attention(norm(x)), one position after the other."""
    n, h, w, c = x.shape
    query = np.zeros((n, h * w, c))
    for i in range(n):
        for group in np.split(np.arange(c), 8):
            values = x[i][:, :, group].astype("float64")
            normal = (values - values.mean()) / np.sqrt(values.var() + 1e-3)
            query[i][:, group] = normal.reshape(h * w, -1)
    y, _ = reference.multi_head_attention(
        query, words, words, weights, NUM_HEADS, lambda n, head, i, j: mask[n, j]
    )
    return x + y.reshape(x.shape)


@pytest.mark.backend
def test_positions_attend_to_words_by_loops():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 2, 3, 16)).astype("float32")
    words = rng.normal(size=(2, 5, 24)).astype("float32")
    mask = np.array([[True, True, False, True, False], [True] + 4 * [False]])
    inputs = [keras.Input(a.shape[1:], dtype=str(a.dtype)) for a in (x, words, mask)]
    block = keras.Model(inputs, _with_words(*inputs))
    arrays = [ops.convert_to_tensor(a) for a in (x, words, mask)]
    # At the start the words change nothing.
    np.testing.assert_array_equal(checks.numpy_of(block(arrays)), x)
    randomize(block)
    (norm,) = (
        layer
        for layer in block.layers
        if isinstance(layer, keras.layers.GroupNormalization)
    )
    norm.gamma.assign(np.ones(16))
    norm.beta.assign(np.zeros(16))
    weights = reference.projection_weights(block.get_layer("word_attention"))
    expected = by_loops(x, words, mask, weights)
    np.testing.assert_allclose(checks.numpy_of(block(arrays)), expected, atol=1e-4)


def test_the_mean_of_null_and_words_joins_the_time(model, noise):
    network = model.average_network
    inputs = inputs_of(noise, 0.5, [[2, 3, 0], [0, 0, 0]])
    mean = keras.Model(network.inputs, network.get_layer("class_embedding").input)
    found = checks.numpy_of(mean(inputs))
    words, _ = network.get_layer("text_encoder")(inputs[-1])
    words = checks.numpy_of(words)
    (null,) = (checks.numpy_of(w) for w in network.weights if w.path.endswith("/null"))
    expected = (null + words[0, 0] + words[0, 1]) / 3
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    np.testing.assert_allclose(found[1], null, atol=1e-6)


def test_each_word_and_their_order_change_the_velocity(model, noise):
    first, *others = (
        velocity(model, noise, [words] * 2)
        for words in ([2, 3, 0], [3, 2, 0], [2, 4, 0], [2, 3, 4], [0, 0, 0])
    )
    for other in others:
        assert np.abs(first - other).max() > 1e-3


def test_what_stands_where_there_is_no_word_does_not_count(model, noise):
    words = [[2, 3, 0], [0, 0, 0]]
    table = model.average_network.get_layer("text_encoder").embedding.embeddings
    before, kept = velocity(model, noise, words), ops.convert_to_numpy(table) + 0
    changed = kept.copy()
    changed[0] += np.arange(kept.shape[1])
    table.assign(changed)
    after = velocity(model, noise, words)
    table.assign(kept)
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_no_condition_is_no_word(model, noise):
    expected = velocity(model, noise, np.zeros((2, 3)))
    assert np.isfinite(expected).all()
    found = checks.numpy_of(model.velocity(ops.convert_to_tensor(noise), 0.3))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.backend
def test_guidance_starts_from_no_word(model, noise):
    """One Euler step: x + v₀ + w (v_text − v₀), of texts as of their numbers."""
    text, nothing = (
        velocity(model, noise, words, t=0.0) for words in (NUMBERS, np.zeros((2, 3)))
    )
    for weight in (1.0, 2.5):
        found = model.generate_from(
            noise, TEXTS, guidance=weight, num_steps=1, solver="euler"
        )
        end = noise + nothing + weight * (text - nothing)
        expected = np.clip((256 * (0.5 + 0.5 * end) - 0.5) / 255, 0, 1)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_words_are_dropped_text_by_text(model):
    words = np.tile([2, 3, 0], (4000, 1)).astype("int32")
    kept = model._without_some(ops.convert_to_tensor(words))
    assert keras.backend.standardize_dtype(kept.dtype) == "int32"
    kept = ops.convert_to_numpy(kept)
    dropped = np.all(kept == 0, axis=1)
    assert abs(dropped.mean() - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 4000)
    np.testing.assert_array_equal(kept[~dropped], words[~dropped])


@pytest.mark.backend
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_step_without_any_word_trains_the_null_vector_alone(policy):
    """Of what reads texts: no NaN, and no gradient of words that are not there."""
    model = flow(dtype=policy)
    randomize(model.trained_network)
    model.label_dropout = 1.0
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=EAGER)

    def weights(part):
        return {
            w.path: ops.convert_to_numpy(w) + 0
            for w in model.trained_network.weights
            if part in w.path
        }

    null, encoder = weights("/null"), weights("text_encoder")
    assert len(null) == 1 and len(encoder) > 20
    x = np.random.default_rng(0).random((2, *SHAPE), "float32")
    assert np.isfinite(model.train_on_batch(x, TEXTS)).all()
    for path, before in encoder.items():
        np.testing.assert_array_equal(weights("text_encoder")[path], before)
    for path, before in null.items():
        assert np.abs(weights("/null")[path] - before).max() > 1e-6
    assert all(np.isfinite(w).all() for w in weights("").values())
    precision = model.trained_network.get_layer("text_encoder").compute_dtype
    assert precision == policy.removeprefix("mixed_")
    assert model._text_encoder.compute_dtype == "float32"


def test_maps_of_words(model, noise):
    maps = model.word_attention_maps(noise, 0.5, TEXTS)
    assert maps.shape == (2, NUM_HEADS, 2, 3, 3)
    assert (maps[0, ..., 2] == 0).all() and (maps[1, ..., 1:] == 0).all()
    network = model.average_network
    attention = network.get_layer("word_attention")
    query, words, mask = (
        ops.convert_to_numpy(part)
        for part in keras.Model(network.inputs, attention.input)(
            inputs_of(noise, 0.5, NUMBERS)
        )
    )
    weights = reference.projection_weights(attention)
    _, expected = reference.multi_head_attention(
        query, words, words, weights, NUM_HEADS, lambda n, head, i, j: mask[n, j]
    )
    found = maps.reshape(2, NUM_HEADS, 6, 3)
    np.testing.assert_allclose(found, expected[..., 1:], atol=1e-5)
    np.testing.assert_allclose(1 - found.sum(axis=-1), expected[..., 0], atol=1e-5)
    assert maps.std(axis=(2, 3)).max() > 1e-3  # positions differ
    with pytest.raises(ValueError, match="a model with a vocabulary"):
        AttentionFlow(SHAPE, width=8).word_attention_maps(noise, 0.5, TEXTS)


@pytest.mark.backend
@pytest.mark.slow
def test_the_likelihood_reads_texts(model):
    x = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)) / np.float32(255)
    one, other = (
        model.log_likelihood(x, texts, num_steps=1, solver="euler")
        for texts in (TEXTS, TEXTS[::-1])
    )
    assert np.isfinite(one).all() and np.abs(one - other).min() > 1e-3


@pytest.mark.backend
def test_a_file_holds_the_vocabulary(model, noise, tmp_path):
    model.save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras")
    assert tuple(loaded.vocabulary) == WORDS and loaded.max_words == 3
    # The network alone can be made anew as well.
    network = keras.Model.from_config(model.average_network.get_config())
    network.set_weights(loaded.average_network.get_weights())
    found = network(inputs_of(noise, 0.3, loaded._checked_condition(TEXTS, 2)))
    expected = velocity(model, noise, NUMBERS)
    np.testing.assert_allclose(checks.numpy_of(found), expected, atol=1e-5)


@pytest.fixture(scope="module")
def transformer():
    return ImageTransformer(
        SHAPE, condition="text", vocabulary=WORDS, max_words=3, width=4, num_layers=1
    )


@pytest.mark.parametrize(
    "texts", [["red", "pink"], ["red"], "red", ["red", "red " * 4], ["red", "?"], None]
)
def test_other_texts_are_refused_as_by_the_transformer(
    model, transformer, noise, texts
):
    with pytest.raises(ValueError, match="texts") as expected:
        transformer.generate(2, texts)
    with pytest.raises(ValueError) as found:
        model.generate_from(noise, texts)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary": WORDS}, r"vocabulary and max_words.*\['vocabulary'\]"),
        ({"max_words": 3}, r"vocabulary and max_words.*\['max_words'\]"),
        ({"vocabulary": WORDS, "max_words": 3, "num_classes": 3}, "num_classes, or"),
        ({"vocabulary": WORDS, "max_words": 0}, "max_words"),
        ({"vocabulary": (), "max_words": 3}, "vocabulary of different words"),
        ({"vocabulary": WORDS, "max_words": 3, "network": "dit"}, "network='unet'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttentionFlow(SHAPE, width=8, **arguments)
