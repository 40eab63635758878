import checks
import numpy as np
import pytest

from tfattn.models.transformer.tokens import ImageTokens

SHAPE, LEVELS, PATCH = (6, 4, 2), 3, (3, 2)


def images(n=5, shape=SHAPE, levels=LEVELS, seed=0):
    return np.random.default_rng(seed).integers(0, levels, (n, *shape)).astype("int32")


def test_tokens_equal_loops():
    tokens = ImageTokens(SHAPE, LEVELS, PATCH, "raster")
    x = images()
    expected = []
    for image in x:
        sequence = []
        for row in range(0, 6, 3):
            for column in range(0, 4, 2):
                for channel in range(2):
                    number = 0
                    for r in range(3):
                        for c in range(2):
                            pixel = image[row + r, column + c, channel]
                            number = LEVELS * number + int(pixel)
                    sequence.append(number)
        expected.append(sequence)
    np.testing.assert_array_equal(checks.numpy_of(tokens.from_levels(x)), expected)
    assert tokens.num_tokens == 8 and tokens.num_values == 3**6


@pytest.mark.parametrize("order", ["raster", "coarse_to_fine"])
def test_tokens_and_back(order):
    tokens = ImageTokens((6, 9, 2), 4, (2, 1), order)
    x = images(shape=(6, 9, 2), levels=4)
    again = tokens.to_levels(tokens.from_levels(x))
    np.testing.assert_array_equal(checks.numpy_of(again), x)
    assert sorted(tokens.order) == list(range(3 * 9 * 2))


def test_coarse_grids_come_first():
    tokens = ImageTokens((8, 6, 2), 2, (1, 1), "coarse_to_fine")
    places = np.arange(8 * 6 * 2).reshape(8, 6, 2)
    assert list(tokens.order[:2]) == list(places[0, 0])
    for step in (4, 2, 1):
        coarse = places[::step, ::step].reshape(-1)
        assert set(tokens.order[: len(coarse)]) == set(coarse)
    # Equals row by row: what the finest level adds, in rising order.
    added = tokens.order[len(places[::2, ::2].reshape(-1)) :]
    assert list(added) == sorted(added)


@pytest.mark.parametrize("order", ["raster", "coarse_to_fine"])
def test_neighbors_equal_loops(order):
    tokens = ImageTokens((4, 5, 2), 2, (1, 1), order)
    number = {}
    for i, place in enumerate(tokens.order):
        number[np.unravel_index(place, (4, 5, 2))] = i + 1
    for (row, column, channel), own in number.items():
        expected = [own - 1]
        for r, c in ((0, -1), (-1, -1), (-1, 0), (-1, 1)):
            other = number.get((row + r, column + c, channel), 0)
            expected.append(other if other < own else 0)
        assert tokens.neighbors[own - 1].tolist() == expected


def test_visible_pixels_by_token():
    tokens = ImageTokens(SHAPE, LEVELS, PATCH, "raster")
    x = images(2)
    visible = np.zeros((2, 6, 4, 1), bool)
    visible[0, :3] = True  # the first row of patches
    visible[0, 3, 0] = False
    visible[1, :3, :2] = True  # the first patch
    levels, shown = tokens.given(x, visible)
    assert shown[0].all(axis=-1).tolist() == [True] * 4 + [False] * 4
    assert shown[1].all(axis=-1).tolist() == [True] * 2 + [False] * 6
    np.testing.assert_array_equal(levels[1, 1], x[1, :3, :2, 1].reshape(-1))


def test_within_one_token_any_pixel_may_be_visible():
    tokens = ImageTokens((6, 4, 1), LEVELS, PATCH, "raster")
    visible = np.zeros((1, 6, 4, 1), bool)
    visible[0, :3, :2] = True
    visible[0, 1, 3] = True
    _, shown = tokens.given(images(1, (6, 4, 1)), visible)
    assert shown[0, 1].tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize("place", [(0, 3), (4, 1)])
def test_a_pixel_after_a_hidden_one_is_refused(place):
    tokens = ImageTokens((6, 4, 1), LEVELS, PATCH, "raster")
    visible = np.zeros((2, 6, 4, 1), bool)
    visible[1, 0, 0] = True  # hides the rest of the first patch
    visible[1][place] = True
    patch = f"image 1, the patch in row {place[0] // 3}, column {place[1] // 2}"
    with pytest.raises(ValueError, match=patch):
        tokens.given(images(2, (6, 4, 1)), visible)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((SHAPE, 1, PATCH, "raster"), "levels"),
        ((SHAPE, 2, (4, 2), "raster"), "h divisible by 4 and w by 2"),
        ((SHAPE, 2, (0, 2), "raster"), "patch_size"),
        ((SHAPE, 2, (2,), "raster"), "patch_size"),
        ((SHAPE, 256, (2, 2), "raster"), "at most 4096 values"),
        ((SHAPE, 2, PATCH, "spiral"), "order"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        ImageTokens(*arguments)
