"""What users of such models have reported, here or elsewhere: right, or refused."""

import itertools

import checks
import keras
import numpy as np
import pytest
import small
from conftest import on_tensorflow

from tfattn.models import (
    AttentionVAE,
    CompletionVAE,
    ImageClassifier,
    ImageTransformer,
    SelfAttentionGAN,
    TwoTimeScaleOptimizer,
)

# Integers of each class. What is no integer, or negative, is refused.
INTEGERS = {
    AttentionVAE: {"latent_dim": 3, "width": 8, "num_flow_layers": 2, "seed": 1},
    CompletionVAE: {"latent_dim": 3, "width": 8, "levels": 2, "seed": 1},
    SelfAttentionGAN: {"latent_dim": 3, "width": 8, "num_classes": 3, "seed": 1},
    ImageTransformer: {"num_layers": 1, "num_heads": 2, "width": 8, "levels": 2},
    ImageClassifier: {"num_classes": 3, "width": 4, "num_features": 8, "seed": 1},
}


@pytest.mark.backend
@pytest.mark.parametrize("model", INTEGERS)
def test_integers_are_numpys_too_and_no_booleans(model):
    integers = INTEGERS[model]
    shape = tuple(map(np.int64, small.SHAPE))
    made = model(shape, **{name: np.int64(n) for name, n in integers.items()})
    config = made.get_config()
    for name in integers:
        assert type(config[name]) is int
        for wrong in (True, 2.5, -1, None):
            if (name, wrong) == ("num_classes", None):
                continue
            with pytest.raises(ValueError, match=f"`?{name}`? to be an integer"):
                model(small.SHAPE, **{**integers, name: wrong})
    with pytest.raises(ValueError, match="Expected image_shape"):
        model((8, True, 1), **integers)


@pytest.mark.parametrize("name", small.MAKERS)
def test_nothing_to_train_on_is_refused(name):
    model = small.compiled(name)
    x, y = small.images(), small.condition(name)
    with pytest.raises(ValueError, match="at least one"):
        model.fit(x[:0], None if y is None else y[:0])
    with pytest.raises(ValueError, match="`batch_size` to be an integer >= 1"):
        model.fit(x, y, batch_size=0)


@pytest.mark.parametrize("name", small.MAKERS)
def test_predictions_are_of_checked_inputs(name, eagerly):
    model, x = small.MAKERS[name](), small.images()
    y = None if name == "classifier" else small.condition(name)
    too_bright, words = (255 * x).astype("uint8"), r"x\.astype\('float32'\) / 255"
    if name == "gan_by_class":
        x, too_bright = model.sample_latents(6, seed=0), np.zeros((6, 2), "float32")
        words = "Expected latents"
    right = x if y is None else (x, y)
    found = model.predict(right, batch_size=4, verbose=0)
    assert {len(array) for array in keras.tree.flatten(found)} == {6}
    with pytest.raises(ValueError, match=words):
        model.predict(too_bright if y is None else (too_bright, y), verbose=0)
    if y is not None and not name.startswith("completion"):
        with pytest.raises(ValueError, match=r"condition|one for each image"):
            model.predict(x, verbose=0)


@pytest.mark.parametrize("name", ["vae", "completion_by_mask"])
def test_bounds_of_no_images_at_once_are_refused(name):
    model = small.MAKERS[name]()
    y = small.condition(name)
    arguments = [small.images()] if y is None else [small.images(), y]
    for bound in (model.elbo, model.log_likelihood_bound):
        with pytest.raises(ValueError, match="`batch_size` to be an integer >= 1"):
            bound(*arguments, num_samples=2, batch_size=0)


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize(
    ("name", "part"), [("vae", "encoder"), ("completion_by_mask", "decoder")]
)
def test_frozen_parts_stay_frozen_in_a_file(name, part, tmp_path, eagerly):
    model = small.compiled(name)
    getattr(model, part).trainable = False
    model.fit(small.images(), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    count = len(model.trainable_variables)
    assert len(loaded.trainable_variables) == count < len(loaded.variables)
    assert not getattr(loaded, part).trainable
    assert int(loaded.optimizer.iterations) == 1
    both = (m.optimizer.variables for m in (model, loaded))
    for old, new in zip(*both, strict=True):
        np.testing.assert_array_equal(checks.numpy_of(old), checks.numpy_of(new))
    thawed = type(loaded).from_config({**loaded.get_config(), "frozen": []})
    assert len(thawed.trainable_variables) > count


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("name", ["vae", "gan_by_class", "transformer_by_class"])
def test_quantized_and_lora_models_stay_so_in_a_file(name, tmp_path):
    model = small.MAKERS[name]()
    model.quantize("int8")
    dense = [x for x in model._flatten_layers() if hasattr(x, "enable_lora")]
    dense[0].enable_lora(2)
    dense[0].lora_kernel_b.assign(dense[0].lora_kernel_b + 0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(
        model._flatten_layers(), loaded._flatten_layers(), strict=True
    ):
        for state in ("quantization_mode", "lora_enabled", "lora_rank"):
            assert getattr(one, state, None) == getattr(other, state, None), one.path
    # In the file LoRA is part of the kernel, which is rounded to int8 again.
    y = small.condition(name)
    if name == "transformer_by_class":
        found = [m.log_likelihood(small.images(), y) for m in (model, loaded)]
        np.testing.assert_allclose(*found, rtol=0.02)
    else:
        found = [m.generate(6, y, seed=1) for m in (model, loaded)]
        np.testing.assert_allclose(*found, atol=0.02)


def test_the_average_of_a_gan_needs_no_freezing():
    model = small.MAKERS["gan_by_class"]()
    assert "frozen" not in model.get_config()
    model.discriminator.trainable = False
    again = type(model).from_config(model.get_config())
    assert not again.discriminator.trainable and again.generator.trainable


@pytest.mark.slow
@pytest.mark.backend
def test_compiled_functions_follow_what_becomes_of_the_weights():
    model = small.MAKERS["transformer_by_class"]()
    x, y = small.images(2), small.condition("transformer_by_class", 2)
    tokens = model.tokens.from_levels(x.astype("int32"))

    def check():
        expected = checks.numpy_of(model._log_density_of_tokens(tokens, y))
        found = model.log_likelihood(x, y)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        return found

    found = [check()]
    model.network.head.kernel.assign(3 * model.network.head.kernel)
    found.append(check())
    (layer,) = model.network.decoder_layers
    layer.expand.enable_lora(2)
    layer.expand.lora_kernel_b.assign(layer.expand.lora_kernel_b + 0.5)
    found.append(check())
    layer.contract.quantize("int8")
    found.append(check())
    for old, new in itertools.pairwise(found):
        assert np.any(old != new)


def test_models_have_channels_last_whatever_keras_is_told():
    model = small.MAKERS["gan_by_class"]()
    expected = model.generate(2, [1, 2], seed=0)
    keras.config.set_image_data_format("channels_first")
    try:
        for name in ("vae", "completion_by_mask", "classifier"):
            made = small.MAKERS[name]()
            for layer in made._flatten_layers():
                assert getattr(layer, "data_format", None) != "channels_first"
        assert keras.config.image_data_format() == "channels_first"
        other = small.MAKERS["gan_by_class"]()
        other.set_weights(model.get_weights())
        found = other.generate(2, [1, 2], seed=0)
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.ci
@on_tensorflow
@pytest.mark.parametrize("seed", [1, 2, 7])
@pytest.mark.parametrize("name", ["vae", "vae_of_levels", "completion_by_mask"])
def test_a_large_learning_rate_gives_a_large_loss_and_no_nan(name, seed):
    keras.utils.set_random_seed(seed)
    model = small.MAKERS[name]()
    model.compile(keras.optimizers.Adam(1.0))
    x = np.random.default_rng(0).random((64, *small.SHAPE)).astype("float32")
    losses = model.fit(x, batch_size=4, epochs=5, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses)) and max(losses) > 1e3


@pytest.mark.ci
@on_tensorflow
@pytest.mark.parametrize(
    "name",  # the GAN's is `test_fit_is_a_loop_of_steps`
    [
        *("vae", "vae_of_levels", "transformer_by_text", "completion_augmented"),
        *("completion_adversarial", "classifier"),
    ],
)
def test_xla_trains_every_model(name):
    if name == "completion_augmented":
        model = CompletionVAE(small.SHAPE, 3, width=8, augment=True)
        model.compile("adam", jit_compile=True)
    else:
        model = small.compiled(name, jit_compile=True)
    history = model.fit(small.images(), small.condition(name), verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())


# --- the two optimizers of adversarial training -------------------------------


def rates(optimizer):
    both = optimizer.generator, optimizer.discriminator
    return [float(one.learning_rate) for one in both]


def test_rates_keep_their_ratio_through_zero():
    optimizer = TwoTimeScaleOptimizer()
    optimizer.learning_rate = 0.0
    np.testing.assert_allclose(rates(optimizer), [0, 0])
    optimizer.learning_rate = 1e-3
    np.testing.assert_allclose(rates(optimizer), [1e-3, 4e-3])


def test_optimizers_by_name():
    optimizer = TwoTimeScaleOptimizer("sgd", "sgd")
    for one in (optimizer.generator, optimizer.discriminator):
        assert isinstance(one, keras.optimizers.SGD)
    assert optimizer.generator is not optimizer.discriminator


def test_one_optimizer_for_both_is_refused():
    one = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="an optimizer of its own"):
        TwoTimeScaleOptimizer(one, one)


@pytest.mark.parametrize("place", [0, 1])
def test_schedules_keep_their_own_rates(place):
    both = [keras.optimizers.SGD(0.5), keras.optimizers.SGD(0.5)]
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    both[place] = keras.optimizers.SGD(schedule)
    optimizer = TwoTimeScaleOptimizer(*both)
    before = rates(optimizer)
    with pytest.raises(ValueError, match=r"ratio stays\. Received: a schedule"):
        optimizer.learning_rate = 1.0
    assert rates(optimizer) == before


# --- files and `compile` --------------------------------------------------------


def test_a_model_that_was_not_compiled_is_not_when_loaded(tmp_path):
    model = small.MAKERS["gan_by_class"]()
    model.save(tmp_path / "model.keras")
    assert not keras.saving.load_model(tmp_path / "model.keras").compiled


@pytest.mark.parametrize(
    "arguments",
    [
        {"loss_weights": [1.0]},
        {"weighted_metrics": ["mse"]},
        {"metrics": {"images": "mse"}},
        {"metrics": "mse"},
    ],
)
def test_arguments_of_compile_are_heeded_or_refused(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"Expected (no )?{name}"):
        small.MAKERS["vae"]().compile("adam", **arguments)


def test_a_gan_is_not_tested_on_a_batch():
    model = small.compiled("gan_by_class")
    with pytest.raises(ValueError, match="Expected no evaluation"):
        model.test_on_batch(small.images(), small.condition("gan_by_class"))


@pytest.mark.parametrize("wrong", ["1", None, True, 0, -1.0, float("nan")])
def test_temperatures_are_numbers_above_0(wrong):
    with pytest.raises(ValueError, match="Expected temperature > 0"):
        small.MAKERS["vae"]().generate(1, temperature=wrong)


@pytest.mark.parametrize("wrong", [0, -3, 2.5])
def test_batches_have_images(wrong):
    x, visible = small.images(), small.condition("completion_by_mask")
    with pytest.raises(ValueError, match="`batch_size` to be an integer >= 1"):
        small.MAKERS["completion_by_mask"]().complete(x, visible, batch_size=wrong)
    transformer = small.MAKERS["transformer_by_class"]()
    classes = small.condition("transformer_by_class")
    with pytest.raises(ValueError, match="`batch_size` to be an integer >= 1"):
        transformer.log_likelihood(x, classes, batch_size=wrong)
    with pytest.raises(ValueError, match="`batch_size` to be an integer >= 1"):
        transformer.generate(6, classes, batch_size=wrong)


def test_a_path_has_two_ends():
    x = small.images()
    with pytest.raises(ValueError, match="`num_steps` to be an integer >= 2"):
        small.MAKERS["vae"]().interpolate(x, x, num_steps=1)
