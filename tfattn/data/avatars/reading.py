"""Reads the attributes of avatars from their pixels, of generated images too."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfattn._checks import checked_images
from tfattn.data.avatars.attributes import ATTRIBUTES
from tfattn.data.avatars.drawing import (
    ID,
    LAYOUT,
    MATERIALS,
    SIDES,
    SIZE,
    color_table,
    colors_of,
    figures,
    paint,
    pattern_of,
    patterns,
)

# A pixel is wrong if a channel is further from the drawing than this share of 255.
TOLERANCE = 0.2
# Rows and columns of the corners, which no figure reaches.
CORNER = 4
# Parts that are told apart together: they are drawn over each other.
_GROUPS = (("hair", "hat"), ("glasses",), ("mouth",), ("shirt",))
# Sources of colors that some pixel shows in every avatar.
_ALWAYS_SHOWN = (
    "skin",
    "hair_color",
    "left_eye",
    "right_eye",
    "left_earring",
    "right_earring",
    "shirt_color",
)
_AT_ONCE = 500


class Reading(NamedTuple):
    """What images show, taken for avatars.

    Attributes:
        attributes: From each name of `ATTRIBUTES` and of `drawing.SIDES` to an array
            (n,) of indices of values. Where sides disagree, an attribute is that of the
            left eye, the left earring, the shirt.
        phases: Phase of the background's pattern in the corners (n, 4): above left,
            above right, below left, below right.
        wrong_pixels: Number of pixels (n,) that differ from an avatar drawn with these
            attributes, sides and phases by more than `TOLERANCE` in some channel.
    """

    attributes: dict[str, np.ndarray]
    phases: np.ndarray
    wrong_pixels: np.ndarray


def read(images: ArrayLike) -> Reading:
    """Reads the attributes of avatars: the nearest drawing, part by part.

    Exact on images that `draw` drew. Any other image gets the attributes that it comes
    nearest to; `wrong_pixels` says how near.

    Args:
        images: Images (n, 32, 32, 3) in [0, 1].

    Returns:
        A `Reading`.

    Raises:
        ValueError: For images of another shape, with NaN or outside [0, 1].
    """
    x = checked_images(images, (SIZE, SIZE, 3))
    parts = [_read(x[i : i + _AT_ONCE]) for i in range(0, len(x), _AT_ONCE)]
    return Reading(
        {
            name: np.concatenate([part.attributes[name] for part in parts])
            for name in parts[0].attributes
        },
        np.concatenate([part.phases for part in parts]),
        np.concatenate([part.wrong_pixels for part in parts]),
    )


def _read(x):
    found: dict[str, np.ndarray] = {name: np.zeros(len(x), int) for name in ATTRIBUTES}
    found["background"], found["pattern"], found["phase"] = _read_background(x)
    for source in _ALWAYS_SHOWN:
        found[source] = _read_color(x, source, found)
    for group in _GROUPS:
        _read_layout(x, group, found)
    wrong = np.abs(x - paint(found) / np.float32(255)).max(axis=-1) > TOLERANCE
    phases, found["phase"] = found["phase"], found["phase"][:, 0]
    found["eye_color"] = found["left_eye"]
    found["earrings"] = found["left_earring"]
    found["color"] = found["shirt_color"]
    return Reading(found, phases, wrong.sum(axis=(1, 2)))


def _distance(x, colors):
    """Squared distance of pixels (n, ..., 3) from colors in bytes."""
    return np.square(x - colors / np.float32(255)).sum(axis=-1)


def _read_background(x):
    """Color, pattern and phases (n, 4), from the four corners."""
    colors = color_table("background")  # (6, 2, 3)
    dark = patterns() == ID["background_dark"]  # (3, 4, 32, 32)
    candidates = colors[:, dark.astype(int)]  # (6, 3, 4, 32, 32, 3)
    distances = []
    for rows in (slice(CORNER), slice(-CORNER, None)):
        for columns in (slice(CORNER), slice(-CORNER, None)):
            distances.append(
                _distance(
                    x[:, None, None, None, rows, columns],
                    candidates[None, :, :, :, rows, columns],
                ).sum(axis=(-2, -1))
            )
    distance = np.stack(distances, axis=-1)  # (n, 6, 3, 4, corners)
    of_kind = distance.min(axis=3).sum(axis=-1).reshape(len(x), -1)
    color, pattern = np.unravel_index(of_kind.argmin(axis=1), distance.shape[1:3])
    phases = distance[np.arange(len(x)), color, pattern].argmin(axis=1)
    return color, pattern, phases


def _read_color(x, source, found):
    """The value whose colors are nearest where every avatar shows them."""
    attribute = SIDES.get(source, source)
    table = color_table(attribute)
    every = figures().reshape(-1, SIZE, SIZE)
    total = np.zeros((len(x), len(table)), "float32")
    for name, (of, tone) in MATERIALS.items():
        if of != source:
            continue
        always = (every == ID[name]).all(axis=0)
        colors = np.broadcast_to(table[:, tone], (len(x), *table[:, tone].shape))
        if attribute == "earrings":  # none shows the skin
            colors = colors.copy()
            colors[:, 0] = color_table("skin")[found["skin"], 0]
        pixels = x[:, None, always]  # (n, 1, pixels, 3)
        total += _distance(pixels, colors[:, :, None]).sum(axis=-1)
    return total.argmin(axis=1)


def _read_layout(x, group, found):
    """Finds the layout of a group of parts, and the color of a hat among them."""
    axes = [LAYOUT.index(name) for name in group]
    layouts = figures()[
        tuple(slice(None) if i in axes else 0 for i in range(len(LAYOUT)))
    ]
    counts = layouts.shape[:-2]
    layouts = layouts.reshape(-1, SIZE, SIZE)
    region = (layouts != layouts[0]).any(axis=0)
    pixels, pattern = x[:, region, None], pattern_of(found)[:, region]
    hat_colors = range(len(ATTRIBUTES["color"].values)) if "hat" in group else (0,)
    distances = []
    for hat_color in hat_colors:
        colors = colors_of({**found, "hat_color": np.full(len(x), hat_color)})
        distance = _distance(pixels, colors[:, None])  # (n, pixels, materials)
        for layout in layouts[:, region]:
            shown = np.where(layout == ID["background"], pattern, layout)
            of_pixels = np.take_along_axis(distance, shown[..., None], axis=-1)
            distances.append(of_pixels.sum(axis=(1, 2)))
    best = np.argmin(distances, axis=0)
    hat_color, *values = np.unravel_index(best, (len(hat_colors), *counts))
    found |= dict(zip(group, values, strict=True))
    if "hat" in group:
        # Without a hat there is nothing that could disagree with the shirt.
        bare = found["hat"] == 0
        found["hat_color"] = np.where(bare, found["shirt_color"], hat_color)
