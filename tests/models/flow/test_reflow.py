"""Reflow: its loss by the formula, and that it changes the flow."""

import keras
import numpy as np
import pytest
from conftest import on_tensorflow
from keras import ops

from tfattn.models import AttentionFlow, Reflow

pytestmark = pytest.mark.backend
SHAPE = (4, 8, 1)


def to_numpy(x):
    return ops.convert_to_numpy(x)


def scrambled(**arguments):
    model = AttentionFlow(SHAPE, width=8, **arguments)
    rng = np.random.default_rng(0)
    model.average_network.set_weights(
        [
            rng.normal(scale=0.1, size=w.shape).astype("float32")
            for w in model.average_network.get_weights()
        ]
    )
    return model


def pairs(n=6):
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(n, *SHAPE)).astype("float32")
    return noise, rng.random((n, *SHAPE)).astype("float32"), np.arange(n) % 3


def test_the_loss_is_that_of_the_pairs(monkeypatch):
    """Noise i belongs to image i; the time is uniform; no label is dropped."""
    flow = scrambled(num_classes=3, pixel_mean=0.3, pixel_deviation=0.2)
    reflow = Reflow(flow)
    noise, images, labels = pairs(4)
    t = np.array([0.1, 0.4, 0.7, 0.95], "float32")
    module = "tfattn.models.flow.reflow.drawn"
    monkeypatch.setattr(module, lambda *_, **__: ops.convert_to_tensor(t))
    found = to_numpy(reflow([noise, images, labels]))
    for i in range(4):
        target = ((255 * images[i] + 0.5) / 256 - 0.3) / 0.2 - noise[i]
        on_path = noise[i] + t[i] * target
        one_hot = np.eye(3, dtype="float32")[labels[i]][None]
        velocity = flow.average_network([on_path[None], t[i : i + 1], one_hot])
        error = np.mean((to_numpy(velocity)[0] - target) ** 2)
        np.testing.assert_allclose(found[i], error, rtol=1e-3)


def test_it_starts_from_the_average_and_moves_it():
    flow = scrambled()
    noise, images, _ = pairs()
    before = flow.average_network.get_weights()
    reflow = Reflow(flow, dtype="mixed_bfloat16")
    for a, b in zip(flow.trained_network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    reflow.compile(keras.optimizers.SGD(0.1))
    count = len(reflow.trainable_variables)
    assert count == len(flow.trained_network.trainable_variables)
    reflow.fit([noise, images], batch_size=3, epochs=2, verbose=0)
    assert float(to_numpy(flow.num_averaged)) == 4
    moved = [
        np.abs(a - b).max()
        for a, b in zip(flow.average_network.get_weights(), before, strict=True)
    ]
    assert max(moved) > 1e-4


def test_float16_has_its_loss_scaled():
    reflow = Reflow(scrambled(dtype="mixed_float16"))
    reflow.compile("adam")
    assert isinstance(reflow.optimizer, keras.optimizers.LossScaleOptimizer)
    with pytest.raises(ValueError, match="without validation_data"):
        reflow.fit([*pairs()[:2]], validation_data=pairs()[:2], verbose=0)


@on_tensorflow
def test_pairs_of_a_flow_are_straightened():
    """One step falls short of the curved flow's end, and less so after reflow."""
    flow = scrambled(pixel_deviation=0.1)
    noise = flow.sample_noise(32, seed=0)
    images = flow.generate_from(noise, num_steps=8)

    def error():
        one_step = flow.generate_from(noise, num_steps=1, solver="euler")
        return np.mean((one_step - images) ** 2)

    before = error()
    reflow = Reflow(flow)
    reflow.compile(keras.optimizers.Adam(3e-3))
    reflow.fit([noise, images], batch_size=32, epochs=12, verbose=0)
    assert error() < 0.7 * before, (before, error())


def test_bad_pairs():
    noise, images, labels = pairs()
    for flow, x, message in (
        (scrambled(), noise, "Expected a list of noise, images"),
        (scrambled(), [noise[:, :2], images], "Expected noise of shape"),
        (scrambled(), [noise, 2 * images], "Expected pixels in"),
        (scrambled(), [noise[:3], images], "Expected as much noise as images"),
        (scrambled(), [noise, images, labels], "no condition"),
        (scrambled(num_classes=3), [noise, images], "the class of each image"),
        (scrambled(num_classes=2), [noise, images, labels], "labels from 0 to 1"),
    ):
        reflow = Reflow(flow)
        reflow.compile("adam")
        with pytest.raises(ValueError, match=message):
            reflow.fit(x, verbose=0)
