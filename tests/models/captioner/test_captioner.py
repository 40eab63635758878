"""The captioner against sums over all texts, and searches written as loops."""

import itertools

import checks
import keras
import numpy as np
import pytest
import reference
from keras import ops

from tfattn.models import ImageCaptioner

WORDS = ("red", "green", "blue")
SHAPE = (4, 6, 2)
# All of 1 to 3 words: 3 + 9 + 27.
TEXTS = [
    " ".join(text)
    for length in (1, 2, 3)
    for text in itertools.product(WORDS, repeat=length)
]


def model(spread=0.7, **arguments):
    """A small model whose weights are far from their start, and whose images count."""
    made = ImageCaptioner(
        WORDS,
        **{
            "max_words": 3,
            "image_shape": SHAPE,
            "patch_size": (2, 1),
            "num_heads": 2,
            "width": 8,
            **arguments,
        },
    )
    rng = np.random.default_rng(1)
    for variable in made.trainable_variables:
        variable.assign(rng.normal(0, spread, variable.shape))
    made.decoder.head.bias.assign(np.zeros(5))
    for layer in made.decoder.decoder_layers:
        for kernel, factor in (
            (layer.cross_attention.output_dense.kernel, 3),
            (layer.contract.kernel, 1 / 3),
        ):
            kernel.assign(factor * ops.convert_to_numpy(kernel))
    return made


def images(n=2, seed=0):
    """Each with its own share of bright pixels."""
    rng = np.random.default_rng(seed)
    bright = rng.random((n, *SHAPE)) < rng.random((n, 1, 1, 2))
    return bright.astype("float32")


def of_all_texts(made, x):
    """log p of all texts of each image: (n, texts)."""
    found = [made.log_likelihood(x, [text] * len(x)) for text in TEXTS]
    return np.stack(found, axis=1).astype("float64")


def normalized(x, layer):
    """Layer normalization of each row."""
    centered = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(centered.var(axis=-1, keepdims=True) + 1e-5)
    gamma, beta = checks.numpy_of(layer.gamma), checks.numpy_of(layer.beta)
    return gamma * centered / deviation + beta


def affine(x, layer):
    return x @ checks.numpy_of(layer.kernel) + checks.numpy_of(layer.bias)


def attended(layer, query, value, admitted=lambda *_: True):
    """One image's attention by loops, and its map."""
    weights = reference.projection_weights(layer)
    output, maps = reference.multi_head_attention(
        query[None], value[None], value[None], weights, layer.num_heads, admitted
    )
    return output[0], maps[0]


def feed_forward(layer, x):
    y = np.maximum(affine(normalized(x, layer.feed_forward_norm), layer.expand), 0)
    return x + affine(y**2, layer.contract)


def by_hand(made, image, words):
    """Logits (max_words, values) and maps by layer, in NumPy, patch by patch.

    Of what cannot follow the logits are −inf.
    """
    encoder, decoder = made.encoder, made.decoder
    (ph, pw), (rows, columns) = encoder.embedding.patch_size, encoder.grid
    tables = [checks.numpy_of(table) for table in encoder.positions.tables]
    x = []
    for row, column in np.ndindex(rows, columns):
        patch = image[ph * row : ph * (row + 1), pw * column : pw * (column + 1)]
        vector = affine(patch.reshape(-1), encoder.embedding.projection)
        x.append(vector + tables[0][row] + tables[1][column])
    x = np.array(x)
    for layer in encoder.encoder_layers:
        y = normalized(x, layer.self_attention_norm)
        x = feed_forward(layer, x + attended(layer.self_attention, y, y)[0])
    context, before, maps = normalized(x, encoder.norm), [1, *words[:-1]], []
    (table,) = (checks.numpy_of(table) for table in decoder.positions.tables)
    x = checks.numpy_of(decoder.embedding.embeddings)[before] + table
    for layer in decoder.decoder_layers:
        y = normalized(x, layer.self_attention_norm)
        x = x + attended(layer.self_attention, y, y, lambda n, head, i, j: j <= i)[0]
        y = normalized(x, layer.cross_attention_norm)
        y, of_words = attended(layer.cross_attention, y, context)
        x = feed_forward(layer, x + y)
        maps.append(of_words.reshape(*of_words.shape[:2], rows, columns))
    logits = affine(normalized(x, decoder.norm), decoder.head)
    for row, value in zip(logits, before, strict=True):
        row[1] = -np.inf
        if value == 1:
            row[0] = -np.inf
        if value == 0:
            row[2:] = -np.inf
    return logits, maps


# --- the network --------------------------------------------------------------


@pytest.mark.backend
@pytest.mark.parametrize("words", [[3, 2, 4], [4, 0, 0]])
def test_network_equals_loops(words):
    made, x = model(), images(2)
    rows = np.array([words] * 2, "int32")
    found = checks.numpy_of(made([x, rows])["logits"])
    text = made.tokenizer.texts(rows[:1]).tolist()
    maps = made.attention_maps(x, text * 2)
    for image, logits, of_image in zip(x, found, maps, strict=True):
        expected, expected_maps = by_hand(made, image, words)
        possible = np.isfinite(expected)
        np.testing.assert_allclose(logits[possible], expected[possible], atol=1e-3)
        assert np.all(logits[~possible] == -1e9)
        np.testing.assert_allclose(of_image, expected_maps, atol=1e-4)


@pytest.mark.backend
@pytest.mark.parametrize("dtype_policy", ["mixed_bfloat16"], indirect=True)
def test_mixed_precision(dtype_policy):
    made, x = model(), images(3)
    texts = ["red", "blue red", "green"]
    made.compile(keras.optimizers.Adam(1e-3))
    logs = made.fit(x, texts, verbose=0).history
    assert np.isfinite(logs["loss"][0])
    layer = made.encoder.encoder_layers[0]
    assert layer.compute_dtype == made.encoder.embedding.compute_dtype == "bfloat16"
    assert made.decoder.decoder_layers[0].compute_dtype == "bfloat16"
    assert made.decoder.head.compute_dtype == "float32"
    assert made.log_likelihood(x, texts).dtype == "float32"
    maps = made.attention_maps(x, texts)
    assert maps.dtype == "float32"
    np.testing.assert_allclose(maps.sum(axis=(-2, -1)), 1, atol=2e-2)
    assert made.describe(x).shape == (3, 1)


@pytest.mark.backend
def test_one_step_moves_every_weight(eagerly):
    made = model()
    made.compile(keras.optimizers.SGD(1.0))
    before = [ops.convert_to_numpy(v) + 0 for v in made.trainable_variables]
    made.fit(images(3), ["red blue", "green", "blue red red"], verbose=0)
    for variable, old in zip(made.trainable_variables, before, strict=True):
        moved = np.abs(ops.convert_to_numpy(variable) - old).max()
        # A key's bias adds the same number to all scores of a query.
        assert np.isfinite(moved)
        assert moved > 1e-6 or variable.path.endswith("key/bias"), variable.path


# --- the density --------------------------------------------------------------


def test_all_texts_together_have_probability_1():
    found = of_all_texts(model(), images(4))
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)
    assert np.exp(found).max() < 0.9 and np.ptp(found, axis=0).max() > 1


def test_log_likelihood_is_the_sum_over_the_words():
    """Each word, and the end, from the words before it: by a loop."""
    made, x = model(), images(1)
    for text in ("blue", "red red", "green blue red"):
        numbers, total = [2 + WORDS.index(word) for word in text.split()], 0.0
        for step in range(min(len(numbers) + 1, 3)):
            # What comes later is not known yet: any word may stand there.
            known = [*numbers[:step], *[3] * (3 - step)]
            logits = made.decoder(np.array([known], "int32"), made.encoder(x))
            logits = checks.numpy_of(logits)[0, step]
            possible = np.exp(logits[[0, 2, 3, 4]]) * [step > 0, 1, 1, 1]
            value = numbers[step] if step < len(numbers) else 0
            total += logits[value] - np.log(possible.sum())
        assert made.log_likelihood(x, [text])[0] == pytest.approx(total, abs=1e-4)


@pytest.mark.backend
def test_the_loss_is_the_mean_of_the_negative_log_likelihood():
    made, x = model(), images(3)
    texts = ["red", "Blue, green!", "blue blue red"]
    made.compile("sgd")
    nats = -made.log_likelihood(x, texts)
    loss = made.evaluate(x, texts, batch_size=3, verbose=0)
    assert loss == pytest.approx(nats.mean(), rel=1e-5)
    weights = np.array([0.5, 0.0, 2.0])
    loss = made.evaluate(x, texts, sample_weight=weights, verbose=0)
    assert loss == pytest.approx((weights * nats).mean(), rel=1e-5)


def test_batches_do_not_matter():
    made, x = model(), images(5)
    texts = ["red", "blue", "red blue", "green", "red red red"]
    whole = made.log_likelihood(x, texts)
    parts = made.log_likelihood(x, texts, batch_size=2)
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    alone = [made.log_likelihood(x[i : i + 1], [texts[i]])[0] for i in range(5)]
    np.testing.assert_allclose(whole, alone, atol=1e-5)


# --- the search ---------------------------------------------------------------


def beam_search(made, x, beam_width):
    """Of one image, with lists of beginnings: texts, the likeliest first."""
    beams, context = [((), 0.0, False)], made.encoder(x)
    for step in range(3):
        candidates = []
        for words, score, ended in beams:
            if ended:
                candidates.append((words, score, True))
                continue
            padded = np.array([[*words, *[0] * (3 - len(words))]], "int32")
            logits = checks.numpy_of(made.decoder(padded, context))[0, step]
            log_p = logits - np.log(np.exp(logits).sum())
            for value in (0, 2, 3, 4) if words else (2, 3, 4):
                more = () if value == 0 else (value,)
                candidates.append((words + more, score + log_p[value], value == 0))
        beams = sorted(candidates, key=lambda found: -found[1])[:beam_width]
    return [" ".join(WORDS[k - 2] for k in words) for words, _, _ in beams]


@pytest.mark.parametrize(
    "beam_width", [1, pytest.param(2, marks=pytest.mark.backend), 5]
)
def test_beam_search(beam_width):
    made, x = model(), images(4)
    found = made.describe(x, beam_width=beam_width, num_samples=beam_width)
    expected = [beam_search(made, image[None], beam_width) for image in x]
    assert found.tolist() == expected
    assert beam_width == 1 or len({tuple(texts) for texts in expected}) > 1
    best = made.describe(x, beam_width=beam_width, batch_size=3)
    assert best.tolist() == [[texts[0]] for texts in expected]


def test_a_beam_of_all_texts_finds_the_likeliest_in_order():
    made, x = model(), images(2)
    found = made.describe(x, beam_width=len(TEXTS), num_samples=len(TEXTS))
    order = np.argsort(-of_all_texts(made, x), axis=1)
    assert found.tolist() == np.array(TEXTS)[order].tolist()


@pytest.mark.parametrize(
    "temperature", [pytest.param(1.0, marks=pytest.mark.backend), 0.5]
)
def test_texts_are_drawn_with_their_probability(temperature):
    """Word by word: with another temperature the words' probabilities change."""
    made, x = model(max_words=2, spread=0.3), images(1)
    found = made.describe(x, temperature=temperature, num_samples=20_000, seed=3)[0]
    context, expected = made.encoder(x), {}

    def powers(words, step):
        padded = np.array([[*words, *[0] * (2 - len(words))]], "int32")
        logits = checks.numpy_of(made.decoder(padded, context))[0, step]
        power = np.exp(logits / temperature)
        return power / power.sum()

    first = powers((), 0)
    for a in (2, 3, 4):
        second = powers((a,), 1)
        expected[WORDS[a - 2]] = first[a] * second[0]
        for b in (2, 3, 4):
            expected[f"{WORDS[a - 2]} {WORDS[b - 2]}"] = first[a] * second[b]
    assert sum(expected.values()) == pytest.approx(1)
    assert {*found} == {*expected}
    for text, p in expected.items():
        deviation = np.sqrt(p * (1 - p) / len(found))
        assert abs(np.mean(found == text) - p) < 5 * deviation


def test_a_very_high_temperature_writes_texts_all_the_same():
    (found,) = model().describe(images(1), temperature=1e9, num_samples=500, seed=0)
    assert {*found} <= {*TEXTS}
    first = [text.split()[0] for text in found]
    shares = [first.count(word) / 500 for word in WORDS]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.1)


def test_texts_of_one_word():
    made, x = model(max_words=1), images(2)
    nats = [made.log_likelihood(x, [word] * 2) for word in WORDS]
    np.testing.assert_allclose(np.exp(nats).sum(axis=0), 1, atol=1e-5)
    best = np.array(WORDS)[np.argmax(nats, axis=0)]
    assert made.describe(x)[:, 0].tolist() == best.tolist()


def test_the_seed_fixes_what_is_drawn():
    made, x = model(), images(5)
    found = made.describe(x, temperature=1.0, num_samples=4, seed=1)
    again = made.describe(x, temperature=1.0, num_samples=4, seed=1, batch_size=2)
    other = made.describe(x, temperature=1.0, num_samples=4, seed=2)
    assert found.tolist() == again.tolist() != other.tolist()
    assert found.shape == (5, 4)


# --- the maps -----------------------------------------------------------------


@pytest.mark.backend
def test_maps_show_what_each_word_attends_to():
    made, x = model(num_layers=3), images(2)
    maps = made.attention_maps(x, ["red blue", "green"])
    # Patches of 2×1 in images of 4×6.
    assert maps.shape == (2, 3, 2, 3, 2, 6)
    np.testing.assert_allclose(maps.sum(axis=(-2, -1)), 1, atol=1e-5)
    # The map of a word depends on the words before it, not on the word.
    other = made.attention_maps(x, ["red green", "blue"])
    np.testing.assert_allclose(maps[:, :, :, 0], other[:, :, :, 0], atol=1e-6)
    assert np.abs(maps[1, :, :, 1] - other[1, :, :, 1]).max() > 1e-3


# --- learning -----------------------------------------------------------------


def halves(n, seed):
    """Images with a bright half or two, and words for them."""
    rng = np.random.default_rng(seed)
    bright = rng.integers(0, 2, (n, 2)).astype(bool)
    bright[~bright.any(axis=1), 0] = True
    x = 0.3 * rng.random((n, *SHAPE)).astype("float32")
    x[:, :, :3] += 0.6 * bright[:, :1, None, None]
    x[:, :, 3:] += 0.6 * bright[:, 1:, None, None]
    texts = {(True, False): "red", (False, True): "green", (True, True): "red green"}
    return x, np.array([texts[tuple(row)] for row in bright.tolist()])


@pytest.mark.slow
def test_it_learns_to_describe(tmp_path):
    keras.utils.set_random_seed(0)
    made = ImageCaptioner(WORDS, 3, SHAPE, (2, 3), num_layers=1, num_heads=2, width=16)
    x, texts = halves(512, seed=0)
    x_test, texts_test = halves(100, seed=1)
    before = made.log_likelihood(x_test, texts_test).mean()
    made.compile(keras.optimizers.Adam(3e-3), metrics=["categorical_accuracy"])
    history = made.fit(x, texts, batch_size=32, epochs=10, verbose=0).history
    assert made.log_likelihood(x_test, texts_test).mean() > before + 2
    assert np.mean(made.describe(x_test)[:, 0] == texts_test) > 0.97
    # Of all places, those behind the end too, which are certain.
    assert history["categorical_accuracy"][-1] > 0.97
    made.save(tmp_path / "captioner.keras")
    loaded = keras.saving.load_model(tmp_path / "captioner.keras")
    np.testing.assert_allclose(
        loaded.log_likelihood(x_test, texts_test),
        made.log_likelihood(x_test, texts_test),
        rtol=1e-6,
    )


def test_dropout_is_for_training_alone():
    made, x = model(dropout=0.5), images(3)
    texts = ["red", "blue", "green"]
    first, second = (made.log_likelihood(x, texts) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    words = made.tokenizer.tokenize(texts)
    trained = made([x, words], training=True)["negative_log_likelihood"]
    assert np.abs(ops.convert_to_numpy(trained) + first).max() > 1e-2


@pytest.mark.backend
def test_noise_replaces_words_that_are_read_and_none_that_are_predicted():
    made, x = model(word_noise=0.4), np.repeat(images(1), 500, axis=0)
    words = np.repeat(made.tokenizer.tokenize(["blue red"]), 500, axis=0)
    read = ops.convert_to_numpy(made._with_noise(words))
    assert np.all(read[:, 2] == 0) and {*read[:, :2].ravel()} == {2, 3, 4}
    # A third of the random words are the true ones.
    share = np.mean(read != words, axis=0)
    np.testing.assert_allclose(share, [0.27, 0.27, 0], atol=0.1)
    exact = made.log_likelihood(x[:1], ["blue red"])[0]
    trained = made([x, words], training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(trained["words"]), words)
    nats = -ops.convert_to_numpy(trained["negative_log_likelihood"])
    # Where both words that are read are the true ones, nothing changes.
    assert np.ptp(nats) > 1e-2
    assert np.mean(np.abs(nats - exact) < 1e-4) > 0.3


def test_the_likelihood_of_the_words_that_are_predicted():
    """With other words read, by the loops of `by_hand`."""
    made, x = model(), images(1)
    words, read = [3, 2, 0], [4, 3, 0]
    logits, _ = by_hand(made, x[0], read)
    found = made._logits(x, np.array([words], "int32"), read=np.array([read], "int32"))
    found = checks.numpy_of(found)[0]
    np.testing.assert_allclose(found[:, 2:], logits[:, 2:], atol=1e-3)
    # After the end nothing follows, whatever is read.
    other = made._logits(
        x, np.array([[3, 0, 0]], "int32"), read=np.array([read], "int32")
    )
    assert np.all(checks.numpy_of(other)[0, 2, 2:] == -1e9)


@pytest.mark.backend
def test_training_shifts_images():
    made = model(max_shift=1, image_shape=(4, 6, 1))
    x = np.zeros((200, 4, 6, 1), "float32")
    x[:, 2, 3] = 1
    shifted = ops.convert_to_numpy(made.augmentation(x, training=True))
    places = {tuple(place[1:3]) for place in np.argwhere(shifted > 0.5)}
    assert places == {(row, column) for row in (1, 2, 3) for column in (2, 3, 4)}
    words = made.tokenizer.tokenize(["red"] * 200)
    nats = made([x, words], training=True)["negative_log_likelihood"]
    assert np.ptp(ops.convert_to_numpy(nats)) > 1e-3
    nats = made([x, words], training=False)["negative_log_likelihood"]
    assert np.ptp(ops.convert_to_numpy(nats)) < 1e-4


# --- bad input ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"temperature": -0.5}, "temperature > 0"),
        ({"temperature": float("nan")}, "temperature > 0"),
        ({"temperature": "hot"}, "temperature > 0"),
        ({"num_samples": 0}, "`num_samples` to be an integer >= 1"),
        ({"num_samples": 2}, "at most beam_width texts"),
        ({"beam_width": 40, "num_samples": 2}, "beam_width of at most 39"),
        ({"beam_width": 2, "temperature": 1.0}, "beam_width=1 with a temperature"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"seed": -1}, "`seed`"),
    ],
)
def test_bad_arguments_of_describe(arguments, words):
    with pytest.raises(ValueError, match=words):
        model().describe(images(), **arguments)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones((2, 6, 4, 2)), "Expected"),
        (np.ones((0, *SHAPE)), "Expected"),
        (np.full((2, *SHAPE), 255, "uint8"), "255"),
        (np.full((2, *SHAPE), np.nan), "Expected"),
    ],
    ids=["size", "none", "bytes", "nan"],
)
def test_bad_images(x, words):
    made = model()
    for use in (
        made.describe,
        lambda x: made.log_likelihood(x, ["red"] * len(x)),
        lambda x: made.attention_maps(x, ["red"] * len(x)),
    ):
        with pytest.raises(ValueError, match=words):
            use(x)


@pytest.mark.parametrize(
    "texts", [None, "red", ["red"], ["red", "yellow"], ["red", ""], ["red", "red " * 4]]
)
def test_bad_texts(texts):
    made = model()
    made.compile("sgd")
    for use in (made.log_likelihood, made.attention_maps, made.fit):
        with pytest.raises(ValueError, match=r"Expected (2 texts|texts of 1 to 3)"):
            use(images(2), texts)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"patch_size": (3, 1)}, "divisible by 3"),
        ({"num_heads": 3}, "num_heads=3"),
        ({"num_layers": 0}, "`num_layers`"),
        ({"max_words": 0}, "`max_words`"),
        ({"dropout": 1.0}, "dropout"),
        ({"word_noise": 1.0}, "word_noise"),
        ({"max_shift": -1}, "`max_shift`"),
        ({"image_shape": (4, 6)}, "image_shape"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        model(**arguments)
