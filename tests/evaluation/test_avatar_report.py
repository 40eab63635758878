"""The report on avatars sees what is wrong, and how often."""

import numpy as np
import pytest

from tfattn.data import avatars
from tfattn.data.avatars.drawing import SIDES
from tfattn.evaluation import avatar_report
from tfattn.evaluation.avatars import RULES, pixels_apart

N = 400


@pytest.fixture(scope="module")
def drawn():
    return avatars.draw(N, seed=11)


def repainted(attributes, **changes):
    return avatars.paint({**avatars.by_name(attributes), **changes}) / np.float32(255)


def test_real_avatars_are_perfect(drawn):
    images, attributes = drawn
    report = avatar_report(images, attributes[: N // 4])
    assert report["num_images"] == N
    assert report["valid"] == report["all_rules"] == report["coverage"] == 1
    assert report["perfect"] == 1 and report["wrong_pixels"] == 0
    assert [rule["kept"] for rule in report["rules"].values()] == [1, 1, 1, 1]
    assert max(report["marginals"].values()) < 0.1
    assert report["novelty"] == 0.75


@pytest.mark.parametrize(
    ("side", "rule"),
    [
        ("left_eye", "eyes_have_one_color"),
        ("right_eye", "eyes_have_one_color"),
        ("left_earring", "earrings_are_alike"),
        ("right_earring", "earrings_are_alike"),
        ("hat_color", "hat_has_the_color_of_the_shirt"),
    ],
)
def test_a_shuffled_side_breaks_its_rule_alone(drawn, side, rule):
    _, attributes = drawn
    of = avatars.by_name(attributes)
    shuffled = np.random.default_rng(0).permutation(of[SIDES[side]])
    report = avatar_report(repainted(attributes, **{side: shuffled}))
    agree = shuffled == of[SIDES[side]]
    if side == "hat_color":
        agree = agree[of["hat"] != 0]
    assert report["valid"] == 1
    for name in RULES:
        expected = agree.mean() if name == rule else 1
        assert report["rules"][name]["kept"] == pytest.approx(expected), name
    assert report["all_rules"] < 1


def test_one_corner_out_of_phase_breaks_the_rule(drawn):
    _, attributes = drawn
    phases = np.repeat(avatars.by_name(attributes)["phase"][:, None], 4, axis=1)
    phases[: N // 4, 3] = (phases[: N // 4, 3] + 2) % 4
    report = avatar_report(repainted(attributes, phase=phases))
    assert report["rules"]["pattern_is_in_phase"]["kept"] == 0.75


@pytest.mark.parametrize(
    "region",
    [
        (slice(20, 23), slice(13, 19)),  # no mouth
        (slice(15, 17), slice(11, 14)),  # no left eye
        (slice(26, 32), slice(6, 26)),  # no shirt
        (slice(0, 10), slice(0, 32)),  # no top
    ],
)
def test_an_avatar_without_a_part_is_not_valid(drawn, region):
    images = drawn[0].copy()
    # The cheek's color.
    images[:, *region] = images[:, 19:20, 10:11]
    assert avatar_report(images)["valid"] < 0.01


def test_a_value_that_never_occurs_is_seen(drawn):
    attributes = drawn[1].copy()
    attributes[:, avatars.NAMES.index("hat")] = 0
    report = avatar_report(repainted(attributes))
    p = avatars.ATTRIBUTES["hat"].probabilities
    assert report["marginals"]["hat"] == pytest.approx(1 - p[0])
    assert report["coverage"] < 1
    assert report["rules"]["hat_has_the_color_of_the_shirt"]["kept"] is None


def test_noise_is_no_avatar():
    noise = np.random.default_rng(0).random((20, 32, 32, 3))
    report = avatar_report(noise, np.zeros((1, 13), int))
    assert report["valid"] == report["perfect"] == 0
    assert report["wrong_pixels"] > 500 and report["novelty"] is None


def test_only_perfect_images_are_new(drawn):
    """Neither those that break a rule nor those with wrong pixels."""
    images, attributes = drawn[0].copy(), drawn[1]
    images[: N // 4, 20:23, 13:19] = (0, 1, 0)  # where the mouth is
    eyes = avatars.by_name(attributes)["eye_color"].copy()
    eyes[N // 4 : N // 2] += 1
    other = repainted(attributes, left_eye=eyes % 4)
    images[N // 4 : N // 2] = other[N // 4 : N // 2]
    known = attributes[: 3 * N // 4]
    report = avatar_report(images, known)
    assert report["valid"] == report["all_rules"] == 0.75
    assert report["perfect"] == report["novelty"] == 0.5


@pytest.mark.parametrize("training", [np.zeros((3, 5), int), np.zeros(13, int), []])
def test_other_training_attributes_are_refused(drawn, training):
    with pytest.raises(ValueError, match="Expected attributes"):
        avatar_report(drawn[0][:2], training)


def test_what_was_asked_for(drawn):
    """Two values are asked for that the images do not have; the phase is not asked."""
    images, attributes = drawn
    asked = attributes.copy()
    names = list(avatars.NAMES)
    mouth, phase = names.index("mouth"), names.index("phase")
    asked[: N // 4, mouth] = (asked[: N // 4, mouth] + 1) % 4
    asked[:, phase] = (asked[:, phase] + 1) % 4
    found = avatar_report(images, asked=asked)["as_asked"]
    assert set(found) == {*names, "mean", "all"} - {"phase"}
    share = 1 - (N // 4) / N
    assert found["mouth"] == found["all"] == share
    assert found["skin"] == 1
    assert np.isclose(found["mean"], (11 + share) / 12)
    with pytest.raises(ValueError, match=f"rows of `asked`.*{N - 1} rows and {N} "):
        avatar_report(images, asked=asked[1:])
    with pytest.raises(ValueError, match="Expected attributes"):
        avatar_report(images, asked=asked[:, 1:])


def test_distances_are_those_of_the_drawing():
    """Irises at columns 12–13 and 18–19, earrings at 7–8 and 23–24, corners of 4."""
    assert pixels_apart("eyes_have_one_color") == 6
    assert pixels_apart("earrings_are_alike") == 16
    assert pixels_apart("pattern_is_in_phase") == 28
    # Hats end at row 9, and shirts are rows 26 to 31.
    assert 17 < pixels_apart("hat_has_the_color_of_the_shirt") < 28
