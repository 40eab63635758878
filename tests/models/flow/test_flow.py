"""Flow matching: the path, the average, the condition, generation and likelihood."""

import keras
import numpy as np
import pytest
from conftest import on_tensorflow
from keras import ops

from tfattn.models import AttentionFlow
from tfattn.models.flow.conditioning import TIME_CHANNELS, TimeEmbedding
from tfattn.models.flow.unet import build_unet

pytestmark = pytest.mark.backend
SHAPE = (8, 12, 1)


def to_numpy(x):
    return ops.convert_to_numpy(x)


def flow(**arguments):
    return AttentionFlow(SHAPE, width=8, **arguments)


def scrambled(model, seed=0, deviation=0.2):
    """Random weights in both networks: the last layers start at zero."""
    rng = np.random.default_rng(seed)
    weights = [
        rng.normal(scale=deviation, size=w.shape).astype("float32")
        for w in model.trained_network.get_weights()
    ]
    model.trained_network.set_weights(weights)
    model.average_network.set_weights(weights)
    return model


def images(n=6, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (n, *SHAPE)) / 255).astype("float32")


def test_time_embedding_by_loops():
    t = np.array([0.0, 0.3, 1.0], "float32")
    expected = np.zeros((3, TIME_CHANNELS))
    for row, time in enumerate(t):
        for i in range(TIME_CHANNELS // 2):
            angle = 1000 * time / 10_000 ** (2 * i / TIME_CHANNELS)
            expected[row, i] = np.cos(angle)
            expected[row, TIME_CHANNELS // 2 + i] = np.sin(angle)
    found = to_numpy(TimeEmbedding()(t))
    np.testing.assert_allclose(found, expected, atol=2e-4)
    # Without the factor 1000 most waves would hardly move.
    moving = np.abs(found[1] - found[0]).reshape(2, -1).max(axis=0) > 0.01
    assert moving.mean() > 0.7


def test_an_untrained_flow_stands_still():
    """The last layer starts at zero: generated images are the noise."""
    model = flow(pixel_mean=0.5, pixel_deviation=0.25)
    noise = model.sample_noise(3, seed=1)
    expected = np.clip((256 * (0.5 + 0.25 * noise) - 0.5) / 255, 0, 1)
    found = model.generate_from(noise, num_steps=2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_loss_is_the_error_of_the_velocity_on_the_path(monkeypatch):
    """With chosen noise, times and no dequantization noise, by the formulas."""
    model = scrambled(flow(pixel_mean=0.3, pixel_deviation=0.2))
    x, rng = images(2), np.random.default_rng(3)
    noise = rng.normal(size=x.shape).astype("float32")
    numbers = rng.normal(size=2).astype("float32")
    draws = iter([np.full(x.shape, 0.5, "float32"), noise, numbers])
    module = "tfattn.models.flow.model.drawn"
    monkeypatch.setattr(module, lambda *_, **__: ops.convert_to_tensor(next(draws)))
    outputs = model(x, training=False)
    target = ((255 * x + 0.5) / 256 - 0.3) / 0.2
    t = 1 / (1 + np.exp(-numbers))
    on_path = (1 - t)[:, None, None, None] * noise + t[:, None, None, None] * target
    velocity = to_numpy(model.average_network([on_path, t]))
    error = ((velocity - (target - noise)) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(to_numpy(outputs["velocity_error"]), error, rtol=1e-4)
    ends = on_path + (1 - t)[:, None, None, None] * velocity
    expected = np.clip((256 * (0.3 + 0.2 * ends) - 0.5) / 255, 0, 1)
    np.testing.assert_allclose(to_numpy(outputs["estimates"]), expected, atol=1e-4)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_average_follows_the_network(policy):
    """By its own recursion, one step late; it generates, the network does not."""
    model = flow(ema_decay=0.5, dtype=policy)
    model.compile(keras.optimizers.SGD(0.1))
    expected = [w.astype("float64") for w in model.trained_network.get_weights()]
    for step in range(4):
        current = model.trained_network.get_weights()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = [c + decay * (a - c) for a, c in zip(expected, current, strict=True)]
        model.train_on_batch(images(seed=step))
    pairs = zip(model.average_network.get_weights(), expected, strict=True)
    for found, value in pairs:  # half precision would round by 4e-3
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-7)
    changed = [
        np.abs(a - b).max()
        for a, b in zip(
            model.average_network.get_weights(),
            model.trained_network.get_weights(),
            strict=True,
        )
    ]
    assert max(changed) > 1e-4
    # The average's own step leaves the network alone.
    before = model.trained_network.get_weights()
    model(images(), training=True)
    for found, value in zip(model.trained_network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, value)
    before = model.generate(2, num_steps=2, seed=0)
    model.trained_network.set_weights(
        [0 * w for w in model.trained_network.get_weights()]
    )
    np.testing.assert_array_equal(model.generate(2, num_steps=2, seed=0), before)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_half_precision_trains_and_generates_in_float32(policy):
    model = flow(num_classes=3, dtype=policy)
    model.compile(keras.optimizers.SGD(0.01))
    model.num_averaged.assign(3000.0)
    for step in range(3):
        model.train_on_batch(images(seed=step), np.arange(6) % 3)
    assert float(to_numpy(model.num_averaged)) == 3003
    found = model.generate(2, [0, 1], num_steps=2, seed=0)
    assert found.dtype == "float32" and np.isfinite(found).all()
    assert {str(w.dtype) for w in model.average_network.get_weights()} == {"float32"}
    assert model.trained_network.compute_dtype == policy.removeprefix("mixed_")


def test_evaluation_leaves_the_average_alone():
    model = flow()
    model.compile(keras.optimizers.SGD(0.1))
    model.train_on_batch(images())
    before = model.average_network.get_weights()
    model.evaluate(images(), verbose=0)
    for a, b in zip(model.average_network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(to_numpy(model.num_averaged)) == 1


def test_a_class_that_is_missing_is_not_taken_for_none():
    with pytest.raises(ValueError, match="Received: images and 0 conditions"):
        flow(num_classes=3)(images(2))


def test_labels_are_dropped_image_by_image():
    model = flow(num_classes=3, label_dropout=0.25)
    labels = np.eye(3, dtype="float32")[np.arange(4000) % 3]
    kept = to_numpy(model._without_some(ops.convert_to_tensor(labels)))
    dropped = kept.sum(axis=1) == 0
    # Binomial: 0.25 ± 4 standard deviations, and those kept are unchanged.
    assert abs(dropped.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    np.testing.assert_array_equal(kept[~dropped], labels[~dropped])


def test_the_condition_changes_the_images():
    model = scrambled(flow(num_classes=3))
    noise = model.sample_noise(2, seed=0)
    one, other = (model.generate_from(noise, [c] * 2, num_steps=2) for c in (0, 1))
    assert np.abs(one - other).max() > 1e-3


def test_guidance_by_its_formula():
    """One Euler step: x + v₀ + w (v_c − v₀); w = 1 is the conditional velocity."""
    model = scrambled(flow(num_classes=3))
    noise = model.sample_noise(2, seed=0)
    times = np.zeros(2, "float32")
    with_class, without = (
        to_numpy(model.average_network([noise, times, labels]))
        for labels in (np.eye(3, dtype="float32")[[1, 2]], np.zeros((2, 3), "float32"))
    )
    for weight in (0.5, 1.0, 3.0):
        found = model.generate_from(
            noise, [1, 2], guidance=weight, num_steps=1, solver="euler"
        )
        end = noise + without + weight * (with_class - without)
        expected = to_numpy(model._images(ops.convert_to_tensor(end)))
        np.testing.assert_allclose(found, expected, atol=1e-4)
    # Outside of its interval guidance does nothing.
    found = model.generate_from(
        noise,
        [1, 2],
        guidance=3.0,
        guidance_interval=(0.5, 1.0),
        num_steps=1,
        solver="euler",
    )
    plain = model.generate_from(noise, [1, 2], num_steps=1, solver="euler")
    np.testing.assert_allclose(found, plain, atol=1e-5)


@pytest.mark.parametrize("solver", ["heun", "rk4"])
def test_guidance_reaches_the_last_stage(solver):
    """By rounding, t + h of the last of 7 steps is above 1."""
    model = scrambled(flow(num_classes=3), deviation=0.1)
    noise = model.sample_noise(2, seed=0)
    labels = [1, 2]
    found = model.generate_from(noise, labels, guidance=3.0, num_steps=7, solver=solver)
    one_hot = np.eye(3, dtype="float32")[labels]

    def velocity(x, t):
        times = np.full(2, t, "float32")
        with_class, without = (
            to_numpy(model.average_network([x.astype("float32"), times, y]))
            for y in (one_hot, 0 * one_hot)
        )
        return without + 3.0 * (with_class - without)

    x, h = noise.astype("float64"), 1 / 7
    for i in range(7):
        k1 = velocity(x, i * h)
        if solver == "heun":
            k2 = velocity(x + h * k1, (i + 1) * h)
            x = x + h * (k1 + k2) / 2
        else:
            k2 = velocity(x + h / 2 * k1, (i + 0.5) * h)
            k3 = velocity(x + h / 2 * k2, (i + 0.5) * h)
            k4 = velocity(x + h * k3, (i + 1) * h)
            x = x + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
    expected = to_numpy(model._images(ops.convert_to_tensor(x.astype("float32"))))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_file_goes_on_with_the_average(tmp_path):
    model = flow()
    model.compile(keras.optimizers.SGD(0.1))
    model.train_on_batch(images())
    model.num_averaged.assign(3000.0)
    model.save(tmp_path / "flow.keras")
    again = keras.saving.load_model(tmp_path / "flow.keras")
    assert float(to_numpy(again.num_averaged)) == 3000
    for step in (1, 2):
        for each in (model, again):
            each.train_on_batch(images(seed=step))
    for a, b in zip(
        model.average_network.get_weights(),
        again.average_network.get_weights(),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_numbers_of_numpy_are_numbers():
    model = flow()
    count, seed = np.int64(2), np.int64(3)
    found = model.generate(count, num_steps=count, seed=seed)
    np.testing.assert_array_equal(found, model.generate(2, num_steps=2, seed=3))
    model.log_likelihood(images(1), num_steps=count)


def test_trajectory_ends_where_generation_does():
    model = scrambled(flow())
    noise = model.sample_noise(2, seed=0)
    states = model.trajectory(noise, num_steps=3)
    assert states.shape == (2, 4, *SHAPE)
    end = model.generate_from(noise, num_steps=3)
    np.testing.assert_allclose(states[:, -1], end, atol=1e-4)
    assert np.abs(states[:, 0] - states[:, 1]).max() > 1e-3


def test_inversion_and_generation_are_inverse():
    model = scrambled(flow(pixel_deviation=0.02), deviation=0.08)
    noise = 0.1 * model.sample_noise(2, seed=0)
    # The solver's own error falls with the fourth power of the number of steps.
    x = model.generate_from(noise, num_steps=96, solver="rk4")
    assert x.min() > 0 and x.max() < 1  # nothing was cut
    back = model.invert(x, num_steps=96, solver="rk4")
    np.testing.assert_allclose(back, noise, atol=2e-3)
    moved = np.abs((x - 0.5) / 0.02 - noise)
    assert moved.mean() > 0.01


def test_interpolation_turns_from_noise_to_noise():
    """Without a velocity: on the sphere between the standardized images."""
    model = flow(pixel_mean=0.5, pixel_deviation=0.25)
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.4, 0.6, (2, 2, *SHAPE)).astype("float32")
    found = model.interpolate(a, b, num_points=3, num_steps=1)
    assert found.shape == (2, 3, *SHAPE)
    for i in range(2):
        start, end = (((255 * x[i] + 0.5) / 256 - 0.5) / 0.25 for x in (a, b))
        cosine = np.sum(start * end) / np.linalg.norm(start) / np.linalg.norm(end)
        middle = (start + end) / np.sqrt(2 * (1 + cosine))
        expected = [start, middle, end]
        images = (256 * (0.5 + 0.25 * np.stack(expected)) - 0.5) / 255
        np.testing.assert_allclose(found[i], images, atol=1e-4)
    same = model.interpolate(a, a, num_points=2, num_steps=1)
    np.testing.assert_allclose(same[:, 1], a, atol=1e-4)
    with pytest.raises(ValueError, match="of one shape"):
        model.interpolate(a, b[:1], num_points=2)


def test_likelihood_of_a_flow_that_stands_still():
    """Without a velocity, pixels are Gaussian: nats with every term of the scale.

    So narrow a Gaussian that where a pixel is in its level counts: 0.6 nats an image.
    """
    model = flow(pixel_mean=0.4, pixel_deviation=0.01)
    levels = np.random.default_rng(0).integers(101, 104, (3, *SHAPE))
    found = model.log_likelihood(levels / 255, num_steps=1, num_samples=50, seed=0)
    # E(k + u − 256·0.4)² over u in [0, 1), whose variance is 1/12.
    squares = ((levels + 0.5 - 102.4) ** 2 + 1 / 12) / 2.56**2
    densities = -0.5 * squares - 0.5 * np.log(2 * np.pi) - np.log(2.56)
    np.testing.assert_allclose(found, densities.sum(axis=(1, 2, 3)), atol=0.4)


@on_tensorflow  # the divergence itself: test_solvers.py
def test_hutchinson_is_the_exact_divergence_on_average():
    """Pairs of the same dequantization: their mean difference is 0."""
    model = scrambled(AttentionFlow((4, 8, 1), width=8))
    x = images(2)[:, 4:, 4:]
    arguments = [{"num_steps": 1, "seed": seed} for seed in range(12)]
    estimates, exact = (
        np.stack([model.log_likelihood(x, divergence=name, **a) for a in arguments])
        for name in ("hutchinson", "exact")
    )
    differences = estimates - exact
    error = differences.std(axis=0, ddof=1) / np.sqrt(len(differences))
    assert np.all(error > 0)
    assert np.all(np.abs(differences.mean(axis=0)) < 4.5 * error)


def test_attention_map_of_the_average():
    model = scrambled(flow(num_classes=3))
    maps = model.attention_maps(model.sample_noise(2, seed=0), 0.5, [0, 1])
    assert maps.shape == (2, 2, 3, 2, 3)
    np.testing.assert_allclose(maps.sum(axis=(-2, -1)), 1, rtol=1e-4)
    with pytest.raises(ValueError, match=r"in \['self'\] for this.*None"):
        flow(attention=None).attention_maps(np.zeros((1, *SHAPE)), 0.5)


def test_modulation_follows_the_normalization():
    """x̂ (1 + s) + b: a change of s scales the normalized features, not the input's."""
    from tfattn.models.flow.conditioning import ModulatedNormalization

    layer = ModulatedNormalization(groups=2)
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 2.0, size=(2, 3, 5, 4)).astype("float32")
    vector = rng.normal(size=(2, 7)).astype("float32")
    first = to_numpy(layer(x, vector))
    kernel = rng.normal(size=(7, 8)).astype("float32")
    layer.modulation.kernel.assign(kernel)
    grouped = x.reshape(2, 15, 2, 2)
    mean = grouped.mean(axis=(1, 3), keepdims=True)
    variance = grouped.var(axis=(1, 3), keepdims=True)
    normalized = ((grouped - mean) / np.sqrt(variance + 1e-3)).reshape(x.shape)
    np.testing.assert_allclose(first, normalized, atol=1e-4)  # s and b start at 0
    scale, shift = np.split((vector @ kernel)[:, None, None], 2, axis=-1)
    expected = normalized * (1 + scale) + shift
    np.testing.assert_allclose(to_numpy(layer(x, vector)), expected, atol=1e-3)


def test_network_sees_the_time():
    model = scrambled(flow())
    x = model.sample_noise(2, seed=0)
    one, other = (
        to_numpy(model.average_network([x, np.full(2, t, "float32")]))
        for t in (0.2, 0.21)
    )
    assert np.abs(one - other).max() > 1e-4
    assert build_unet((8, 8, 3), None, 8, None, "n").output_shape == (None, 8, 8, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"guidance": 2.0}, "Expected a condition"),
        ({"guidance": 0.0}, "Expected guidance > 0"),
        ({"solver": "dopri5"}, "Expected solver in"),
        ({"num_steps": 0}, "num_steps"),
        ({"temperature": 0.0}, "temperature"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"seed": "0"}, "seed"),
        ({"condition": [0]}, "no condition, because the model has no classes"),
    ],
)
def test_bad_arguments_of_generate(arguments, message):
    with pytest.raises(ValueError, match=message):
        flow().generate(1, **arguments)


def test_bad_interval_and_shapes():
    model = flow(num_classes=3)
    for interval in ((0.9, 0.1), (0.5,), 0.5, (0.2, 1.5), ("0", "1")):
        for guidance in (1.0, 2.0):
            with pytest.raises(ValueError, match="0 <= first < last <= 1"):
                model.generate(1, [0], guidance=guidance, guidance_interval=interval)
    for t in (-0.1, 1.1, "0.5"):
        with pytest.raises(ValueError, match=r"Expected `t` in \[0, 1\]"):
            model.attention_maps(np.zeros((1, *SHAPE)), t, [0])
    with pytest.raises(ValueError, match="Expected noise of shape"):
        model.generate_from(np.zeros((1, 8, 8, 1)), [0])
    with pytest.raises(ValueError, match="divisible by 8"):
        AttentionFlow(SHAPE, width=12)
    with pytest.raises(ValueError, match="pixel_mean"):
        flow(pixel_mean=7.0)
