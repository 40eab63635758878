"""A flow that is trained to complete images: what its network sees, and its answers."""

import keras
import numpy as np
import pytest
from test_flow import SHAPE, images, scrambled, to_numpy

from tfattn.models import AttentionFlow, Reflow
from tfattn.models.attention import attention_map
from tfattn.models.training_masks import training_masks

pytestmark = pytest.mark.backend
MEAN, DEVIATION = 0.3, 0.2


def flow(**arguments):
    return AttentionFlow(
        SHAPE,
        width=8,
        completes=True,
        pixel_mean=MEAN,
        pixel_deviation=DEVIATION,
        **arguments,
    )


def standardized(x, uniform=0.5):
    return (((255 * x + uniform) / 256 - MEAN) / DEVIATION).astype("float32")


def seen(x, visible):
    """The network's last input, pixel by pixel."""
    n, h, w, c = x.shape
    found = np.zeros((n, h, w, c + 1), "float32")
    for place in np.ndindex(n, h, w):
        if visible[place]:
            found[place] = [*standardized(x[place]), 1]
    return found


def half_visible(x):
    visible = np.zeros(x.shape[:3], bool)
    visible[:, :3] = True
    visible[0, :, 5:] = True  # each image a mask of its own
    return visible


def by_heun(velocity, x, num_steps):
    for i in range(num_steps):
        t, later = i / num_steps, (i + 1) / num_steps
        slope = velocity(x, t)
        x = x + (slope + velocity(x + slope / num_steps, later)) / (2 * num_steps)
    return x


def network_velocity(model, x, t, *condition):
    times = np.full(len(x), t, "float32")
    return to_numpy(model.average_network([x, times, *condition]))


@pytest.mark.parametrize("network", ["unet", "dit"])
@pytest.mark.parametrize("guidance", [None, 1.0, 2.5])
def test_completions_by_loops(network, guidance):
    """Heun's method, in each step with the visible pixels, also where no class is.

    Without a class (guidance `None`), and with guidance of the class.
    """
    model = scrambled(flow(num_classes=3, network=network), deviation=0.1)
    x, labels = images(2), [2, 0]
    visible = half_visible(x)
    of_class = {} if guidance is None else {"condition": labels, "guidance": guidance}
    found = model.complete(x, visible, num_steps=3, seed=4, **of_class)[:, 0]
    noise = np.random.default_rng(4).standard_normal((2, 1, *SHAPE), "float32")[:, 0]
    classes, shown = np.eye(3, dtype="float32")[labels], seen(x, visible)

    def velocity(x, t):
        with_class = network_velocity(model, x, t, classes, shown)
        without = network_velocity(model, x, t, 0 * classes, shown)
        return without + (guidance or 0) * (with_class - without)

    ends = by_heun(velocity, noise, 3)
    expected = np.clip((256 * (MEAN + DEVIATION * ends) - 0.5) / 255, 0, 1)
    hidden = ~visible
    np.testing.assert_allclose(found[hidden], expected[hidden], atol=2e-3)
    np.testing.assert_array_equal(found[visible], x[visible])


def test_hidden_pixels_change_nothing():
    model, x = scrambled(flow()), images(3)
    visible = half_visible(x)
    other = np.where(visible[..., None], x, images(3, seed=7))
    both = [
        model.complete(images, visible, num_samples=2, num_steps=2, seed=0)
        for images in (x, other)
    ]
    np.testing.assert_array_equal(*both)
    moved = np.where(visible[..., None], 1 - x, x)
    found = model.complete(moved, visible, num_samples=2, num_steps=2, seed=0)
    hidden = ~visible
    changed = np.abs(found - both[0]).max(axis=(1, 4))[hidden]
    assert changed.max() > 0.01  # but visible ones do


def test_generate_shows_nothing():
    model = scrambled(flow())
    noise = model.sample_noise(2, seed=1)
    nothing = np.zeros((*noise.shape[:3], 2), "float32")
    ends = by_heun(
        lambda x, t: network_velocity(model, x, t, nothing), noise, num_steps=2
    )
    expected = np.clip((256 * (MEAN + DEVIATION * ends) - 0.5) / 255, 0, 1)
    found = model.generate_from(noise, num_steps=2)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("label_dropout", [1e-6, 0.5, 0.999_999])
def test_what_training_shows(monkeypatch, label_dropout):
    """Masks as `training_masks` draws them; class and mask are lost by themselves."""
    model = flow(num_classes=3, label_dropout=label_dropout)
    n = 400
    x = np.broadcast_to(images(1), (n, *SHAPE))
    calls = []
    of_network = AttentionFlow._network_inputs

    def recorded(self, *arguments):
        calls.append(of_network(self, *arguments))
        return calls[-1]

    monkeypatch.setattr(AttentionFlow, "_network_inputs", recorded)
    monkeypatch.setattr("tfattn.models.flow.model.move_average", lambda *_: None)
    model((x, np.ones(n, "int32")), training=True)
    _, _, classes, shown = (to_numpy(part) for part in calls[0])
    visible = shown[..., -1] == 1
    np.testing.assert_array_equal(shown[..., -1], visible)
    np.testing.assert_allclose(shown, seen(x, visible), atol=1e-5)
    has_class, has_mask = classes.any(axis=1), visible.any(axis=(1, 2))
    kept = 1 - label_dropout
    spread = 4 * np.sqrt(kept * label_dropout / n) + 1e-3
    assert abs(has_class.mean() - kept) <= spread
    assert abs(has_mask.mean() - kept) <= spread
    if label_dropout == 0.5:  # neither together nor in turn
        assert 0.1 < (has_class & has_mask).mean() < 0.4
    if label_dropout < 0.5:
        drawn = training_masks(n, SHAPE[:2], keras.random.SeedGenerator(0))
        expected = to_numpy(drawn)[..., 0].mean(axis=0)
        np.testing.assert_allclose(visible.mean(axis=0), expected, atol=0.2)
        assert 0.3 < visible.mean() < 0.8


def test_it_learns_from_what_it_sees():
    """Images of one brightness each: its visible half says what the other half is."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 2, 512).astype("float32")
    x = np.tile(levels[:, None, None, None], (1, 8, 8, 1))
    model = AttentionFlow((8, 8, 1), width=8, completes=True, attention=None)
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit(x, batch_size=64, epochs=12, verbose=0)
    visible = np.indices((8, 8))[0] < 4
    found = model.complete(x[:16], visible, num_steps=8, seed=1)[:, 0, 4:]
    error = np.abs(found - x[:16, 4:]).mean(axis=(1, 2, 3))
    assert error.max() < 0.25  # 0.5 for a guess


def test_saved_and_loaded(tmp_path):
    model = scrambled(flow())
    model.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras")
    x = images(2)
    answers = [
        m.complete(x, half_visible(x), num_steps=2, seed=0) for m in (model, loaded)
    ]
    np.testing.assert_array_equal(*answers)


def test_all_else_shows_nothing():
    """The same numbers with a network that is given zeros."""
    model = scrambled(flow(), deviation=0.05)
    x, noise = images(2), model.sample_noise(2, seed=0)
    nothing = np.zeros((*noise.shape[:3], 2), "float32")
    inputs = [noise, np.full(2, 0.5, "float32"), nothing]
    expected = attention_map(model.average_network, "attention", inputs)
    np.testing.assert_allclose(model.attention_maps(noise, 0.5), expected, atol=1e-5)
    started = standardized(x)
    for i in range(2):  # Heun's method, backwards
        t, earlier = 1 - i / 2, 0.5 - i / 2
        slope = network_velocity(model, started, t, nothing)
        ahead = network_velocity(model, started - slope / 2, earlier, nothing)
        started = started - (slope + ahead) / 4
    np.testing.assert_allclose(model.invert(x, num_steps=2), started, atol=2e-3)


def test_sentences_and_what_is_visible():
    """Words and visible pixels have their own places among the network's inputs."""
    model = scrambled(flow(vocabulary=("red", "blue"), max_words=2), deviation=0.1)
    x = images(2)
    visible = half_visible(x)
    noise = np.random.default_rng(4).standard_normal((2, 1, *SHAPE), "float32")[:, 0]
    words, shown = np.array([[2, 3], [3, 0]], "int32"), seen(x, visible)
    ends = by_heun(
        lambda x, t: network_velocity(model, x, t, words, shown), noise, num_steps=2
    )
    expected = np.clip((256 * (MEAN + DEVIATION * ends) - 0.5) / 255, 0, 1)
    found = model.complete(
        x, visible, condition=["red blue", "blue"], num_steps=2, seed=4
    )[:, 0]
    np.testing.assert_allclose(found[~visible], expected[~visible], atol=2e-3)
    maps = model.word_attention_maps(noise, 0.5, ["red blue", "blue"])
    assert np.all(maps.sum(axis=-1) < 1) and maps[1, ..., 1].max() == 0


def test_no_resampling():
    x = images(1)
    with pytest.raises(ValueError, match=r"num_resamplings=None.*Received.*=2"):
        flow().complete(x, half_visible(x), num_resamplings=2)


def test_what_would_never_be_learned_is_refused():
    with pytest.raises(ValueError, match=r"label_dropout above 0.*=0\.0"):
        flow(label_dropout=0.0)
    with pytest.raises(ValueError, match="unlearn to complete"):
        Reflow(flow())
