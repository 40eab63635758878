import checks
import keras
import numpy as np
import pytest
from conftest import on_tensorflow, run_python
from keras import ops

from tfattn import layers
from tfattn.models import SelfAttentionGAN, TwoTimeScaleOptimizer
from tfattn.models.gan.networks import attended_halvings, num_halvings

ATTENTIONS = SelfAttentionGAN.ATTENTIONS

SHAPE = (8, 12, 2)
trainable_backend = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="needs KERAS_BACKEND=tensorflow or jax"
)


def small(num_classes=3, **arguments):
    """A model for images that are not square, with γ = 1 and biases that are not 0."""
    model = SelfAttentionGAN(
        SHAPE, latent_dim=5, num_classes=num_classes, width=8, **arguments
    )
    checks.enliven(model, gamma=1.0)
    model.generator_average.set_weights(model.generator.get_weights())
    return model


def images(n=6, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).random((n, *shape)).astype("float32")


LABELS = np.array([0, 1, 2, 2, 1, 0])
CONDITION = np.eye(3, dtype="float32")[LABELS]


def values(variables):
    return [np.array(ops.convert_to_numpy(v)) for v in variables]


def sgd(rate=1.0):
    return TwoTimeScaleOptimizer(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))


# --- sizes --------------------------------------------------------------------


# Image size: the grid that the generator starts from, and the one that attends.
@pytest.mark.parametrize(
    ("size", "start", "attended"),
    [
        ((8, 12), (2, 3), (4, 6)),
        ((28, 28), (7, 7), (14, 14)),
        ((32, 32), (8, 8), (16, 16)),
        ((48, 100), (12, 25), (24, 50)),
        ((64, 64), (8, 8), (32, 32)),
        ((64, 60), (16, 15), (32, 30)),
        ((96, 128), (12, 16), (24, 32)),
        ((100, 68), (25, 17), (50, 34)),
        ((128, 128), (8, 8), (32, 32)),
    ],
)
def test_depth_follows_the_size_of_images(size, start, attended):
    model = SelfAttentionGAN((*size, 3), latent_dim=4, width=8)
    assert model.generator.output_shape == (None, *size, 3)
    (reshape,) = (x for x in model.generator.layers if "reshape" in x.name)
    assert reshape.output.shape[1:3] == start
    maps = model.attention_maps(np.zeros((1, 4), "float32"))
    assert maps.shape == (1, *attended, *(side // 2 for side in attended))
    (last,) = (x for x in model.discriminator.layers if "global" in x.name)
    assert last.input.shape[1:3] == start
    maps = model.discriminator_attention_maps(np.zeros((1, *size, 3)))
    assert maps.shape == (1, *attended, *(side // 2 for side in attended))


def test_attention_stands_inside_the_generator_at_every_size():
    for h in range(4, 1028, 4):
        for w in (h, h + 4, 2 * h):
            depth = num_halvings((h, w, 3))
            assert h % 2**depth == w % 2**depth == 0
            assert 1 <= attended_halvings((h, w, 3), depth) < depth


@trainable_backend
@pytest.mark.ci
def test_large_colored_images_are_trained_on():
    model = SelfAttentionGAN((64, 64, 3), latent_dim=4, width=8)
    model.compile(sgd(1e-3))
    history = model.fit(images(4, (64, 64, 3)), batch_size=2, verbose=0).history
    assert np.all(np.isfinite([*history.values()]))
    assert model.generate(2, seed=0).shape == (2, 64, 64, 3)


def test_sizes_that_are_not_divisible_are_told_the_nearest():
    with pytest.raises(ValueError, match=r"\(28, 28, 3\) or \(32, 28, 3\)"):
        SelfAttentionGAN((30, 28, 3))
    with pytest.raises(ValueError, match=r"such as \(4, 8, 3\)\."):
        SelfAttentionGAN((3, 5, 3))


# --- one training step --------------------------------------------------------


@trainable_backend
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_cotangent_reaches_every_weight(attention):
    model = small(attention=attention)
    model.compile(sgd())
    rng = np.random.default_rng(2)
    latents = rng.normal(size=(6, 5)).astype("float32")
    for network, inputs, shape in (
        (model.generator, [latents, CONDITION], (6, *SHAPE)),
        (model.discriminator, [images(), CONDITION], (6, 1)),
    ):
        variables = network.trainable_variables
        _, gradients = model.pullback(
            lambda network=network, inputs=inputs: network(inputs, training=True),
            variables,
        )
        found, _ = gradients(ops.convert_to_tensor(rng.normal(size=shape), "float32"))
        for variable, gradient in zip(variables, found, strict=True):
            gradient = checks.numpy_of(gradient)
            # Softmax forgets the keys' shift alone; nothing here has one.
            assert np.all(np.isfinite(gradient)), variable.path
            assert np.abs(gradient).max() > 1e-6, variable.path


def settle(network):
    """Sets the estimates of all σ to the singular vectors that they converge to."""
    for layer in network._flatten_layers():
        if isinstance(layer, (layers.SpectralConv2D, layers.SpectralDense)):
            kernel = ops.convert_to_numpy(layer.kernel)
            _, _, right = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))
            layer.norm.right_singular_vector.assign(right[0])


def assign(network, weights):
    for variable, value in zip(network.trainable_variables, weights, strict=True):
        variable.assign(value)


@pytest.mark.slow
@trainable_backend
def test_a_step_follows_the_gradients_of_both_losses():
    """Steps of plain gradient descent against finite differences of both losses.

    The discriminator's loss is one of the old weights; the generator's is that of its
    own old weights and the discriminator's new ones.
    """
    model = small()
    rate = 1e-3
    model.compile(sgd(rate))
    x, condition = ops.convert_to_tensor(images()), ops.convert_to_tensor(CONDITION)
    noise = keras.random.normal((6, 5), seed=keras.random.SeedGenerator(0))
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    for network in networks.values():
        settle(network)  # or else σ's derivative by its estimates is not 0
    before = {name: values(n.trainable_variables) for name, n in networks.items()}
    model.adversarial_step(((x, LABELS),))
    after = {name: values(n.trainable_variables) for name, n in networks.items()}

    def scores(image_batch):
        return checks.numpy_of(model.discriminator([image_batch, condition]))

    def generated():
        return model.generator([noise, condition], training=True)

    def discriminator_loss():
        real, fake = scores(x), scores(generated())
        return np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()

    def generator_loss():
        return -scores(generated()).mean()

    losses = {"discriminator": discriminator_loss, "generator": generator_loss}
    for name, loss in losses.items():
        assign(model.generator, before["generator"])
        found = [
            (old - new) / rate
            for old, new in zip(before[name], after[name], strict=True)
        ]
        norm = np.sqrt(sum((g**2).sum() for g in found))
        moved = []
        for step in (1e-3, -1e-3):
            weights = [
                w + step / norm * g for w, g in zip(before[name], found, strict=True)
            ]
            assign(networks[name], weights)
            moved.append(loss())
        # Along its own direction a gradient's slope is its norm.
        assert norm > 0.01
        np.testing.assert_allclose((moved[0] - moved[1]) / 2e-3, norm, rtol=0.03)
        assign(networks[name], after[name])


@trainable_backend
def test_each_step_leaves_the_other_network_alone():
    model = small()
    model.compile(sgd())
    generated, gradients = model.pullback(
        lambda: model.generator([images(6, (5,)), CONDITION], training=True),
        model.generator.trainable_variables,
    )

    def snapshot():
        parts = model.generator, model.generator_average, model.discriminator
        return [values(part.weights) for part in parts]

    def changed(before, after):
        return [
            any(np.any(old != new) for old, new in zip(*part, strict=True))
            for part in zip(before, after, strict=True)
        ]

    condition = [ops.convert_to_tensor(CONDITION)]
    before = snapshot()
    model.discriminator_step(images(), generated, condition)
    between = snapshot()
    assert changed(before, between) == [False, False, True]
    model._generator_step(generated, gradients, condition)
    assert changed(between, snapshot()) == [True, False, False]


def test_real_and_generated_images_meet_the_same_weights():
    """The estimate of σ would move between two passes in training."""
    model = small()
    x, generated = images(), images(seed=1)
    real, fake = (
        checks.numpy_of(model.discriminator([part, CONDITION]))
        for part in (x, generated)
    )
    model.compile(sgd(0.0))
    loss = model.discriminator_step(
        ops.convert_to_tensor(x),
        ops.convert_to_tensor(generated),
        [ops.convert_to_tensor(CONDITION)],
    )
    expected = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    np.testing.assert_allclose(checks.numpy_of(loss), expected, rtol=1e-5)
    moved = checks.numpy_of(model.discriminator([generated, CONDITION]))
    assert np.abs(moved - fake).max() > 1e-4  # what a second pass would have seen


def test_hinge_loss_by_hand():
    model = small()
    real, fake = np.array([[2.0], [0.5]]), np.array([[-3.0], [0.25]])
    # Real: max(0, -1) and max(0, 0.5); generated: max(0, -2) and max(0, 1.25).
    loss = model.discriminator_loss(ops.array(real), ops.array(fake))
    assert float(loss) == pytest.approx(0.25 + 0.625)
    assert float(model.generator_loss(ops.array(fake))) == pytest.approx(2.75 / 2)


@pytest.mark.slow
@trainable_backend
def test_average_of_the_generator():
    model = small(ema_decay=0.3)
    model.compile(sgd(0.005))
    expected = values(model.generator_average.weights)
    for step in (1, 2, 3, 4):
        model.adversarial_step(((images(), LABELS),))
        decay = min(0.3, (1 + step) / (10 + step))
        expected = [
            decay * average + (1 - decay) * current
            for average, current in zip(
                expected, values(model.generator.weights), strict=True
            )
        ]
    for found, value in zip(
        values(model.generator_average.weights), expected, strict=True
    ):
        np.testing.assert_allclose(found, value, atol=1e-5)
    drawn = model.generate(4, [0, 1, 2, 0], seed=3)
    inputs = [model.sample_latents(4, seed=3), CONDITION[[0, 1, 2, 0]]]
    of_average = checks.numpy_of(model.generator_average(inputs))
    np.testing.assert_allclose(drawn, of_average, atol=1e-5)
    assert np.abs(drawn - checks.numpy_of(model.generator(inputs))).max() > 1e-3


# --- as a Keras model ---------------------------------------------------------


def stepper(model):
    """The model's step as a function of a batch that changes the model.

    Op by op on TensorFlow. That takes a minute on JAX: there the values of all
    variables, of whatever kind, go through one compiled function.
    """
    if keras.backend.backend() == "tensorflow":
        return model.adversarial_step
    import jax

    variables = model.variables + model.optimizer.variables + model.metrics_variables

    @jax.jit
    def pure(before, batch):
        with keras.StatelessScope(zip(variables, before, strict=True)) as scope:
            model.adversarial_step(batch)
        return [scope.get_current_value(variable) for variable in variables]

    def step(batch):
        after = pure([variable.value for variable in variables], batch)
        for variable, value in zip(variables, after, strict=True):
            variable.assign(value)

    return step


@pytest.mark.slow
@pytest.mark.backend
@trainable_backend
@pytest.mark.parametrize(
    "jit_compile",
    [
        pytest.param(False, marks=on_tensorflow),  # on JAX: op by op, a minute
        pytest.param(True, marks=pytest.mark.ci),
    ],
)
def test_fit_is_a_loop_of_steps(jit_compile, monkeypatch):
    """Of steps that are traced once: the first would take twice as long."""
    x, labels = images(12), np.tile(LABELS, 2)
    # XLA draws other numbers from the same seed.
    noise = np.random.default_rng(3).normal(size=(6, 5)).astype("float32")
    monkeypatch.setattr(keras.random, "normal", lambda *_, **__: ops.array(noise))
    one, other = small(), small()
    other.set_weights(one.get_weights())
    start = values(one.weights)
    one.compile(sgd(0.01))
    other.compile(sgd(0.01), jit_compile=jit_compile)
    step = stepper(one)
    for half in (slice(6), slice(6, 12)):
        step(((x[half], labels[half]),))
    traced, train_step = [], SelfAttentionGAN.train_step
    monkeypatch.setattr(
        SelfAttentionGAN,
        "train_step",
        lambda self, *data: traced.append(1) or train_step(self, *data),
    )
    logs = other.fit(x, labels, batch_size=6, shuffle=False, verbose=0).history
    assert len(traced) == 1
    assert set(logs) == {"discriminator_loss", "generator_loss"}
    for name, value in one.get_metrics_result().items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-4)
    both = zip(values(other.weights), values(one.weights), strict=True)
    for old, (found, expected) in zip(start, both, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert np.any(found != old)  # what a pass counts and estimates moves, too


@pytest.mark.ci
@trainable_backend
def test_a_loaded_model_goes_on_where_it_was(tmp_path, eagerly):
    x = images(12), np.tile(LABELS, 2)
    model = small()
    model.compile()
    model.fit(*x, batch_size=6, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    labels = np.array([2, 0, 1])
    np.testing.assert_allclose(
        loaded.generate(3, labels, seed=1), model.generate(3, labels, seed=1), atol=1e-6
    )
    assert int(loaded.optimizer.iterations) == 2
    logs = [
        m.fit(*x, batch_size=6, shuffle=False, epochs=2, verbose=0).history
        for m in (model, loaded)
    ]
    for name in logs[0]:
        np.testing.assert_allclose(logs[0][name], logs[1][name], rtol=1e-3)


@pytest.mark.ci
@trainable_backend
@pytest.mark.parametrize(
    "dtype_policy", ["mixed_float16", "mixed_bfloat16"], indirect=True
)
def test_mixed_precision_trains(dtype_policy, tmp_path):
    model = small()
    model.compile()
    before = values(model.trainable_variables)
    # The first steps of float16 are left out, until its loss scale has come down.
    logs = model.fit(images(), LABELS, batch_size=6, epochs=12, verbose=0).history
    assert np.all(np.isfinite(logs["discriminator_loss"]))
    for old, new in zip(before, values(model.trainable_variables), strict=True):
        assert np.all(np.isfinite(new)) and np.any(old != new)
    scores = model.discriminator([images(), CONDITION])
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    drawn = model.generate(2, [0, 1], seed=0)
    assert drawn.dtype == np.float32 and np.all((drawn >= 0) & (drawn <= 1))
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.generate(2, [0, 1], seed=0), drawn)
    for network in (loaded.generator, loaded.discriminator):
        assert network.get_layer("attention").compute_dtype == dtype_policy[6:]
    average = loaded.generator_average.get_layer("attention")
    assert average.compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.ci
@on_tensorflow
def test_the_same_seed_gives_the_same_losses():
    program = (
        "import keras, numpy as np, tensorflow as tf\n"
        "tf.config.experimental.enable_op_determinism()\n"
        "from tfattn.models import SelfAttentionGAN\n"
        "x = np.random.default_rng(0).random((24, 8, 12, 1), 'float32')\n"
        "for _ in range(2):\n"
        "    keras.utils.set_random_seed(3)\n"
        "    model = SelfAttentionGAN((8, 12, 1), 5, width=8)\n"
        "    model.compile(run_eagerly=True)\n"
        "    print(model.fit(x, batch_size=6, verbose=0).history)\n"
    )
    result = run_python(program)
    assert result.returncode == 0, result.stderr
    out = result.stdout.splitlines()
    assert len(out) == 2 and out[0] == out[1] and "generator_loss" in out[0]


@pytest.mark.slow
@trainable_backend
def test_another_seed_gives_other_losses(eagerly):
    logs = []
    for seed in (3, 3, 4):
        keras.utils.set_random_seed(3)  # of the weights
        model = SelfAttentionGAN(SHAPE, latent_dim=5, width=8, seed=seed)
        model.compile(sgd())
        logs.append(model.fit(images(), verbose=0).history)
    for name in logs[0]:
        np.testing.assert_allclose(logs[0][name], logs[1][name], rtol=1e-4)
        assert np.abs(np.subtract(logs[0][name], logs[2][name])) > 1e-3


# --- what it is built of and gives --------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("num_classes", [None, 3])
def test_generate(attention, num_classes):
    shape = (32, 32, 3) if attention == "self" else SHAPE
    model = SelfAttentionGAN(
        shape, latent_dim=5, num_classes=num_classes, width=8, attention=attention
    )
    labels = None if num_classes is None else LABELS[:4]
    drawn = model.generate(4, labels, seed=1)
    assert drawn.shape == (4, *shape) and drawn.dtype == np.float32
    assert np.all((drawn >= 0) & (drawn <= 1)) and drawn.std() > 0
    np.testing.assert_array_equal(model.generate(4, labels, seed=1), drawn)
    assert np.any(model.generate(4, labels, seed=2) != drawn)
    if num_classes:
        # Already without any training.
        drawn = model.generate(3, [0, 1, 2], seed=1)
        other = model.generate(3, [1, 1, 2], seed=1)
        assert np.abs(drawn - other)[0].max() > 1e-3
        np.testing.assert_allclose(drawn[1:], other[1:], atol=1e-5)


def test_temperature_scales_the_latents():
    model = small()
    latents = 0.5 * model.sample_latents(4, seed=1)
    np.testing.assert_allclose(
        model.generate(4, LABELS[:4], seed=1, temperature=0.5),
        model.generate_from(latents, LABELS[:4]),
        atol=1e-6,
    )
    with pytest.raises(ValueError, match="temperature > 0"):
        model.generate(4, LABELS[:4], temperature=0)


def test_classes_stand_beside_the_latents():
    model, latents = small(), np.random.default_rng(0).normal(size=(6, 5))
    (dense,) = [x for x in model.generator.layers if hasattr(x, "units")]
    found = keras.Model(model.generator.inputs, dense.output)([latents, CONDITION])
    beside = np.concatenate([latents, 4 * CONDITION], axis=1)
    np.testing.assert_allclose(
        checks.numpy_of(found), checks.numpy_of(dense(beside)), atol=1e-5
    )
    assert dense.kernel.shape[0] == 5 + 3


def test_spectral_norm_and_attention_stand_in_both_networks():
    kinds = {None: keras.layers.Identity, "gate": layers.AttentionGate}
    for model in (small(), small(spectral_norm=False), small(attention="gate")):
        found = [
            (network.get_layer("attention"), hasattr(layer, "norm"))
            for network in (model.generator, model.discriminator)
            for layer in network.layers
            if hasattr(layer, "kernel")
        ]
        assert len(found) > 12
        for attention, has_norm in found:
            assert has_norm == model.spectral_norm
            assert getattr(attention, "spectral_norm", has_norm) == has_norm
    assert isinstance(model.discriminator.get_layer("attention"), kinds[None])
    assert isinstance(model.generator.get_layer("attention"), kinds["gate"])


def test_features_are_summed_over_places_and_logits_multiplied_by_four():
    model = small()
    layers_of = model.discriminator.layers
    last = [x for x in layers_of if isinstance(x, keras.layers.ReLU)][-1]
    places = keras.Model(model.discriminator.inputs, last.output)([images(), CONDITION])
    features = ops.sum(places, axis=(1, 2))
    dense = {x.units: x for x in layers_of if isinstance(x, layers.SpectralDense)}
    embeddings = dense[32](ops.array(CONDITION))
    expected = dense[1](features) + ops.sum(embeddings * features, 1, keepdims=True)
    found = model.discriminator([images(), CONDITION])
    np.testing.assert_allclose(
        checks.numpy_of(found), checks.numpy_of(expected), rtol=1e-4, atol=1e-4
    )
    convolutions = [
        x for x in model.generator.layers if isinstance(x, layers.SpectralConv2D)
    ]
    inputs = [model.sample_latents(6, seed=0), CONDITION]
    logits = keras.Model(model.generator.inputs, convolutions[-1].output)(inputs)
    np.testing.assert_allclose(
        checks.numpy_of(model.generator(inputs)),
        1 / (1 + np.exp(-4 * checks.numpy_of(logits))),
        atol=1e-5,
    )


def test_maps():
    model = small()
    latents = model.sample_latents(6, seed=0)
    for maps in (
        model.attention_maps(latents, LABELS),
        model.discriminator_attention_maps(images(), LABELS),
    ):
        assert maps.shape == (6, 4, 6, 2, 3)
        np.testing.assert_allclose(maps.sum(axis=(-2, -1)), 1, atol=1e-5)
    gate = small(attention="gate").attention_maps(latents, LABELS)
    assert gate.shape == (6, 4, 6, 1) and np.all((gate > 0) & (gate < 1))


def test_gammas_and_singular_values():
    model = small()
    assert model.gammas() == {"generator": 1.0, "discriminator": 1.0}
    assert small(attention="gate").gammas() == {}
    largest = model.largest_singular_values()
    layer = model.discriminator.layers[2]
    kernel = np.array(ops.convert_to_numpy(layer.kernel)).reshape(-1, 8)
    _, expected, _ = np.linalg.svd(kernel)
    np.testing.assert_allclose(
        largest[f"discriminator/{layer.name}"], expected[0], rtol=1e-5
    )


# --- bad input ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image_shape": (28, 28)}, "image_shape"),
        ({"image_shape": (25, 28, 1)}, "divisible by 4"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"num_classes": 1}, "num_classes"),
        ({"width": 7}, "width"),
        ({"attention": "module"}, "attention in"),
        ({"ema_decay": 1.0}, "ema_decay"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        SelfAttentionGAN(**arguments)


def test_bad_training():
    model = small()
    with pytest.raises(ValueError, match="TwoTimeScaleOptimizer"):
        model.compile("adam")
    model.compile()
    nan = images()
    nan[0, 0] = np.nan
    for x, labels, words in (
        (nan, LABELS, "NaN"),
        (images(shape=(8, 8, 2)), LABELS, "shape"),
        (images(), LABELS + 1, "labels from 0 to 2"),
        (images(), LABELS[:3], "6 labels"),
        (images(), None, "class of each image"),
    ):
        with pytest.raises(ValueError, match=words):
            model.fit(x, labels, verbose=0)
    for arguments in (
        {"validation_split": 0.1},
        {"validation_data": (images(), LABELS)},
    ):
        with pytest.raises(ValueError, match="no evaluation or validation data"):
            model.fit(images(), LABELS, **arguments)
    with pytest.raises(ValueError, match="no evaluation or validation data"):
        model.evaluate(images(), LABELS)
    with pytest.raises(ValueError, match="sample_weight=None"):
        model.fit(images(), LABELS, sample_weight=np.ones(6))
    if keras.backend.backend() == "torch":
        with pytest.raises(ValueError, match="torch backend"):
            model.fit(images(), LABELS, verbose=0)


def test_bad_generation():
    model = small()
    for labels in ([0, 3], [0, -1], [0], [0.0, 1.0]):
        with pytest.raises(ValueError, match="labels"):
            model.generate(2, labels)
    with pytest.raises(ValueError, match="the class of each image, 0 to 2, as the"):
        model.generate(2)
    with pytest.raises(ValueError, match="n=0"):
        model.generate(0, [])
    with pytest.raises(ValueError, match=r"\(n, 5\)"):
        model.generate_from(np.zeros((2, 4), "float32"), [0, 1])
    with pytest.raises(ValueError, match="has no classes"):
        SelfAttentionGAN(num_classes=None).generate(2, [0, 1])
    with pytest.raises(ValueError, match=r"in \['self', 'gate'\].*'residual'"):
        small(attention="residual").attention_maps(np.zeros((2, 5)), [0, 1])
    with pytest.raises(ValueError, match=r"in \['self'\] for this.*'gate'"):
        small(attention="gate").discriminator_attention_maps(images(), LABELS)
