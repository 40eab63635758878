import math

import checks
import keras
import numpy as np
import pytest
from conftest import on_tensorflow
from keras import ops

from tfattn.models import AttentionControl, AttentionVAE

KINDS = ("self", "module", "residual", "uniform", None)


def small(image_shape=(8, 12, 1), **arguments):
    """A model for images that are not square, with γ = 0.7 and a flow that bends."""
    model = AttentionVAE(image_shape, latent_dim=5, width=8, **arguments)
    checks.enliven(model, gamma=0.7)
    return model


def gray(n=6, shape=(8, 12, 1), seed=0):
    return np.random.default_rng(seed).random((n, *shape)).astype("float32")


def binary(n=6, shape=(8, 12, 1), seed=0):
    return np.round(gray(n, shape, seed))


# --- the bound ----------------------------------------------------------------


def expected_log_weights(model, x, noise, labels=None):
    """log p(x|z) + log p(z) − log q(z|x), one number at a time."""
    mean, log_variance = (checks.numpy_of(p) for p in model.encode(x, labels))
    result = np.zeros(len(x))
    for i in range(len(x)):
        z = mean[i] + np.exp(log_variance[i] / 2) * noise[i]
        one_label = None if labels is None else labels[i : i + 1]
        logits = checks.numpy_of(model.decode(z[None].astype("float32"), one_label))[0]
        for pixel, logit in zip(x[i].ravel(), logits.ravel(), strict=True):
            probability = 1 / (1 + math.exp(-logit))
            result[i] += math.log(probability if pixel == 1 else 1 - probability)
        condition = model._condition(one_label, 1)
        log_prior = model.prior(z[None].astype("float32"), *condition)[1]
        result[i] += checks.numpy_of(log_prior)[0]
        for j in range(model.latent_dim):
            variance = math.exp(log_variance[i, j])
            result[i] += 0.5 * (
                math.log(2 * math.pi * variance) + (z[j] - mean[i, j]) ** 2 / variance
            )
    return result


@pytest.mark.backend
@pytest.mark.parametrize("kind", KINDS)
def test_log_weights_equal_loops(kind):
    """Sums over pixels and latents, not means; a KL of the right sign."""
    model = small(attention=kind)
    x, noise = binary(), np.random.default_rng(2).normal(size=(6, 5)).astype("float32")
    tensors = ops.convert_to_tensor(x), ops.convert_to_tensor(noise[None])
    own = model._log_weights(tensors[0], [], *model.encode(x), tensors[1])
    np.testing.assert_allclose(
        checks.numpy_of(own)[0], expected_log_weights(model, x, noise), rtol=1e-4
    )


def test_log_weights_equal_loops_with_classes():
    model = small(num_classes=3)
    x, labels = binary(), np.array([0, 1, 2, 2, 1, 0])
    noise = np.random.default_rng(2).normal(size=(6, 5)).astype("float32")
    own = model._log_weights(
        x, model._condition(labels, 6), *model.encode(x, labels), noise[None]
    )
    expected = expected_log_weights(model, x, noise, labels)
    np.testing.assert_allclose(checks.numpy_of(own)[0], expected, rtol=1e-4)
    swapped = expected_log_weights(model, x, noise, (labels + 1) % 3)
    assert np.abs(expected - swapped).max() > 1e-2


# --- levels -------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (3, 256)])
def test_levels_by_default(channels, levels):
    """Colors are never taken for probabilities of black and white."""
    assert AttentionVAE((8, 12, channels), width=8).levels == levels
    assert AttentionVAE((8, 12, channels), width=8, levels=5).levels == 5


@pytest.mark.backend
def test_log_weights_of_colors_equal_those_of_their_parts():
    model = small((8, 12, 3), levels=7)
    x = np.round(6 * gray(shape=(8, 12, 3))) / 6
    noise = np.random.default_rng(2).normal(size=(6, 5)).astype("float32")
    mean, log_variance = (checks.numpy_of(p) for p in model.encode(x))
    z = mean + np.exp(log_variance / 2) * noise
    weights, means, log_scales = (
        checks.numpy_of(p) for p in model._distribution._components(model.decode(z))
    )
    expected = checks.numpy_of(model.prior(z)[1]) + 0.5 * np.sum(
        np.log(2 * np.pi) + noise**2 + log_variance, axis=1
    )
    shares = np.exp(weights) / np.exp(weights).sum(axis=-1, keepdims=True)
    for i, row, column in np.ndindex(6, 8, 12):
        total = 0.0
        for k in range(shares.shape[-1]):
            of_component = shares[i, row, column, k]
            for channel in range(3):
                value = x[i, row, column, channel]
                at = (i, row, column, k, channel)
                edges = (value + np.array([-1, 1]) / 12 - means[at]) / np.exp(
                    log_scales[at]
                )
                low, high = 1 / (1 + np.exp(-edges))
                high = 1 if value == 1 else high
                low = 0 if value == 0 else low
                of_component *= high - low
            total += of_component
        expected[i] += math.log(total)
    tensors = ops.convert_to_tensor(x), ops.convert_to_tensor(noise[None])
    own = model._log_weights(tensors[0], [], *model.encode(x), tensors[1])
    np.testing.assert_allclose(checks.numpy_of(own)[0], expected, rtol=1e-4)


def test_images_are_rounded_to_levels_and_not_drawn():
    model = small((8, 12, 3), levels=5)
    x = gray(shape=(8, 12, 3))
    model.compile("sgd")
    found = model.predict(x, verbose=0)["images"]
    np.testing.assert_allclose(found, np.round(4 * x) / 4, atol=1e-7)
    np.testing.assert_array_equal(model.elbo(x), model.elbo(found))


def test_generated_colors_are_the_means_of_their_mixtures():
    model = small((8, 12, 3))
    z = model.sample_latents(4, seed=1)
    weights, means, _ = (
        checks.numpy_of(p) for p in model._distribution._components(model.decode(z))
    )
    shares = np.exp(weights) / np.exp(weights).sum(axis=-1, keepdims=True)
    expected = np.einsum("nhwk,nhwkc->nhwc", shares, means).clip(0, 1)
    images = model.generate(4, seed=1)
    np.testing.assert_allclose(images, expected, atol=1e-5)
    assert images.shape == (4, 8, 12, 3) and np.ptp(images, axis=-1).max() > 0


def test_means_beyond_black_and_white_are_black_and_white():
    distribution = AttentionVAE((8, 12, 3), width=8)._distribution
    for value, expected in ((10.0, 1), (-10.0, 0)):
        parameters = ops.full((2, 8, 12, distribution.num_parameters), value)
        found = checks.numpy_of(distribution.expected(parameters))
        np.testing.assert_array_equal(found, np.full((2, 8, 12, 3), expected))


def test_half_precision_does_not_round_the_levels():
    """Of 256 levels rounding to the nearest one would hide it."""
    model = AttentionVAE((8, 12, 3), width=8, levels=2001, dtype="mixed_bfloat16")
    x = np.round(2000 * gray(shape=(8, 12, 3))) / np.float32(2000)
    np.testing.assert_allclose(checks.numpy_of(model(x)["images"]), x, atol=1e-6)


@pytest.mark.ci
def test_training_loss_is_the_negative_bound():
    model = small()
    model.compile("sgd")
    x = binary(8)
    repeated = np.repeat(x, 2000, axis=0)
    terms = model.predict(repeated, batch_size=4000, verbose=0)
    drawn = (terms["reconstruction"] + terms["kl"]).reshape(8, 2000)
    expected = -model.elbo(x, num_samples=2000)
    error = 5 * drawn.std(axis=1) * np.sqrt(2 / 2000)
    assert np.all(np.abs(drawn.mean(axis=1) - expected) < error)
    found = model.evaluate(repeated, batch_size=4000, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], drawn.mean(), rtol=0.01)
    np.testing.assert_allclose(
        found["loss"], found["reconstruction"] + found["kl"], rtol=1e-5
    )


def test_kl_is_the_closed_form_on_average():
    """Without a flow KL = ½ Σ (mean² + variance − 1 − log variance)."""
    model = AttentionVAE((8, 12, 1), latent_dim=5, width=8, num_flow_layers=0)
    model.encoder.get_layer("log_variance").bias.assign(np.linspace(-2, 1, 5))
    x = binary(2)
    mean, log_variance = (checks.numpy_of(p) for p in model.encode(x))
    expected = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
    kl = model.predict(np.repeat(x, 20_000, axis=0), batch_size=5000, verbose=0)["kl"]
    np.testing.assert_allclose(kl.reshape(2, -1).mean(axis=1), expected, rtol=0.03)


@pytest.mark.ci
def test_probabilities_of_all_images_sum_to_one():
    """exp(L_K) is an unbiased estimate of p(x): summed over 2^16 images it is 1."""
    model = small((4, 4, 1))
    # A posterior broader than the prior keeps the variance of the estimate small.
    model.encoder.get_layer("log_variance").bias.assign(np.full(5, 0.7))
    for variable in model.prior.trainable_variables:
        variable.assign(0.5 * variable)
    bits = (np.arange(2**16)[:, None] >> np.arange(16)) & 1
    x = bits.reshape(-1, 4, 4, 1).astype("float32")
    bound = model.log_likelihood_bound(x, num_samples=4, batch_size=8192)
    assert abs(np.exp(bound).sum() - 1) < 0.05
    # The evidence lower bound is one: its exponentials sum to less.
    assert np.exp(model.elbo(x, num_samples=4, batch_size=8192)).sum() < 0.9


def test_bound_rises_with_the_number_of_samples():
    model = small()
    model.encoder.get_layer("log_variance").bias.assign(np.full(5, 1.0))
    x = binary(100)
    bounds = [model.log_likelihood_bound(x, num_samples=k).mean() for k in (1, 8, 64)]
    assert np.all(np.diff(bounds) > 0)
    np.testing.assert_array_equal(
        model.log_likelihood_bound(x, num_samples=1), model.elbo(x, num_samples=1)
    )


@pytest.mark.parametrize(("num_samples", "batch_size"), [(20_000, 500), (19_999, 7)])
def test_linear_gaussian_model_in_closed_form(num_samples, batch_size, monkeypatch):
    """z ~ N(0, 1) and x = z + N(0, 1) give log N(x; 0, 2), from a wrong q(z|x)."""
    model = small()
    x = binary(3)
    x[0], x[1] = 0, 1  # the sum of an image's first row stands for x
    observed = x[:, 0, :3, 0].sum(axis=1)

    def log_normal(value, mean, variance):
        return -0.5 * (np.log(2 * np.pi * variance) + (value - mean) ** 2 / variance)

    def log_weights(x, condition, mean, log_variance, noise):
        value = np.asarray(x)[:, 0, :3, 0].sum(axis=1)
        z = 0.3 + 1.1 * np.asarray(noise)[..., 0]
        return log_normal(z, 0, 1) + log_normal(value, z, 1) - log_normal(z, 0.3, 1.21)

    monkeypatch.setattr(model, "_compiled_log_weights", log_weights)
    if batch_size == 7:
        num_samples = 1999
    bound = model.log_likelihood_bound(
        x, num_samples=num_samples, batch_size=batch_size
    )
    np.testing.assert_allclose(bound, log_normal(observed, 0, 2), atol=0.1)


def test_scores_depend_on_the_seed_alone():
    model, x = small(), binary(7)
    first = model.log_likelihood_bound(x, num_samples=5, seed=3)
    np.testing.assert_array_equal(
        first, model.log_likelihood_bound(x, num_samples=5, seed=3)
    )
    assert np.any(first != model.log_likelihood_bound(x, num_samples=5, seed=4))


def test_scores_follow_the_weights():
    """The compiled scorer must not keep the weights it first saw."""
    model, x = small(), binary(3)
    before = model.elbo(x)
    model.decoder_image.get_layer("logits").bias.assign([3.0])
    assert np.all(np.abs(model.elbo(x) - before) > 1)


# --- training -----------------------------------------------------------------


def test_binarization_is_drawn_anew_and_leaves_binary_images_alone():
    model = small()
    x = np.full((4000, 8, 12, 1), 0.3, "float32")
    logits = model.predict(x, batch_size=4000, verbose=0)
    ones = np.round(binary(3))
    for images, same in ((x[:3], False), (ones, True)):
        seen = []
        original = model.encoder.call

        def spy(inputs, *args, original=original, seen=seen, **kwargs):
            seen.append(ops.convert_to_numpy(inputs[0]))
            return original(inputs, *args, **kwargs)

        model.encoder.call = spy
        model(images)
        model(images)
        model.encoder.call = original
        assert set(np.unique(seen)) <= {0.0, 1.0}
        assert np.array_equal(seen[0], seen[1]) == same
        if same:
            np.testing.assert_array_equal(seen[0], images)
        else:
            assert abs(np.mean(seen) - 0.3) < 0.1
    assert np.all(np.isfinite(logits["pixels"]))


@on_tensorflow
@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns(kind):
    """The gradient passes through the drawn latent to the encoder's last weight."""
    import tensorflow as tf

    model = small(attention=kind)
    x = binary(16)
    with tf.GradientTape() as tape:
        reconstruction = tf.reduce_mean(model(x, training=True)["reconstruction"])
    encoder = [v.value for v in model.encoder.trainable_variables]
    for gradient in tape.gradient(reconstruction, encoder):
        assert np.all(np.isfinite(gradient)) and np.abs(gradient).max() > 0
    with tf.GradientTape() as tape:
        terms = model(x, training=True)
        loss = tf.reduce_mean(terms["reconstruction"] + terms["kl"])
    for gradient in tape.gradient(loss, [v.value for v in model.trainable_variables]):
        assert np.all(np.isfinite(gradient)) and np.abs(gradient).max() > 0


@pytest.mark.ci
@pytest.mark.parametrize("kind", ["self", "module"])
def test_fit_lowers_the_loss(kind):
    model = AttentionVAE((8, 12, 1), latent_dim=5, width=8, attention=kind)
    model.compile(keras.optimizers.Adam(3e-3))
    x = np.repeat(binary(2), 64, axis=0)
    losses = model.fit(x, epochs=6, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.slow
@pytest.mark.backend
def test_fit_with_classes():
    model = small(num_classes=3)
    model.compile(keras.optimizers.SGD(1e-3))
    x, labels = gray(12), np.arange(12) % 3
    history = model.fit(x, labels, epochs=2, batch_size=4, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    assert model.generate(3, [0, 1, 2], seed=0).shape == (3, 8, 12, 1)


@pytest.mark.ci
@pytest.mark.parametrize("dtype_policy", ["mixed_float16"], indirect=True)
def test_mixed_precision(dtype_policy):
    model = small()
    model.compile(keras.optimizers.Adam(1e-3))
    losses = model.fit(gray(32), epochs=2, batch_size=8, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses))
    terms = model(gray(4))
    for name, term in terms.items():
        assert keras.backend.standardize_dtype(term.dtype) == "float32", name


def test_precision_is_the_models_own(tmp_path):
    """Not the global one, which here is float32."""
    model = small(dtype="mixed_bfloat16")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        assert one.decoder_attention.compute_dtype == "bfloat16"
        assert one.encoder.layers[1].compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.ci
@on_tensorflow
def test_entropy_weight_has_a_gradient_and_sharpens_the_map():
    entropies = []
    for weight in (0.0, 30.0):
        keras.utils.set_random_seed(0)
        model = small(entropy_weight=weight)
        model.compile(keras.optimizers.Adam(1e-2))
        model.fit(binary(64), epochs=10, batch_size=16, verbose=0)
        maps = model.attention_maps(binary(64))
        entropies.append(-(maps * np.log(maps + 1e-12)).sum(axis=(-2, -1)).mean())
    assert entropies[1] < 0.8 * entropies[0]


# --- parameters, saving --------------------------------------------------------


def test_arms_have_as_many_parameters():
    counts = {kind: AttentionVAE(attention=kind).count_params() for kind in KINDS}
    for kind in ("residual", "uniform"):
        assert abs(counts[kind] / counts["self"] - 1) < 0.02
    assert abs(counts[None] / counts["self"] - 1) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["self", "module"])
def test_save_and_load_without_custom_objects(kind, tmp_path, eagerly):
    model = small(attention=kind)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9))
    model.fit(gray(), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded.elbo(binary()), model.elbo(binary()))
    np.testing.assert_array_equal(loaded.generate(2, seed=1), model.generate(2, seed=1))


@pytest.mark.slow
@on_tensorflow
def test_training_goes_on_from_a_file_with_the_same_draws(tmp_path, eagerly):
    model = small()
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9))
    model.fit(gray(), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    losses = [m.fit(gray(), verbose=0).history["loss"] for m in (model, loaded)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


# --- generating ----------------------------------------------------------------


def test_shapes_and_ranges():
    model, x = small(), gray()
    samples = model.generate(7, seed=0)
    assert samples.shape == (7, 8, 12, 1)
    assert samples.min() >= 0 and samples.max() <= 1
    np.testing.assert_array_equal(samples, model.generate(7, seed=0))
    assert np.any(samples != model.generate(7, seed=1))
    assert model.reconstruct(x).shape == x.shape
    mean, log_variance = model.encode(x)
    assert mean.shape == log_variance.shape == (6, 5)
    maps = model.attention_maps(x)
    assert maps.shape == (6, 4, 6, 2, 3)
    np.testing.assert_allclose(maps.sum(axis=(-2, -1)), 1, rtol=1e-5)
    gates = small(attention="module").attention_maps(x)
    np.testing.assert_allclose(gates.sum(axis=(1, 2)), 1, rtol=1e-5)


def test_interpolation_ends_at_the_reconstructions():
    model, x = small(), gray()
    path = model.interpolate(x[:2], x[2:4], num_steps=4)
    assert path.shape == (2, 4, 8, 12, 1)
    np.testing.assert_allclose(path[:, 0], model.reconstruct(x[:2]), atol=1e-4)
    np.testing.assert_allclose(path[:, -1], model.reconstruct(x[2:4]), atol=1e-4)
    assert np.abs(path[:, 1] - path[:, 0]).max() > 1e-4


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["self", "module"])
def test_attention_control(kind):
    model = small(attention=kind)
    z = model.sample_latents(4, seed=0)

    def decoded(**control):
        return checks.numpy_of(model.decode(z, control=AttentionControl(**control)))

    trained = checks.numpy_of(model.decode(z))
    np.testing.assert_allclose(decoded(), trained, atol=1e-6)
    mask = np.zeros((2, 3) if kind == "self" else (4, 6), bool)
    mask[0, 0] = True
    for control in ({"sharpness": 9.0}, {"strength": 3.0}, {"key_mask": mask}):
        assert np.abs(decoded(**control) - trained).max() > 1e-4, control
    np.testing.assert_array_equal(decoded(key_mask=~mask | mask), decoded())
    gamma = ops.convert_to_numpy(model.decoder_attention.gamma)
    model.decoder_attention.gamma.assign(0.0)
    np.testing.assert_allclose(
        checks.numpy_of(model.decode(z)), decoded(strength=5.0), atol=1e-6
    )
    off = checks.numpy_of(model.decode(z))
    model.decoder_attention.gamma.assign(gamma)
    np.testing.assert_allclose(decoded(strength=0.0), off, atol=1e-6)


# --- bad input ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image_shape": (28, 28)}, r"\(height, width, channels\).*\(28, 28\)"),
        ({"image_shape": (27, 28, 1)}, r"divisible by 4.*\(27, 28, 1\)"),
        ({"latent_dim": 1}, "`latent_dim`.*>= 2.*latent_dim=1"),
        ({"attention": "all"}, "Expected attention in.*'all'"),
        ({"num_classes": 1}, "`num_classes`.*num_classes=1"),
        ({"width": 6}, "`width`.*>= 8.*width=6"),
        ({"width": 10}, "divisible by 4.*width=10"),
        ({"num_flow_layers": -1}, "num_flow_layers=-1"),
        ({"attention": None, "entropy_weight": 1.0}, 'attention="self".*None'),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        AttentionVAE(**arguments)


def test_bad_images():
    model = small()
    model.compile("adam")
    nan = gray()
    nan[1, 2, 3] = np.nan
    too_large = 255 * gray()
    other_size = gray(shape=(12, 8, 1))
    for call in (model.fit, model.encode, model.elbo, model.attention_maps):
        for x, words in (
            (nan, r"\[0, 1\] and no NaN.*nan"),
            (too_large, r"\[0, 1\] and no NaN.*25"),
            (other_size, r"\(n, 8, 12, 1\).*\(6, 12, 8, 1\)"),
        ):
            with pytest.raises(ValueError, match=words):
                call(x)
    with pytest.raises(ValueError, match=r"binary images.*tfattn.data.binarize"):
        model.log_likelihood_bound(gray())
    with pytest.raises(ValueError, match="num_samples=0"):
        model.log_likelihood_bound(binary(), num_samples=0)
    with pytest.raises(ValueError, match=r"\(n, 5\).*\(2, 4\)"):
        model.decode(np.zeros((2, 4), "float32"))


def test_bad_labels():
    model = small(num_classes=3)
    model.compile("adam")
    x = gray()
    for labels, words in (
        ([0, 1, 2, 3, 0, 1], r"from 0 to 2.*\[0 1 2 3\]"),
        ([0, 1], "6 labels"),
        ([0.5] * 6, "integer labels.*float"),
    ):
        with pytest.raises(ValueError, match=words):
            model.fit(x, np.array(labels))
    with pytest.raises(ValueError, match=r"class of each image, 0 to 2.*none"):
        model.generate(2)
    with pytest.raises(ValueError, match="has no classes"):
        small().generate(2, [0, 1])


def test_bad_control():
    with pytest.raises(ValueError, match="attention='uniform'"):
        small(attention="uniform").generate(1, control=AttentionControl(strength=2.0))
    with pytest.raises(ValueError, match=r"in \['self', 'module'\] for this.*None"):
        small(attention=None).attention_maps(gray())
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(8, 12\)"):
        small().generate(1, control=AttentionControl(key_mask=np.ones((8, 12), bool)))
