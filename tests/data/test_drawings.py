"""Line drawings: where their lines are."""

import numpy as np
import pytest
from scipy import ndimage

from tfattn.data import drawings


def squares():
    """Two images (h, w, c) = (20, 24, 3) with a square of one color, on dark gray."""
    images = np.full((2, 20, 24, 3), 0.1, "float32")
    images[0, 5:15, 6:16] = [0.9, 0.5, 0.7]
    images[1, 3:9, 10:20] = [0.2, 1.0, 0.9]
    return images


def test_edges_run_around_a_shape():
    drawn = drawings.edges(squares())
    assert drawn.shape == (2, 20, 24, 1) and drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0, 1}
    for image, lines in zip(squares(), drawn[..., 0], strict=True):
        inside = image[..., 1] > 0.3
        border = ndimage.binary_dilation(inside) & ~ndimage.binary_erosion(inside)
        assert lines[~border].max() == 0
        # All the way around: what they enclose is the shape.
        filled = ndimage.binary_fill_holes(lines > 0)
        assert np.mean(filled == inside) > 0.9 and filled.sum() > 30


def test_edges_of_nothing():
    assert drawings.edges(np.full((1, 8, 9, 1), 0.7)).max() == 0


def test_skeletons_are_lines_within_the_shape():
    images = np.zeros((2, 20, 24, 1), "float32")
    images[0, 4:16, 3:8] = 0.8  # an L
    images[0, 12:16, 3:20] = 0.6
    images[1, 5:8, 2:22] = 1.0
    images[1, 14:17, 2:22] = 0.4  # dark
    drawn = drawings.skeletons(images)
    assert drawn.shape == images.shape and set(np.unique(drawn)) == {0, 1}
    for image, lines in zip(images[..., 0], drawn[..., 0], strict=True):
        assert np.all(image[lines > 0] > 0.5)
        assert 0 < lines.sum() < 0.35 * np.sum(image > 0.5)
        # One piece, and no block of four pixels.
        assert ndimage.label(lines, np.ones((3, 3)))[1] == 1
        blocks = lines[1:, 1:] + lines[:-1, 1:] + lines[1:, :-1] + lines[:-1, :-1]
        assert blocks.max() < 4
    assert np.all(drawn[1, 12:] == 0)


@pytest.mark.parametrize("draw", [drawings.edges, drawings.skeletons])
@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((4, 5, 6)), r"shape \(n, h, w, c\)"),
        (np.zeros((0, 5, 6, 1)), "at least one"),
        (np.full((1, 5, 6, 1), 2.0), r"\[0, 1\]"),
        (np.full((1, 5, 6, 1), np.nan), "NaN"),
    ],
)
def test_what_is_no_image(draw, images, words):
    with pytest.raises(ValueError, match=words):
        draw(images)
