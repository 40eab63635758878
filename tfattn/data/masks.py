"""Which pixels of an image are visible, by name.

| name | hidden |
|---|---|
| `lower_half`, `upper_half`, `left_half`, `right_half` | half of the image |
| `center` | the square, or rectangle, of half the height and width in the middle |
| `rectangle` | a rectangle of random place and size |
| `strokes` | a random broken line, as drawn with a thick pen |

Any other boolean array is as good; `True` is visible everywhere in tfattn.
"""

import numpy as np
from keras import ops

from tfattn._checks import check_integer
from tfattn._choices import MASKS
from tfattn._typing import Tensor

# Hidden rows from, to, columns from, to: shares of the image's height and width.
RECTANGLES = {
    "lower_half": (0.5, 1.0, 0.0, 1.0),
    "upper_half": (0.0, 0.5, 0.0, 1.0),
    "left_half": (0.0, 1.0, 0.0, 0.5),
    "right_half": (0.0, 1.0, 0.5, 1.0),
    "center": (0.25, 0.75, 0.25, 0.75),
}
NAMES = MASKS
# A random rectangle's height and width, a stroke's radius: shares of the image's.
RECTANGLE_SIZES = (0.25, 0.75)
STROKE_RADIUS = 0.07
NUM_STROKES = 6
# Uniform numbers that a random mask is made from.
NUM_NUMBERS = 2 * (NUM_STROKES + 1)


def draw(name: str, n: int, size: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Visible pixels of n images.

    Args:
        name: One of `NAMES`; the random ones differ from image to image.
        n: Number of images.
        size: (h, w).
        seed: Seed of `numpy.random.default_rng`; the same on every backend.

    Returns:
        Boolean NumPy array (n, h, w), `True` where a pixel is visible.

    Raises:
        ValueError: For an unknown name or sizes below 1.
    """
    if name not in NAMES:
        raise ValueError(
            f"Invalid value for argument `name`. Expected one of {NAMES}. "
            f"Received: name={name!r}"
        )
    for what, value in (("n", n), ("h", size[0]), ("w", size[1])):
        check_integer(what, value, least=1)
    numbers = np.random.default_rng(seed).random((n, NUM_NUMBERS), "float32")
    return ops.convert_to_numpy(visible_from(name, numbers, size)).astype(bool)


def visible_from(name: str, numbers: Tensor, size: tuple[int, ...]) -> Tensor:
    """Visible pixels as a function of uniform numbers.

    Args:
        name: One of `NAMES`.
        numbers: Tensor (n, `NUM_NUMBERS`) of uniform numbers in [0, 1).
        size: (h, w).

    Returns:
        Tensor (n, h, w), 1 where a pixel is visible, otherwise 0.
    """
    h, w = size
    rows = ops.reshape((ops.arange(h, dtype="float32") + 0.5) / h, (1, h, 1))
    columns = ops.reshape((ops.arange(w, dtype="float32") + 0.5) / w, (1, 1, w))
    numbers = ops.convert_to_tensor(numbers, "float32")
    if name == "strokes":
        hidden = _in_strokes(numbers, rows, columns)
    else:
        bounds = (
            _random_bounds(numbers)
            if name == "rectangle"
            else ops.ones_like(numbers[:, :1]) * ops.array([RECTANGLES[name]])
        )  # (n, 4)
        top, bottom, left, right = ops.split(bounds[..., None], 4, axis=1)
        hidden = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    return 1 - ops.cast(hidden, "float32")


def _random_bounds(numbers):
    """Uniform sizes, then uniform places inside the image: (n, 4)."""
    low, high = RECTANGLE_SIZES
    sizes = low + (high - low) * numbers[:, :2]  # height, width
    starts = (1 - sizes) * numbers[:, 2:4]
    ends = starts + sizes
    return ops.stack([starts[:, 0], ends[:, 0], starts[:, 1], ends[:, 1]], axis=1)


def _in_strokes(numbers, rows, columns):
    """Whether a pixel is within the radius of the line through random points."""
    points = ops.reshape(numbers, (-1, NUM_STROKES + 1, 2))
    hidden = False
    for k in range(NUM_STROKES):
        start, along = points[:, k], points[:, k + 1] - points[:, k]
        y, x, dy, dx = (
            part[:, None, None]
            for part in (start[:, 0], start[:, 1], along[:, 0], along[:, 1])
        )
        # The nearest point of the segment lies at this share of its length.
        share = ((rows - y) * dy + (columns - x) * dx) / (dy * dy + dx * dx + 1e-9)
        share = ops.clip(share, 0.0, 1.0)
        squared = ops.square(rows - y - share * dy) + ops.square(
            columns - x - share * dx
        )
        hidden = hidden | (squared < STROKE_RADIUS**2)
    return hidden
