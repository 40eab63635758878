import re

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


# Sizes of an image and of a patch, and how often the first is divided by the second.
COARSE_TO_FINE = [
    ((12, 8, 2), (2, 2), 2),
    ((6, 18, 1), (2, 3), 1),
    ((8, 5, 2), (2, 1), 3),
    ((3, 4, 1), (1, 4), 1),
]
each_coarse_to_fine = pytest.mark.parametrize(
    ("shape", "patch", "divisions"), COARSE_TO_FINE
)


def coarse_to_fine(shape, patch, divisions):
    """The tokens by loops: their images, counted from the coarsest, and pixels."""
    h, w, c = shape
    tokens = []
    for division in range(divisions, -1, -1):
        down, right = patch[0] ** division, patch[1] ** division
        if division == divisions:
            for row in range(0, h, down):
                for column in range(0, w, right):
                    for channel in range(c):
                        tokens.append((0, [(row, column, channel)]))
            continue
        for row in range(0, h, patch[0] * down):
            for column in range(0, w, patch[1] * right):
                for channel in range(c):
                    pixels = []
                    for r in range(patch[0]):
                        for k in range(patch[1]):
                            if (r, k) != (0, 0):
                                place = (row + r * down, column + k * right, channel)
                                pixels.append(place)
                    tokens.append((divisions - division, pixels))
    return tokens


@each_coarse_to_fine
def test_tokens_coarse_to_fine_equal_loops(shape, patch, divisions):
    tokens = ImageTokens(shape, 3, patch, "coarse_to_fine")
    expected = coarse_to_fine(shape, patch, divisions)
    assert tokens.num_tokens == len(expected)
    x = images(shape=shape)
    found = checks.numpy_of(tokens.from_levels(x))
    for image, sequence in zip(x, found, strict=True):
        for (_, pixels), value in zip(expected, sequence, strict=True):
            number = 0
            for pixel in pixels:
                number = 3 * number + int(image[pixel])
            assert number == value
    # All of the coarser images come before any pixel of a finer one.
    places = [place for _, pixels in expected for place in pixels]
    assert sorted(places) == sorted(np.ndindex(shape))


@each_coarse_to_fine
def test_a_single_pixel_has_few_values(shape, patch, divisions):
    tokens = ImageTokens(shape, 3, patch, "coarse_to_fine")
    for (_, pixels), possible in zip(
        coarse_to_fine(shape, patch, divisions), tokens.possible, strict=True
    ):
        assert possible.sum() == 3 ** len(pixels) and possible[: 3 ** len(pixels)].all()


@pytest.mark.parametrize("patch", [(2, 1), (3, 3), (2, 3)])
@pytest.mark.parametrize("order", ["raster", "coarse_to_fine"])
def test_tokens_and_back(order, patch):
    tokens = ImageTokens((12, 9, 2), 2, patch, order)
    x = images(shape=(12, 9, 2), levels=2)
    sequence = tokens.from_levels(x)
    np.testing.assert_array_equal(checks.numpy_of(tokens.to_levels(sequence)), x)
    certain = np.eye(tokens.num_values)[checks.numpy_of(sequence).astype(int)]
    means = checks.numpy_of(tokens.mean_levels(certain.astype("float32")))
    np.testing.assert_array_equal(means, x)
    assert len(set(tokens.order)) == tokens.num_tokens
    assert tokens.order.max() < np.prod(tokens.grid)


def test_neighbors_in_rows_equal_loops():
    tokens = ImageTokens((4, 5, 2), 2, (1, 1), "raster")
    assert tokens.parts.tolist() == [[0], [1], [2]]
    number = {}
    for i, place in enumerate(tokens.order):
        number[np.unravel_index(place, (4, 5, 2))] = i + 1
    for (row, column, channel), own in number.items():
        expected = [own - 1]
        for r, c in ((0, -1), (-1, -1), (-1, 0), (-1, 1)):
            other = number.get((row + r, column + c, channel), 0)
            expected.append(other if other < own else 0)
        assert tokens.neighbors[own - 1].tolist() == expected


@each_coarse_to_fine
def test_neighbors_coarse_to_fine_equal_loops(shape, patch, divisions):
    """Each token reads the pixels around its patch that come before it."""
    tokens = ImageTokens(shape, 2, patch, "coarse_to_fine")
    by_loops = coarse_to_fine(shape, patch, divisions)
    num_parts = patch[0] * patch[1] - 1
    number, token_of, wanted = {}, {}, []
    for i, (_, pixels) in enumerate(by_loops):
        for j, pixel in enumerate(pixels):
            number[pixel] = (i + 1) * num_parts + j + num_parts - len(pixels)
            token_of[pixel] = i
    for i, (image, pixels) in enumerate(by_loops):
        division = divisions - image
        down, right = patch[0] ** division, patch[1] ** division
        row, column, channel = pixels[0]
        if image:  # to the corner of the patch
            row -= row % (patch[0] * down)
            column -= column % (patch[1] * right)
        expected = [i * num_parts + j for j in range(num_parts)]
        for r in range(-1, patch[0] + 1):
            for k in range(-1, patch[1] + 1):
                pixel = (row + r * down, column + k * right, channel)
                known = token_of.get(pixel, i) < i
                expected.append(number[pixel] if known else 0)
        wanted.append(expected)
    # A place that no token knows has no column.
    wanted = np.array(wanted)
    columns = [*range(num_parts), *np.flatnonzero(wanted.any(axis=0))]
    columns = sorted({*columns})
    np.testing.assert_array_equal(tokens.neighbors, wanted[:, columns])


@each_coarse_to_fine
def test_parts_are_the_pixels_of_a_token(shape, patch, divisions):
    tokens = ImageTokens(shape, 3, patch, "coarse_to_fine")
    sequence = checks.numpy_of(tokens.from_levels(images(1, shape)))[0].astype(int)
    read = tokens.parts[[tokens.num_values, *sequence]].reshape(-1)
    num_parts = patch[0] * patch[1] - 1
    assert read[:num_parts].tolist() == [3] * num_parts
    x = images(1, shape)[0]
    for i, (_, pixels) in enumerate(coarse_to_fine(shape, patch, divisions)):
        of_token = read[(i + 1) * num_parts :][:num_parts]
        expected = [int(x[pixel]) for pixel in pixels]
        assert of_token.tolist() == [0] * (num_parts - len(pixels)) + expected


@pytest.mark.parametrize("order", ["raster", "coarse_to_fine"])
def test_maps_of_images_equal_loops(order):
    tokens = ImageTokens((4, 6, 2), 2, (2, 3), order)
    pixels_of = {}
    x = np.zeros((48, 4, 6, 2), "int32")
    x.reshape(48, 48)[np.arange(48), np.arange(48)] = 1
    sequences = checks.numpy_of(tokens.from_levels(x))
    for sequence, pixel in zip(sequences, np.ndindex(4, 6, 2), strict=True):
        (token,) = np.flatnonzero(sequence)
        pixels_of.setdefault(token, []).append(pixel)
    maps = np.random.default_rng(0).random((2, tokens.num_tokens, tokens.num_tokens))
    expected = np.zeros((2, 4, 6, 4, 6))
    for query, from_pixels in pixels_of.items():
        for key, to_pixels in pixels_of.items():
            for row, column, _ in from_pixels:
                for r, k, _ in to_pixels:
                    weight = maps[:, query, key] / len(to_pixels) / 2
                    expected[:, row, column, r, k] += weight
    found = tokens.maps_of_images(maps)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


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
    patch = f"image 1, the patch at pixel ({place[0] // 3 * 3}, {place[1] // 2 * 2})"
    with pytest.raises(ValueError, match=re.escape(patch)):
        tokens.given(images(2, (6, 4, 1)), visible)


def test_coarse_images_are_what_may_be_given():
    tokens = ImageTokens((8, 4, 2), LEVELS, (2, 2), "coarse_to_fine")
    x = images(2, (8, 4, 2))
    visible = np.zeros((2, 8, 4, 1), bool)
    visible[0, ::4, ::4] = True
    visible[1, ::2, ::2] = True
    _, shown = tokens.given(x, visible)
    # Two tokens of a pixel in each channel, then of three: those of every second one.
    assert shown[0].all(axis=-1).tolist() == [True] * 4 + [False] * 20
    assert shown[1].all(axis=-1).tolist() == [True] * 8 + [False] * 16
    assert not shown[0, 4:].any()
    visible[0, 6, 3] = True  # of the finest image
    with pytest.raises(ValueError, match=re.escape("the patch at pixel (6, 2)")):
        tokens.given(x, visible)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((SHAPE, 1, PATCH, "raster"), "levels"),
        ((SHAPE, 2, (4, 2), "raster"), "h divisible by 4 and w by 2"),
        ((SHAPE, 2, (0, 2), "raster"), "patch_size"),
        ((SHAPE, 2, (2,), "raster"), "patch_size"),
        ((SHAPE, 256, (2, 2), "raster"), "at most 4096 values"),
        ((SHAPE, 2, PATCH, "spiral"), "order"),
        ((SHAPE, 2, (1, 1), "coarse_to_fine"), "patch_size of more than one pixel"),
        ((SHAPE, 17, (2, 2), "coarse_to_fine"), "at most 4096 values"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        ImageTokens(*arguments)
