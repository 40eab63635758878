import itertools

import checks
import keras
import numpy as np
import pytest
from conftest import on_tensorflow
from keras import ops

from tfattn.models import ImageTransformer
from tfattn.models.transformer import decoder
from tfattn.models.transformer.decoder import TokenDecoder

SHAPE = (4, 6, 1)
WORDS = ("red", "green", "blue")
KINDS = {
    "none": {},
    "class": {"condition": "class", "num_classes": 3},
    "text": {"condition": "text", "vocabulary": WORDS, "max_words": 2},
    "image": {"condition": "image", "condition_channels": 2},
}


def model(kind="none", image_shape=SHAPE, spread=0.7, **arguments):
    """A small model whose weights are far from their start."""
    made = ImageTransformer(
        image_shape,
        **{"num_layers": 2, "num_heads": 2, "width": 8, **KINDS[kind], **arguments},
    )
    rng = np.random.default_rng(1)
    for variable in made.trainable_variables:
        variable.assign(rng.normal(0, spread, variable.shape))
    return made


def images(n=3, shape=SHAPE, levels=2, seed=0):
    drawn = np.random.default_rng(seed).integers(0, levels, (n, *shape))
    return (drawn / (levels - 1)).astype("float32")


def conditions(kind, shape=SHAPE):
    """Three of them."""
    found = {"none": None, "class": [0, 2, 1], "text": ["red", "blue red", "green"]}
    found["image"] = [*images(shape=(*shape[:2], 2), seed=2)]
    return found[kind]


def every_image(shape, levels=2):
    values = itertools.product(range(levels), repeat=int(np.prod(shape)))
    x = np.array(list(values), "float32") / (levels - 1)
    return x.reshape(-1, *shape)


def tokens_of(made, x):
    return ops.convert_to_numpy(made.tokens.from_levels(x.astype("int32")))


# --- the density --------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((2, 2, 1), {"patch_size": (1, 1)}),
        ((2, 4, 1), {"patch_size": (2, 2), "order": "coarse_to_fine"}),
        ((1, 2, 2), {"patch_size": (1, 1), "levels": 3}),
    ],
    ids=["pixels", "patches", "colors"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_of_all_images_sum_to_one(shape, arguments, kind):
    tiny = model(kind, shape, **arguments)
    x = every_image(shape, arguments.get("levels", 2))
    condition = conditions(kind, shape)
    condition = condition and [condition[1]] * len(x)
    probabilities = np.exp(tiny.log_likelihood(x, condition))
    np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-5)
    assert probabilities.max() > 2 * probabilities.min()


@pytest.mark.parametrize("order", ["raster", "coarse_to_fine"])
def test_a_token_moves_the_logits_after_it_alone(order):
    # 6 tokens of 16 values, or 6 of a pixel and 6 of three pixels.
    causal = model(order=order)
    x = images(1)
    tokens = tokens_of(causal, x)
    assert tokens.shape == (1, 6 if order == "raster" else 12)
    before = checks.numpy_of(causal.network(tokens))
    for j in range(tokens.shape[1]):
        other = tokens.copy()
        num_values = 2 if order == "coarse_to_fine" and j < 6 else 8
        other[0, j] = (other[0, j] + num_values // 2) % num_values
        moved = np.abs(checks.numpy_of(causal.network(other)) - before)[0].max(-1)
        assert moved[: j + 1].max() == 0
        assert moved[j + 1 :].min(initial=1) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "order"),
    [
        *((kind, "raster") for kind in KINDS),
        *((kind, "coarse_to_fine") for kind in ("text", "image")),
    ],
)
def test_log_likelihood_token_by_token(kind, order):
    """Each token's probability from a sequence that is cut before it."""
    made, x = model(kind, order=order), images()
    condition = made._condition(conditions(kind), len(x))
    tokens = tokens_of(made, x)
    expected = np.zeros(len(x))
    for j in range(tokens.shape[1]):
        cut = np.where(np.arange(tokens.shape[1]) < j, tokens, 7).astype("int32")
        logits = checks.numpy_of(made.network(cut, *condition))[:, j].astype("float64")
        for i in range(len(x)):
            shifted = logits[i] - logits[i].max()
            expected[i] += shifted[tokens[i, j]] - np.log(np.exp(shifted).sum())
    found = made.log_likelihood(x, conditions(kind), batch_size=2)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("most_rows", [0, decoder.MOST_ROWS_AS_PRODUCT])
@pytest.mark.parametrize(
    ("patch", "order"), [((1, 1), "raster"), ((2, 2), "coarse_to_fine")]
)
def test_embeddings_equal_loops(patch, order, most_rows, monkeypatch):
    """Neighbors from a table each, each axis of the grid, the class."""
    monkeypatch.setattr(decoder, "MOST_ROWS_AS_PRODUCT", most_rows)
    made = model("class", (4, 6, 2), patch_size=patch, order=order)
    classes = np.array([2, 0])
    tokens = tokens_of(made, images(2, (4, 6, 2)))
    network = made.network
    table, of_class = (
        checks.numpy_of(layer.embeddings)
        for layer in (network.token_embedding, network.class_embedding)
    )
    axes = [checks.numpy_of(axis) for axis in network.positions.tables]
    expected = np.zeros((2, made.tokens.num_tokens, 8))
    num_parts = made.tokens.parts.shape[1]
    for i in range(2):
        for j, place in enumerate(made.tokens.order):
            expected[i, j] = of_class[classes[i]]
            for axis, index in zip(
                axes, np.unravel_index(place, made.tokens.grid), strict=True
            ):
                expected[i, j] += axis[index]
            for k, number in enumerate(made.tokens.neighbors[j]):
                # Of binary pixels: 0, 1, or 2 for none.
                token, part = divmod(number, num_parts)
                value = made.tokens.pixels[tokens[i, token - 1], part] if token else 2
                expected[i, j] += table[3 * k + value]
    found = network._embed_all(tokens, ops.convert_to_tensor(classes), None)
    np.testing.assert_allclose(checks.numpy_of(found), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("visible", "order"),
    [
        ([[1, 1, 0, 0], [1, 1, 0, 1]], "raster"),
        ([[1, 0, 1, 0], [0, 0, 0, 0]], "coarse_to_fine"),
        ([[1, 0, 1, 0], [0, 1, 0, 0]], "coarse_to_fine"),
        ([[0, 0, 0, 0], [0, 0, 0, 0]], "coarse_to_fine"),
    ],
)
def test_log_likelihood_of_hidden_pixels(visible, order):
    """log p(x), less that of all images with the same visible pixels."""
    tiny = model("class", (2, 4, 1), order=order)
    visible, x = np.array(visible, bool), every_image((2, 4, 1))
    classes = np.full(len(x), 1)
    p = np.exp(tiny.log_likelihood(x, classes).astype("float64"))
    same = np.all(x[:, None, visible] == x[None, :, visible], axis=(2, 3))
    expected = np.log(p) - np.log(same @ p)
    masks = np.repeat(visible[None], len(x), axis=0)
    for of_images in (visible, masks):
        found = tiny.log_likelihood(x, classes, visible=of_images, batch_size=100)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["class", "text", "image"])
def test_the_condition_counts(kind):
    made, x = model(kind), np.repeat(images(1), 3, axis=0)
    values = made.log_likelihood(x, conditions(kind))
    assert np.abs(np.diff(np.sort(values))).min() > 1e-3


def test_two_levels_are_drawn_in_training():
    made = model(spread=0.0)
    made.network.head.bias.assign(np.linspace(-1, 1, 16))
    gray = np.full((4000, *SHAPE), 0.3, "float32")
    drawn = checks.numpy_of(made(gray)["negative_log_likelihood"])
    # All weights but the bias are 0: the values of a token are drawn alike.
    log_probabilities = np.linspace(-1, 1, 16)
    log_probabilities -= np.log(np.exp(log_probabilities).sum())
    white = made.tokens.pixels.sum(axis=1)
    weights = 0.3**white * 0.7 ** (4 - white)
    expected = -6 * np.sum(weights * log_probabilities)
    spread = np.sqrt(6 * np.sum(weights * (log_probabilities + expected / 6) ** 2))
    assert abs(drawn.mean() - expected) < 4 * spread / np.sqrt(4000)
    binary = images()
    np.testing.assert_allclose(
        checks.numpy_of(made(binary)["negative_log_likelihood"]),
        -made.log_likelihood(binary),
        rtol=1e-5,
    )


def test_more_levels_are_rounded():
    made = model(levels=5, patch_size=(1, 1))
    x = images(levels=5)
    nearby = np.clip(x + np.random.default_rng(0).uniform(-0.1, 0.1, x.shape), 0, 1)
    np.testing.assert_allclose(
        checks.numpy_of(made(nearby)["negative_log_likelihood"]),
        -made.log_likelihood(x),
        rtol=1e-4,
    )


@pytest.mark.parametrize("order", ["raster", "coarse_to_fine"])
def test_an_image_joins_the_tokens_of_its_patches(order):
    """Without attention to it, a patch of the condition moves its own tokens' vectors
    before any layer, and no others."""
    made = model("image", (4, 6, 2), order=order)
    network, x = made.network, tokens_of(made, images(1, (4, 6, 2)))
    context = np.random.default_rng(3).normal(size=(1, 6, 8)).astype("float32")

    def vectors(context):
        return checks.numpy_of(
            network._embed_all(
                ops.convert_to_tensor(x), None, ops.convert_to_tensor(context)
            )
        )[0]

    # The first pixel, row by row, that moves a token lies in the token's place.
    place = {}
    for row, column, channel in itertools.product(range(4), range(6), range(2)):
        pixel = np.zeros((1, 4, 6, 2))
        pixel[0, row, column, channel] = 1
        moved = tokens_of(made, pixel) != tokens_of(made, 0 * pixel)
        place.setdefault(int(np.flatnonzero(moved)[0]), (row // 2, column // 2))
    assert len(place) == made.tokens.num_tokens

    before = vectors(context)
    for patch in range(6):
        other = context.copy()
        other[0, patch] += 1
        moved = vectors(other) - before
        for j in range(made.tokens.num_tokens):
            expected = float(place[j] == divmod(patch, 3))
            np.testing.assert_allclose(moved[j], expected, atol=1e-5)


# --- drawing ------------------------------------------------------------------


def frequencies(drawn, shape):
    """How often each binary image of a tiny space was drawn."""
    weights = 2 ** np.arange(int(np.prod(shape)))[::-1]
    numbers = (drawn.reshape(len(drawn), -1) @ weights).astype(int)
    return np.bincount(numbers, minlength=2 * weights[0]) / len(drawn)


def assert_drawn_from(probabilities, found, n):
    errors = np.sqrt(probabilities * (1 - probabilities) / n)
    # One draw or two of a rare image are no sign of anything.
    assert np.all(np.abs(found - probabilities) <= 4.5 * errors + 2 / n)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_images_are_drawn_from_the_density(temperature):
    shape, n = (2, 2, 1), 20_000
    tiny = model(image_shape=shape, patch_size=(2, 1))
    x = every_image(shape)
    drawn = tiny.generate(n, temperature=temperature, seed=2, batch_size=5000)
    assert drawn.shape == (n, *shape) and drawn.dtype == np.float32
    # Two tokens: the temperature works on each of them.
    tokens = tokens_of(tiny, x)
    logits = checks.numpy_of(tiny.network(tokens)) / temperature
    logits = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    chosen = np.take_along_axis(logits, tokens[..., None], -1)
    probabilities = np.exp(chosen.sum(axis=(1, 2)))
    assert_drawn_from(probabilities, frequencies(drawn, shape), n)
    if temperature == 1:
        np.testing.assert_allclose(probabilities, np.exp(tiny.log_likelihood(x)), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "order"),
    [
        pytest.param("none", "raster", marks=pytest.mark.ci),
        pytest.param("class", "coarse_to_fine", marks=pytest.mark.ci),
        # On all backends, a condition and none, in either order.
        pytest.param("none", "coarse_to_fine", marks=pytest.mark.backend),
        pytest.param("text", "raster", marks=[pytest.mark.ci, pytest.mark.backend]),
        pytest.param("image", "coarse_to_fine", marks=pytest.mark.backend),
    ],
)
def test_same_images_with_and_without_cache(kind, order):
    made, n = model(kind, order=order), 30
    condition = conditions(kind) and conditions(kind) * (n // 3)
    with_cache, without = (
        made.generate(n, condition, seed=5, use_cache=use_cache)
        for use_cache in (True, False)
    )
    np.testing.assert_array_equal(with_cache, without)
    assert 0 < with_cache.mean() < 1
    assert np.any(made.generate(n, condition, seed=6) != with_cache)
    again = made.generate(n, condition, seed=5, batch_size=20)
    np.testing.assert_array_equal(again, with_cache)


def test_levels_and_channels_are_drawn():
    made = model(image_shape=(2, 3, 3), levels=4, patch_size=(1, 1))
    drawn = made.generate(50, seed=1)
    assert set(np.unique(np.rint(3 * drawn))) == {0, 1, 2, 3}
    np.testing.assert_allclose(3 * drawn, np.rint(3 * drawn), atol=1e-6)
    assert np.all(np.isfinite(made.log_likelihood(drawn)))


@pytest.mark.parametrize(
    ("visible", "order"),
    [
        ([[1, 1], [0, 0]], "raster"),
        ([[1, 1], [0, 1]], "raster"),
        ([[1, 0], [0, 0]], "coarse_to_fine"),
        ([[1, 0], [0, 1]], "coarse_to_fine"),
    ],
)
def test_completions_are_drawn_from_the_density(visible, order):
    shape, n = (2, 2, 1), 20_000
    patch = (1, 2) if order == "raster" else (2, 2)
    tiny = model(image_shape=shape, patch_size=patch, order=order)
    visible = np.array(visible, bool)
    given = np.array([[1, 0], [0, 1]], "float32")[None, ..., None]
    drawn = tiny.complete(given, visible, num_samples=n, seed=3, batch_size=5000)
    assert drawn.shape == (1, n, *shape)
    assert np.all(drawn[0][:, visible] == given[0][visible])
    x = every_image(shape)
    fits = np.all(x[:, visible] == given[0][visible], axis=(1, 2))
    probabilities = np.exp(tiny.log_likelihood(x)) * fits
    probabilities /= probabilities.sum()
    assert_drawn_from(probabilities, frequencies(drawn[0], shape), n)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("class", marks=pytest.mark.backend),
        pytest.param("none", marks=pytest.mark.ci),
        pytest.param("text", marks=pytest.mark.ci),
        pytest.param("image", marks=pytest.mark.ci),
    ],
)
def test_completions_of_several_images(kind):
    made, x = model(kind), images()
    visible = np.zeros((3, 4, 6), bool)
    visible[0, :2] = True
    visible[1, :2, :2] = True
    drawn = made.complete(
        x, visible, condition=conditions(kind), num_samples=4, seed=1, batch_size=5
    )
    for image, mask, completions in zip(x, visible, drawn, strict=True):
        assert np.all(completions[:, mask] == image[mask])
    assert np.any(drawn[:, 0] != drawn[:, 1])
    # With everything visible there is nothing to draw, with nothing all of it.
    whole = made.complete(
        x, np.ones((4, 6), bool), condition=conditions(kind), num_samples=2
    )
    np.testing.assert_array_equal(whole, np.stack([x, x], axis=1))
    nothing = made.complete(
        x, np.zeros((4, 6), bool), condition=conditions(kind), seed=5
    )
    free = made.generate(3, conditions(kind), seed=5)
    np.testing.assert_array_equal(nothing[:, 0], free)


@on_tensorflow
def test_drawing_is_compiled_once(monkeypatch):
    draw, traced = TokenDecoder.draw, []

    def counted(network, *arguments):
        traced.append(arguments)
        return draw(network, *arguments)

    monkeypatch.setattr(TokenDecoder, "draw", counted)
    made = model()
    for seed, temperature in ((0, 1.0), (1, 1.0), (2, 0.5)):
        made.generate(3, seed=seed, temperature=temperature)
    assert len(traced) == 1


@pytest.mark.backend
def test_compiled_functions_read_the_weights_anew():
    made, x = model(), images()
    before, drawn = made.log_likelihood(x), made.generate(3, seed=1)
    made.network.head.bias.assign(np.linspace(-3, 3, 16))
    assert np.abs(made.log_likelihood(x) - before).min() > 1e-2
    assert np.any(made.generate(3, seed=1) != drawn)


# --- maps ---------------------------------------------------------------------


def test_attention_maps():
    made = model("text")
    own, cross = made.attention_maps(images(), conditions("text"))
    assert own.shape == (3, 2, 2, 6, 6) and cross.shape == (3, 2, 2, 6, 2)
    np.testing.assert_allclose(own.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(cross.sum(axis=-1), 1, atol=1e-5)
    assert np.all(np.triu(own, 1) == 0) and np.all(cross[[0, 2], ..., 1] == 0)
    own, cross = model("image").attention_maps(images(), conditions("image"))
    assert own.shape == (3, 2, 2, 6, 6) and cross.shape == (3, 2, 2, 6, 6)
    np.testing.assert_allclose(cross.sum(axis=-1), 1, atol=1e-5)
    assert np.all(cross > 0)  # of all its patches, also those of later tokens
    own, cross = model().attention_maps(images())
    assert own.shape == (3, 2, 2, 6, 6) and cross is None


# --- as a Keras model ---------------------------------------------------------


@pytest.mark.ci
@pytest.mark.parametrize(
    "kind",
    [
        *("none", "class"),
        pytest.param("text", marks=pytest.mark.backend),
        pytest.param("image", marks=pytest.mark.backend),
    ],
)
def test_fit_learns(kind, tmp_path):
    made = ImageTransformer(
        SHAPE, num_layers=1, num_heads=2, width=16, dropout=0.1, **KINDS[kind]
    )
    made.compile(keras.optimizers.Adam(1e-2))
    # The condition says which of three images it is.
    x = np.tile(images(), (20, 1, 1, 1))
    condition = conditions(kind) and conditions(kind) * 20
    losses = made.fit(x, condition, batch_size=30, epochs=40, verbose=0).history["loss"]
    assert losses[0] > 10
    found = -made.log_likelihood(x[:3], condition and condition[:3]).mean()
    assert found < (np.log(3) + 0.7 if condition is None else 0.7)
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    draws = [m.generate(3, conditions(kind), seed=1) for m in (made, loaded)]
    np.testing.assert_array_equal(*draws)


@pytest.mark.ci
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype_policy", ["mixed_bfloat16"], indirect=True)
def test_mixed_precision(dtype_policy, kind):
    made, condition = model(kind), conditions(kind)
    made.compile(keras.optimizers.Adam(1e-3))
    logs = made.fit(images(), condition, batch_size=2, verbose=0).history
    assert np.isfinite(logs["loss"][0])
    assert made.network.decoder_layers[0].compute_dtype == "bfloat16"
    assert made.network.head.compute_dtype == "float32"
    assert made.log_likelihood(images(), condition).dtype == "float32"
    assert np.all(np.isin(made.generate(3, condition, seed=0), [0, 1]))


@pytest.mark.parametrize("kind", ["text", "image"])
def test_one_step_moves_every_weight(eagerly, kind):
    made = model(kind)
    made.compile(keras.optimizers.SGD(1.0))
    before = [ops.convert_to_numpy(v) + 0 for v in made.trainable_variables]
    made.fit(images(), np.array(conditions(kind)), verbose=0)
    for variable, old in zip(made.trainable_variables, before, strict=True):
        moved = np.abs(ops.convert_to_numpy(variable) - old).max()
        # A key's bias adds the same number to all scores of a query.
        assert np.isfinite(moved)
        assert moved > 1e-6 or variable.path.endswith("key/bias"), variable.path


# --- bad input ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image_shape": (5, 6, 1)}, "divisible"),
        ({"levels": 1}, "levels"),
        ({"num_layers": 0}, "num_layers"),
        ({"width": 9, "num_heads": 2}, "num_heads"),
        ({"condition": "color"}, "condition"),
        ({"condition": "class"}, "num_classes"),
        ({"num_classes": 3}, "num_classes"),
        ({"condition": "text", "vocabulary": WORDS}, "max_words"),
        ({"condition": "text", "vocabulary": WORDS, "max_words": 0}, "max_words"),
        ({"condition": "image"}, "condition_channels"),
        ({"condition_channels": 1}, "condition_channels"),
        ({"condition": "image", "condition_channels": 0}, "condition_channels"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        ImageTransformer(**{"image_shape": SHAPE, **arguments})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.log_likelihood(images() * 0.5, [0, 1, 2]), "2 levels"),
        (lambda m: m.log_likelihood(images(shape=(4, 4, 1)), [0, 1, 2]), "shape"),
        (lambda m: m.log_likelihood(images()), "class of each image"),
        (lambda m: m.generate(2, [0, 3]), "labels from 0 to 2"),
        (lambda m: m.generate(0, []), "`n` to be an integer >= 1"),
        (lambda m: m.generate(1, [0], temperature=0), "temperature"),
        (lambda m: m.generate(1, [0], batch_size=0), "batch_size"),
        (lambda m: m.complete(images(1), np.ones((4, 6)), condition=[0]), "boolean"),
        (
            lambda m: m.complete(images(1), np.ones((6, 4), bool), condition=[0]),
            "shape",
        ),
        (
            lambda m: m.complete(images(1), np.eye(4, 6, dtype=bool), condition=[0]),
            "order",
        ),
        (
            lambda m: m.log_likelihood(images(1), [0], visible=np.ones((4, 6))),
            "boolean",
        ),
        (
            lambda m: m.log_likelihood(
                images(1), [0], visible=np.eye(4, 6, dtype=bool)
            ),
            "order",
        ),
        (lambda m: m.fit(images(), [0, 1, 5]), "labels"),
        (lambda m: m.fit(images()), "class of each image"),
        (lambda m: m.fit(images() + 1, [0, 1, 2]), "pixels"),
    ],
)
def test_bad_input(call, words):
    made = model("class")
    made.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match=words):
        call(made)


@pytest.mark.parametrize("texts", ["red", ["red"], None])
def test_texts_are_counted(texts):
    with pytest.raises(ValueError, match="Expected 2 texts"):
        model("text").generate(2, texts)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (None, r"Expected a condition, images of shape \(n, 4, 6, 2\)"),
        (np.zeros((2, 4, 6, 1)), r"condition of shape \(n, 4, 6, 2\)"),
        (np.zeros((1, 4, 6, 2)), "for each of 2 images. Received: condition with 1"),
        (np.full((2, 4, 6, 2), 2.0), r"condition with pixels in \[0, 1\]"),
        (["a", "b"], "numbers"),
    ],
)
def test_images_that_are_no_condition(condition, words):
    made = model("image")
    with pytest.raises(ValueError, match=words):
        made.generate(2, condition)
    with pytest.raises(ValueError, match=words):
        made.log_likelihood(images(2), condition)
