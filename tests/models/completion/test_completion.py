import math

import checks
import keras
import numpy as np
import pytest
from conftest import on_tensorflow
from keras import ops

from tfattn.data import masks
from tfattn.models import CompletionVAE, TwoTimeScaleOptimizer
from tfattn.models.training_masks import training_masks

# Odd sizes, which the decoder has to cut back to; all differ.
SHAPE = (9, 14, 2)
KINDS = ("self", "residual", "uniform", None)
ADVERSARIAL = {"image_shape": (8, 12, 2), "adversarial": True}
trainable_backend = pytest.mark.skipif(
    "keras.backend.backend() == 'torch'", reason="needs KERAS_BACKEND=tensorflow or jax"
)


def small(image_shape=SHAPE, **arguments):
    """A small model whose attention takes part, γ ≠ 0."""
    model = CompletionVAE(
        image_shape, **{"latent_dim": 5, "width": 8, "dropout": 0.0, **arguments}
    )
    checks.enliven(model, gamma=0.7)
    return model


def images(n=4, shape=SHAPE, seed=0):
    """Of 256 levels."""
    return (np.random.default_rng(seed).integers(0, 256, (n, *shape)) / 255).astype(
        "float32"
    )


def visible(n=4, shape=SHAPE, name="strokes"):
    return masks.draw(name, n, shape[:2], seed=2)


def values(variables):
    return [ops.convert_to_numpy(v) + 0 for v in variables]


def features_of(model, image, seen):
    """What the prior gives the decoder beside z, for one image."""
    mask = seen[None, ..., None].astype("float32")
    return model.prior([ops.convert_to_tensor(p) for p in (image * mask, mask)])[2:]


# --- the bound ----------------------------------------------------------------


def expected_log_weights(model, x, seen, noise):
    """log p(hidden|z, v) + log p(z|v) − log q(z|x), one number at a time."""
    mean, log_variance = (checks.numpy_of(p) for p in model.encode(x, seen))
    p_mean, p_log_variance = (checks.numpy_of(p) for p in model.encode_visible(x, seen))
    result = np.zeros(len(x))
    for i in range(len(x)):
        z = mean[i] + np.exp(log_variance[i] / 2) * noise[i]
        features = features_of(model, x[i], seen[i])
        pixels = model._pixels(ops.array(z[None], "float32"), features)
        means, log_scales = (checks.numpy_of(p)[0] for p in pixels)
        for place in np.argwhere(~seen[i]):
            for channel in range(x.shape[-1]):
                at = (*place, channel)
                level = round(255 * float(x[i][at]))
                scale = math.exp(log_scales[at])

                edges = [(level + half) / 255 - means[at] for half in (0.5, -0.5)]
                upper, lower = (1 / (1 + math.exp(-edge / scale)) for edge in edges)
                upper = 1.0 if level == 255 else upper
                lower = 0.0 if level == 0 else lower
                result[i] += math.log(upper - lower)
        for j in range(model.latent_dim):
            for sign, m, v in (
                (-1, mean[i, j], log_variance[i, j]),
                (1, p_mean[i, j], p_log_variance[i, j]),
            ):
                density = -0.5 * (math.log(2 * math.pi) + v)
                density -= (z[j] - m) ** 2 / (2 * math.exp(v))
                result[i] += sign * density
    return result


@pytest.mark.backend
@pytest.mark.parametrize("kind", KINDS)
def test_log_weights_equal_loops(kind):
    """Sums over hidden pixels alone; both Gaussians; no mean in place of a sum."""
    model, x, seen = small(attention=kind), images(), visible()
    noise = np.random.default_rng(3).normal(size=(4, 5)).astype("float32")
    tensors = [ops.convert_to_tensor(p) for p in (x, seen[..., None].astype("float32"))]
    found = model._log_weights(
        tensors[0],
        tensors[1:],
        *model.encode(x, seen),
        ops.convert_to_tensor(noise[None]),
    )
    np.testing.assert_allclose(
        checks.numpy_of(found)[0],
        expected_log_weights(model, x, seen, noise),
        rtol=1e-4,
    )


@pytest.mark.ci
def test_training_loss_is_the_negative_bound():
    model, x, seen = small(), images(3), visible(3)
    model.compile("sgd")
    repeated = np.repeat(x, 500, axis=0), np.repeat(seen, 500, axis=0)
    terms = model.predict(repeated, batch_size=500, verbose=0)
    drawn = (terms["reconstruction"] + terms["kl"]).reshape(3, 500)
    expected = -model.elbo(x, seen, num_samples=500)
    error = 5 * drawn.std(axis=1) * np.sqrt(2 / 500)
    assert np.all(np.abs(drawn.mean(axis=1) - expected) < error)
    found = model.evaluate(*repeated, batch_size=500, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], drawn.mean(), rtol=0.01)
    np.testing.assert_allclose(
        found["loss"], found["reconstruction"] + found["kl"], rtol=1e-5
    )


@pytest.mark.slow
def test_bound_rises_with_the_number_of_samples_and_follows_the_seed():
    model, x, seen = small(), images(20), visible(20)
    model.posterior.get_layer("log_variance").bias.assign(np.full(5, 1.0))
    bounds = [model.log_likelihood_bound(x, seen, num_samples=k) for k in (1, 8, 64)]
    assert np.all(np.diff([bound.mean() for bound in bounds]) > 0)
    np.testing.assert_array_equal(bounds[0], model.elbo(x, seen))
    assert np.all(model.elbo(x, seen, seed=1) != bounds[0])
    # Gray levels between the 256 are rounded.
    near = np.clip(x + np.random.default_rng(0).uniform(-0.001, 0.001, x.shape), 0, 1)
    np.testing.assert_array_equal(model.elbo(near, seen), bounds[0])


def test_two_levels_are_black_and_white():
    """Probabilities of all 2^4 answers for hidden pixels sum to 1, at any z."""
    model = small((8, 8, 1), levels=2)
    seen = np.ones((8, 8), bool)
    seen[2:4, 5:7] = False
    bits = (np.arange(16)[:, None] >> np.arange(4)) & 1
    x = np.round(images(1, (8, 8, 1))).repeat(16, axis=0)
    x[:, 2:4, 5:7, 0] = bits.reshape(16, 2, 2)
    mask = ops.array(np.broadcast_to(seen[..., None], x.shape).astype("float32"))
    z = ops.array(np.random.default_rng(0).normal(size=(1, 5)), "float32")
    pixels = model._pixels(z, features_of(model, x[0], seen))
    densities = checks.numpy_of(model._hidden_log_density(ops.array(x), mask, pixels))
    np.testing.assert_allclose(np.exp(densities).sum(), 1, atol=1e-5)
    # A completion is the probability of white.
    found = model.complete_from(z[None], x[:1], seen)[0, 0]
    expected = np.tensordot(np.exp(densities), x, axes=1)
    np.testing.assert_allclose(found[~seen], expected[~seen], atol=1e-4)


def test_two_levels_are_drawn_in_training():
    model, gray = small(levels=2), np.full((40, *SHAPE), 0.3, "float32")
    first, second = (ops.convert_to_numpy(model._drawn(gray, True)[0]) for _ in "ab")
    assert set(np.unique(first)) == {0, 1} and np.any(first != second)
    assert abs(first.mean() - 0.3) < 0.02
    np.testing.assert_array_equal(
        model._drawn(np.round(images()), True)[0], np.round(images())
    )


def test_half_precision_leaves_the_gray_levels_alone():
    """A bfloat16 image would be off by half a level."""
    model = small(dtype="mixed_bfloat16")
    assert model.decoder.get_layer("decoder_attention").compute_dtype == "bfloat16"
    seen = []
    drawn = model._drawn

    def spy(inputs, training):
        x, mask = drawn(inputs, training)
        seen.append(ops.convert_to_numpy(x))
        return x, mask

    model._drawn = spy
    terms = model(images())
    np.testing.assert_array_equal(seen[0], images())
    for name, term in terms.items():
        assert keras.backend.standardize_dtype(term.dtype) == "float32", name


# --- masks and training -------------------------------------------------------


def test_masks_are_drawn_anew_by_their_shares():
    model = small()
    first, second = (
        ops.convert_to_numpy(
            training_masks(3000, model.image_shape[:2], model.seed_generator)
        )
        for _ in range(2)
    )
    assert first.shape == (3000, 9, 14, 1) and set(np.unique(first)) == {0, 1}
    assert np.any(first != second)
    for name, share in (("lower_half", 0.25), ("left_half", 0.1), ("center", 0.15)):
        fixed = masks.draw(name, 1, SHAPE[:2])[0]
        found = np.mean(np.all(first[..., 0] == fixed, axis=(1, 2)))
        assert abs(found - share) < 0.03, name
    hidden = 1 - first.mean(axis=(1, 2, 3))
    assert hidden.min() > 0 and hidden.max() < 1


@pytest.mark.slow
def test_own_masks_are_used(eagerly):
    model, x = small(), images()
    expected = visible()[..., None].astype("float32")
    np.testing.assert_array_equal(model._drawn((x, expected), True)[1], expected)
    model.compile(keras.optimizers.SGD(0.0))
    losses = []
    for name in ("center", "lower_half"):
        seen = visible(name=name)
        losses.append(model.fit(x, seen, verbose=0).history["reconstruction"][0])
        hidden = (~seen).sum() * SHAPE[-1] / 4
        assert 3 * hidden < losses[-1] < 12 * hidden  # nats, some 5.5 for each pixel
    assert losses[0] < 0.8 * losses[1]


@on_tensorflow
@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns(kind, gate):
    """The prior learns from the KL, the posterior through the drawn z as well."""
    import tensorflow as tf

    model = small(attention=kind, gate=gate)
    inputs = images(8), visible(8)[..., None].astype("float32")
    with tf.GradientTape(persistent=True) as tape:
        terms = model(inputs, training=True)
        reconstruction = tf.reduce_mean(terms["reconstruction"])
        loss = reconstruction + tf.reduce_mean(terms["kl"])
    for scalar, variables in (
        (loss, model.trainable_variables),
        (reconstruction, model.posterior.trainable_variables),
    ):
        gradients = tape.gradient(scalar, [v.value for v in variables])
        for variable, gradient in zip(variables, gradients, strict=True):
            assert gradient is not None, variable.path
            assert np.all(np.isfinite(gradient)) and np.abs(gradient).max() > 0


@pytest.mark.ci
@pytest.mark.parametrize("kind", ["self", "uniform"])
def test_fit_learns(kind):
    """Two images: what is hidden follows from what is visible."""
    model = CompletionVAE(
        (8, 12, 1), latent_dim=2, width=8, attention=kind, dropout=0.0
    )
    model.compile(keras.optimizers.Adam(1e-2))
    x = images(2, (8, 12, 1))
    model.fit(np.repeat(x, 128, axis=0), epochs=10, batch_size=32, verbose=0)
    seen = masks.draw("lower_half", 2, (8, 12))
    found = model.complete(x, seen, num_samples=4, seed=0).mean(axis=1)
    own, other = ((found - y)[:, ~seen[0]] for y in (x, x[::-1]))
    assert np.mean(own**2) < 0.4 * np.mean(other**2)


@pytest.mark.slow
def test_scales_stay_where_the_density_has_a_gradient(eagerly):
    """Black and white images drive them up, without end if nothing holds them."""
    model, x, seen = small(), np.round(images()), visible()
    for shift, least, most in ((500.0, 4.9, 5.0), (-500.0, -6.0, -5.9)):
        model.decoder.get_layer("log_scales").bias.assign([shift, shift])
        mean, _ = model.encode_visible(x, seen)
        found = model._pixels(mean[:1], features_of(model, x[0], seen[0]))[1]
        found = ops.convert_to_numpy(found)
        assert least <= found.min() and found.max() <= most
        model.compile(keras.optimizers.SGD(1e-6))
        model.fit(x, verbose=0)
        assert np.all(np.isfinite(model.elbo(x, seen)))


def test_augmented_in_training_alone():
    model, x = small(augment=True), images()
    assert np.any(ops.convert_to_numpy(model._drawn(x, True)[0]) != x)
    np.testing.assert_array_equal(ops.convert_to_numpy(model._drawn(x, None)[0]), x)


# --- completing ---------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [*({"attention": kind} for kind in KINDS), {"gate": True}]
)
def test_visible_pixels_are_untouched_and_hidden_ones_unseen(arguments):
    model, x, seen = small(**arguments), images(), visible()
    found = model.complete(x, seen, num_samples=3, seed=1)
    assert found.shape == (4, 3, *SHAPE) and found.dtype == np.float32
    for k in range(3):
        np.testing.assert_array_equal(found[:, k][seen], x[seen])
    assert np.abs(found[:, 0] - found[:, 1]).max() > 1e-3
    assert found.min() >= 0 and found.max() <= 1
    # What stands at hidden pixels has no influence; what is visible has.
    spoiled = np.where(seen[..., None], x, 1 - x)
    again = model.complete(spoiled, seen, num_samples=3, seed=1)
    np.testing.assert_array_equal(again, found)
    other = model.complete(1 - x, seen, num_samples=3, seed=1)
    assert np.abs(other - found)[:, :, ~seen[0]].max() > 1e-3


@pytest.mark.parametrize(
    "dtype",
    [
        pytest.param(None, marks=pytest.mark.backend),
        "mixed_bfloat16",
        "mixed_float16",
    ],
)
def test_same_seed_same_completions(dtype):
    model, x, seen = small(dtype=dtype), images(), visible()
    found = model.complete(x, seen, num_samples=6, seed=1)
    np.testing.assert_array_equal(found[:, 0][seen], x[seen])
    np.testing.assert_array_equal(model.complete(x, seen, num_samples=6, seed=1), found)
    assert np.any(model.complete(x, seen, num_samples=6, seed=2) != found)
    parts = model.complete(x, seen, num_samples=6, seed=1, batch_size=7)
    np.testing.assert_allclose(parts, found, atol=1e-6 if dtype is None else 1e-2)
    whole = np.broadcast_to(seen[0], seen.shape)
    np.testing.assert_array_equal(
        model.complete(x, seen[0], seed=1), model.complete(x, whole, seed=1)
    )


def test_completions_are_decoded_draws_of_the_prior(monkeypatch):
    """z = mean + temperature · standard deviation · noise, image by image."""
    model, x, seen = small(), images(), visible()
    noise = np.random.default_rng(4).normal(size=(4, 3, 5)).astype("float32")
    monkeypatch.setattr(keras.random, "normal", lambda *_, **__: ops.array(noise))
    found = model.complete(x, seen, num_samples=3, temperature=0.6)
    mean, log_variance = (checks.numpy_of(p) for p in model.encode_visible(x, seen))
    for i in range(4):
        features = features_of(model, x[i], seen[i])
        for k in range(3):
            z = mean[i] + 0.6 * np.exp(log_variance[i] / 2) * noise[i, k]
            means, _ = model._pixels(ops.array(z[None], "float32"), features)
            expected = np.where(seen[i][..., None], x[i], checks.numpy_of(means)[0])
            np.testing.assert_allclose(found[i, k], expected, atol=1e-5)
    z = mean[:, None] + 0.6 * np.exp(log_variance / 2)[:, None] * noise
    np.testing.assert_allclose(model.complete_from(z, x, seen), found, atol=1e-6)


def test_attention_maps():
    model, x, seen = small(), images(), visible()
    maps = model.attention_maps(x, seen)
    assert maps.shape == (4, 3, 4, 3, 4)
    np.testing.assert_allclose(maps.sum(axis=(-2, -1)), 1, rtol=1e-5)
    assert np.abs(maps - maps[:1]).max() > 1e-4
    assert set(model.gammas()) == {"posterior", "prior", "decoder"}
    assert small(attention=None).gammas() == {}
    with pytest.raises(ValueError, match=r"in \['self'\] for this.*'uniform'"):
        small(attention="uniform").attention_maps(x, seen)


# --- as a Keras model ---------------------------------------------------------


@pytest.mark.slow
def test_save_and_load_and_go_on(tmp_path, eagerly):
    model, x = small(augment=True, gate=True, dropout=0.3), images(6)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9))
    model.fit(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(
        *(m.complete(x, visible(6), seed=1) for m in (model, loaded))
    )
    assert int(loaded.optimizer.iterations) == 1
    if keras.backend.backend() == "tensorflow":
        losses = [m.fit(x, verbose=0).history["loss"] for m in (model, loaded)]
        np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.slow
def test_arms_have_as_many_parameters():
    counts = {kind: CompletionVAE(attention=kind).count_params() for kind in KINDS}
    for kind in KINDS:
        assert abs(counts[kind] / counts["self"] - 1) < 0.01
    # A gate of 7×7 places at 16 channels.
    assert CompletionVAE(gate=True).count_params() == counts["self"] + 49 * 16 + 1


# --- against a discriminator --------------------------------------------------


def adversarial(**arguments):
    model = small(**ADVERSARIAL, **arguments)
    model.compile(
        TwoTimeScaleOptimizer(keras.optimizers.SGD(1e-4), keras.optimizers.SGD(1e-2))
    )
    return model


@pytest.mark.backend
@trainable_backend
def test_an_adversarial_step_moves_every_weight(eagerly):
    model, x = adversarial(), images(4, ADVERSARIAL["image_shape"])
    before = values(model.trainable_variables)
    logs = model.fit(x, batch_size=4, verbose=0).history
    assert set(logs) == {
        *("reconstruction", "kl", "discriminator_loss", "generator_loss")
    }
    for variable, old in zip(model.trainable_variables, before, strict=True):
        now = ops.convert_to_numpy(variable)
        assert np.all(np.isfinite(now)) and np.any(now != old), variable.path
    found = model.complete(x, visible(4, (8, 12, 2)), seed=0)
    assert np.all(np.isfinite(found))


@pytest.mark.ci
@on_tensorflow
def test_scaled_losses_give_the_same_adversarial_step(eagerly):
    """Both losses are scaled up before their gradients, which are scaled down again."""
    x, found = images(4, ADVERSARIAL["image_shape"]), []
    for scaled in (False, True):
        keras.utils.set_random_seed(0)
        model = small(**ADVERSARIAL)
        optimizer = TwoTimeScaleOptimizer(
            keras.optimizers.SGD(1e-4), keras.optimizers.SGD(1e-2)
        )
        if scaled:
            optimizer.scale_losses()
        model.compile(optimizer)
        before = values(model.trainable_variables)
        model.fit(x, batch_size=4, verbose=0)
        after = values(model.trainable_variables)
        found.append([b - a for b, a in zip(after, before, strict=True)])
    for plain, scaled in zip(*found, strict=True):
        np.testing.assert_allclose(
            scaled, plain, rtol=1e-2, atol=1e-3 * abs(plain).max()
        )


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize("dtype_policy", ["mixed_float16"], indirect=True)
def test_adversarial_training_in_float16_scales_both_losses(dtype_policy, eagerly):
    model = small(**ADVERSARIAL)
    model.compile()
    for optimizer in (model.optimizer.generator, model.optimizer.discriminator):
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    model.fit(images(4, ADVERSARIAL["image_shape"]), batch_size=4, verbose=0)
    for value in values(model.trainable_variables):
        assert np.all(np.isfinite(value))


@pytest.mark.slow
@on_tensorflow
def test_losses_of_an_adversarial_step_by_hand(monkeypatch):
    """The discriminator's hinge, then the bound minus the score times its weight."""
    x = images(4, ADVERSARIAL["image_shape"])
    mask = visible(4, (8, 12, 2))[..., None].astype("float32")
    noise = np.random.default_rng(4).normal(size=(4, 5)).astype("float32")
    monkeypatch.setattr(
        keras.random, "normal", lambda shape, **_: ops.reshape(ops.array(noise), shape)
    )
    model = adversarial(adversarial_weight=7.0)
    seen = []

    def spy(function, variables, *tensors):
        value = function(*tensors)
        seen.append((float(value), variables))
        return value, lambda cotangent: ([ops.zeros_like(v) for v in variables], [])

    monkeypatch.setattr(model, "pullback", spy)
    score = model.discriminator.layers[-1]
    score.bias.assign(score.bias - model.discriminator([ops.array(x)])[0])
    for _ in range(50):  # the spectral norms' estimates no longer move
        model.discriminator([ops.array(x)], training=True)
    drawn = model.complete(x, mask[..., 0] == 1, seed=0)  # the same noise
    real, fake = (
        checks.numpy_of(model.discriminator([ops.array(part)]))
        for part in (x, drawn[:, 0])
    )
    terms = model((x, mask))
    bound = float(ops.mean(terms["reconstruction"] + terms["kl"]))
    passes = []
    called = model.discriminator.call

    def counted(inputs, training=None, mask=None):
        passes.append(bool(training))
        return called(inputs, training=training, mask=mask)

    monkeypatch.setattr(model.discriminator, "call", counted)
    model.adversarial_step(((x, mask),))
    # Real and drawn in one pass, which moves the spectral norms' estimates, once.
    assert passes == [True, False]
    assert max(np.abs(real).max(), np.abs(fake).max()) < 1  # the hinge is open
    hinge = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    assert seen[0][0] == pytest.approx(hinge, rel=1e-4)
    assert seen[0][1] == model.discriminator.trainable_variables
    assert seen[1][0] == pytest.approx(bound - 7 * fake.mean(), rel=1e-5)
    others = {id(v) for v in model.discriminator.trainable_variables}
    every = {id(v) for v in model.trainable_variables}
    assert {id(v) for v in seen[1][1]} == every - others


@on_tensorflow
def test_the_score_reaches_the_decoder_and_the_prior():
    import tensorflow as tf

    model = adversarial()
    x = ops.convert_to_tensor(images(4, ADVERSARIAL["image_shape"]))
    mask = ops.convert_to_tensor(visible(4, (8, 12, 2))[..., None].astype("float32"))
    noise = ops.ones((4, 5))
    variables = [
        v
        for network in (model.prior, model.decoder)
        for v in network.trainable_variables
        if "log_scales" not in v.path
    ]
    estimates = values(model.discriminator.non_trainable_variables)
    with tf.GradientTape() as tape:
        prior = model.prior([x * mask, mask])
        means = model._decoded_prior(noise, prior)
        score = tf.reduce_mean(model.discriminator([mask * x + (1 - mask) * means]))
    for gradient in tape.gradient(score, [v.value for v in variables]):
        assert np.abs(gradient).max() > 0
    for old, new in zip(
        estimates, values(model.discriminator.non_trainable_variables), strict=True
    ):
        np.testing.assert_array_equal(old, new)


@pytest.mark.ci
@on_tensorflow
def test_an_adversarial_training_goes_on_from_a_file(tmp_path, eagerly):
    model, x = adversarial(), images(4, ADVERSARIAL["image_shape"])
    model.fit(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    logs = [m.fit(x, verbose=0).history for m in (model, loaded)]
    for name in logs[0]:
        np.testing.assert_allclose(logs[0][name], logs[1][name], rtol=1e-4)


# --- bad input ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image_shape": (28, 28)}, r"\(height, width, channels\).*\(28, 28\)"),
        ({"image_shape": (7, 28, 1)}, r"8×8.*\(7, 28, 1\)"),
        ({"latent_dim": 0}, "`latent_dim`.*latent_dim=0"),
        ({"levels": 1}, "`levels`.*levels=1"),
        ({"width": 4}, "`width`.*>= 8"),
        ({"width": 9}, "divisible by 2.*width=9"),
        ({"attention": "module"}, "Expected attention in.*'module'"),
        ({"dropout": 1.0}, r"dropout in \[0, 1\)"),
        ({"adversarial_weight": 0.0}, "adversarial_weight > 0"),
        ({"image_shape": (9, 12, 1), "adversarial": True}, "divisible by 4"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        CompletionVAE(**arguments)


SEEN = visible()


@pytest.mark.parametrize(
    ("x", "seen", "arguments", "words"),
    [
        (images()[..., :1], SEEN, {}, r"Expected images.*\(4, 9, 14, 1\)"),
        (images() + np.nan, SEEN, {}, "no NaN"),
        (images() * 255, SEEN, {}, r"\[0, 1\]"),
        (images(), SEEN[:, :-1], {}, r"`visible` of shape \(9, 14\) or \(4, 9, 14\)"),
        (images(), SEEN[:3], {}, r"\(3, 9, 14\)"),
        (images(), SEEN.astype(int), {}, "boolean.*int64"),
        (images(), np.ones((9, 14), bool), {}, "1 all visible of 1"),
        (images(), SEEN & (np.arange(4) > 0)[:, None, None], {}, "1 all hidden"),
        (images(), SEEN, {"num_samples": 0}, "num_samples=0"),
        (images(), SEEN, {"temperature": 0.0}, "temperature > 0"),
    ],
)
def test_bad_images_and_masks(x, seen, arguments, words):
    model = small()
    with pytest.raises(ValueError, match=words):
        model.complete(x, seen, **arguments)
    if not arguments:
        model.compile("sgd")
        for call in (model.elbo, model.encode, model.attention_maps):
            with pytest.raises(ValueError, match=words):
                call(x, seen)
        with pytest.raises(ValueError, match=words):
            model.fit(x, seen)


def test_bad_latents_and_optimizers():
    model = small()
    with pytest.raises(ValueError, match=r"\(4, num_samples, 5\).*\(4, 5\)"):
        model.complete_from(np.zeros((4, 5)), images(), SEEN)
    with pytest.raises(ValueError, match="TwoTimeScaleOptimizer"):
        small(**ADVERSARIAL).compile("adam")
