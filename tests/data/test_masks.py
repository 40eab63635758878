import itertools

import numpy as np
import pytest
from keras import ops

from tfattn.data import masks

pytestmark = pytest.mark.backend

SIZE = 9, 14


def drawn_from(name, numbers):
    return ops.convert_to_numpy(masks.visible_from(name, numbers, SIZE))


def numbers(n, seed=0):
    return np.random.default_rng(seed).random((n, masks.NUM_NUMBERS), "float32")


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("lower_half", np.s_[4:, :]),
        ("upper_half", np.s_[:4, :]),
        ("left_half", np.s_[:, :6]),
        ("right_half", np.s_[:, 6:]),
        ("center", np.s_[2:6, 3:9]),
    ],
)
def test_fixed_masks_by_hand(name, hidden):
    expected = np.ones((8, 12), bool)
    expected[hidden] = False
    drawn = masks.draw(name, 3, (8, 12), seed=1)
    assert drawn.dtype == bool and drawn.shape == (3, 8, 12)
    np.testing.assert_array_equal(drawn, np.broadcast_to(expected, (3, 8, 12)))


def test_rectangles_equal_loops():
    given = numbers(20)
    found = drawn_from("rectangle", given)
    for image, u in zip(found, given, strict=True):
        height, width = 0.25 + 0.5 * u[0], 0.25 + 0.5 * u[1]
        top, left = (1 - height) * u[2], (1 - width) * u[3]
        for row, column in np.ndindex(SIZE):
            y, x = (row + 0.5) / 9, (column + 0.5) / 14
            hidden = top <= y < top + height and left <= x < left + width
            assert image[row, column] == (not hidden)


def test_strokes_equal_loops():
    given = numbers(10)
    found = drawn_from("strokes", given)
    for image, u in zip(found, given, strict=True):
        points = u.reshape(-1, 2).astype("float64")
        for row, column in np.ndindex(SIZE):
            place = np.array([(row + 0.5) / 9, (column + 0.5) / 14])
            along = [
                start + np.linspace(0, 1, 400)[:, None] * (end - start)
                for start, end in itertools.pairwise(points)
            ]
            nearest = np.linalg.norm(np.concatenate(along) - place, axis=1).min()
            if abs(nearest - masks.STROKE_RADIUS) > 2e-3:
                hidden = nearest < masks.STROKE_RADIUS
                assert image[row, column] == (not hidden)


@pytest.mark.parametrize("name", masks.NAMES)
def test_each_mask_hides_a_part_and_follows_its_seed(name):
    drawn = masks.draw(name, 50, (28, 28), seed=3)
    shares = drawn.mean(axis=(1, 2))
    assert np.all((shares > 0.2) & (shares < 1))
    np.testing.assert_array_equal(drawn, masks.draw(name, 50, (28, 28), seed=3))
    random = name in ("rectangle", "strokes")
    assert np.any(drawn != masks.draw(name, 50, (28, 28), seed=4)) == random
    assert np.any(drawn[0] != drawn[1]) == random


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lower half", 2, (4, 4)), "Expected one of.*'lower half'"),
        (("center", 0, (4, 4)), "`n`.*n=0"),
        (("center", 2, (4, 0)), "`w`.*w=0"),
    ],
)
def test_bad_input(arguments, words):
    with pytest.raises(ValueError, match=words):
        masks.draw(*arguments)
