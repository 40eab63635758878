"""Avatars: drawn as their attributes say, and read back from their pixels."""

import numpy as np
import pytest

from tfattn.data import avatars
from tfattn.data.avatars import drawing


def as_images(attributes):
    return avatars.paint(attributes) / np.float32(255)


def every_layout():
    """Attributes of all 720 layouts, their colors by chance."""
    layouts = np.indices(drawing.figures().shape[:-2]).reshape(len(drawing.LAYOUT), -1)
    attributes = dict(avatars.by_name(avatars.draw_attributes(layouts.shape[1], 5)))
    return attributes | dict(zip(drawing.LAYOUT, layouts, strict=True))


def test_every_layout_is_read_exactly():
    attributes = every_layout()
    reading = avatars.read(as_images(attributes))
    for name in avatars.NAMES:
        np.testing.assert_array_equal(reading.attributes[name], attributes[name], name)
    for side, name in drawing.SIDES.items():
        np.testing.assert_array_equal(reading.attributes[side], attributes[name], side)
    np.testing.assert_array_equal(reading.phases.T, [attributes["phase"]] * 4)
    assert not reading.wrong_pixels.any()


@pytest.mark.parametrize("name", [*avatars.NAMES])
def test_every_value_is_read_exactly(name):
    count = len(avatars.ATTRIBUTES[name].values)
    attributes = avatars.draw_attributes(20 * count, seed=3)
    attributes[:, avatars.NAMES.index(name)] = np.arange(20 * count) % count
    found = avatars.read(as_images(avatars.by_name(attributes))).attributes[name]
    np.testing.assert_array_equal(found, np.arange(20 * count) % count)


@pytest.mark.parametrize("side", [*drawing.SIDES])
def test_sides_are_read_by_themselves(side):
    attributes = dict(avatars.by_name(avatars.draw_attributes(300, seed=1)))
    name = drawing.SIDES[side]
    count = len(avatars.ATTRIBUTES[name].values)
    attributes[side] = (attributes[name] + 1) % count
    if name == "color":
        attributes["hat"] = np.maximum(attributes["hat"], 1)
    reading = avatars.read(as_images(attributes))
    np.testing.assert_array_equal(reading.attributes[side], attributes[side])
    others = [s for s in drawing.SIDES if s != side and drawing.SIDES[s] == name]
    for other in others:
        np.testing.assert_array_equal(reading.attributes[other], attributes[name])
    assert not reading.wrong_pixels.any()


@pytest.mark.parametrize("corner", range(4))
def test_each_corner_has_its_phase(corner):
    attributes = dict(avatars.by_name(avatars.draw_attributes(100, seed=2)))
    phases = np.repeat(attributes["phase"][:, None], 4, axis=1)
    phases[:, corner] = (phases[:, corner] + 1) % 4
    reading = avatars.read(as_images({**attributes, "phase": phases}))
    np.testing.assert_array_equal(reading.phases, phases)


def test_noise_does_not_change_what_is_read():
    images, attributes = avatars.draw(300, seed=4)
    noise = np.random.default_rng(0).normal(0, 0.04, images.shape)
    reading = avatars.read(np.clip(images + noise, 0, 1))
    found = np.stack([reading.attributes[name] for name in avatars.NAMES], axis=1)
    assert (found == attributes).mean() > 0.999


def test_wrong_pixels_are_counted():
    images, _ = avatars.draw(8, seed=6)
    for i in range(8):
        # On the cheeks, where no part is.
        images[i, 19, 10 : 10 + i] = (0, 1, 0)
    assert avatars.read(images).wrong_pixels.tolist() == [*range(8)]


def test_the_figure_never_reaches_the_corners():
    background = drawing.figures() == drawing.ID["background"]
    for rows in (slice(4), slice(-4, None)):
        for columns in (slice(4), slice(-4, None)):
            assert background[..., rows, columns].all()


def test_values_are_as_frequent_as_the_table_says():
    n = 20_000
    attributes = avatars.draw_attributes(n, seed=7)
    for column, attribute in zip(
        attributes.T, avatars.ATTRIBUTES.values(), strict=True
    ):
        p = np.array(attribute.probabilities)
        assert p.sum() == pytest.approx(1)
        counts = np.bincount(column, minlength=len(p))
        assert np.all(np.abs(counts - n * p) < 5 * np.sqrt(n * p * (1 - p)))


def test_attributes_are_independent():
    attributes = avatars.draw_attributes(20_000, seed=8)
    correlation = np.corrcoef(attributes.T) - np.eye(len(avatars.NAMES))
    assert np.abs(correlation).max() < 0.03


def test_entropy_is_the_mean_of_minus_log_p():
    logs = [np.log(a.probabilities) for a in avatars.ATTRIBUTES.values()]
    drawn = avatars.draw_attributes(20_000, seed=9)
    nats = -sum(log[column] for log, column in zip(logs, drawn.T, strict=True))
    assert nats.mean() == pytest.approx(avatars.entropy(), abs=0.05)


def test_sentences():
    values = {
        "skin": "tan",
        "hair": "long",
        "hair_color": "red",
        "eye_color": "blue",
        "mouth": "serious",
        "glasses": "none",
        "hat": "cap",
        "earrings": "gold",
        "shirt": "plain",
        "color": "green",
        "background": "sky",
        "pattern": "dotted",
        "phase": "3",
    }
    row = [avatars.ATTRIBUTES[name].values.index(values[name]) for name in values]
    assert avatars.sentences([row]).tolist() == [
        "long red hair, green cap, gold earrings, blue eyes, tan skin, serious, "
        "plain green shirt, dotted sky background"
    ]
    without = np.array([row])
    without[0, avatars.NAMES.index("hat")] = 0
    assert "cap" not in avatars.sentences(without)[0]


@pytest.mark.parametrize(
    "attributes",
    [
        np.zeros((2, 12), int),
        np.zeros(13, int),
        np.zeros((2, 13)),
        np.full((2, 13), 6),
        np.full((2, 13), -1),
    ],
)
def test_other_attributes_are_refused(attributes):
    with pytest.raises(ValueError, match="Expected attributes"):
        avatars.sentences(attributes)


@pytest.mark.parametrize(
    "images", [np.zeros((1, 28, 28, 1)), np.ones((1, 32, 32, 3)) * 2]
)
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match="Expected"):
        avatars.read(images)


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (1, 1.5), (1, -1), (1.0, 0)])
def test_draw_refuses_other_numbers(n, seed):
    with pytest.raises(ValueError, match="to be an integer"):
        avatars.draw(n, seed)


def test_no_attributes_are_no_avatars():
    none = np.zeros((0, 13), int)
    assert avatars.paint(avatars.by_name(none)).shape == (0, 32, 32, 3)
    assert avatars.sentences(none).dtype.kind == "U"
