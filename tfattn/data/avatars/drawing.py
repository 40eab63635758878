"""Draws avatars: which material each pixel is of, then each material's color."""

import functools
from collections.abc import Mapping

import numpy as np

from tfattn.data.avatars.attributes import (
    ATTRIBUTES,
    COLORS,
    FIXED_COLORS,
    rgb,
)

SIZE = 32
# What must agree across an image, and the attribute that says of what color it is.
SIDES = {
    "left_eye": "eye_color",
    "right_eye": "eye_color",
    "left_earring": "earrings",
    "right_earring": "earrings",
    "hat_color": "color",
    "shirt_color": "color",
}
# A material is a thing of one color: what colors it, and the tone.
MATERIALS = {
    "background": ("background", 0),
    "background_dark": ("background", 1),
    "skin": ("skin", 0),
    "skin_dark": ("skin", 1),
    "hair": ("hair_color", 0),
    "hair_dark": ("hair_color", 1),
    "left_iris": ("left_eye", 0),
    "right_iris": ("right_eye", 0),
    "left_earring": ("left_earring", 0),
    "right_earring": ("right_earring", 0),
    "hat": ("hat_color", 0),
    "hat_dark": ("hat_color", 1),
    "shirt": ("shirt_color", 0),
    "shirt_dark": ("shirt_color", 1),
} | {name: (None, 0) for name in FIXED_COLORS}
ID = {name: i for i, name in enumerate(MATERIALS)}
# The attributes that say where materials are, and not which colors they have.
LAYOUT = ("hair", "hat", "glasses", "mouth", "shirt")
_COUNTS = tuple(len(ATTRIBUTES[name].values) for name in LAYOUT)


def paint(attributes: Mapping[str, np.ndarray]) -> np.ndarray:
    """Images of attributes, of which each side of a pair may have its own.

    Args:
        attributes: From each name of `ATTRIBUTES` to an array (n,) of indices of its
            values; `phase` may be (n, 4), of the corners as in `QUADRANTS`. A name of
            `SIDES` takes the place of its attribute on that side.

    Returns:
        Array (n, 32, 32, 3) of bytes.
    """
    layout = figures()[tuple(attributes[name] for name in LAYOUT)]  # (n, 32, 32)
    layout = np.where(layout == ID["background"], pattern_of(attributes), layout)
    return colors_of(attributes)[np.arange(len(layout))[:, None, None], layout]


def pattern_of(attributes: Mapping[str, np.ndarray]) -> np.ndarray:
    """The two materials of the background, everywhere (n, 32, 32); see `paint`."""
    pattern, phases = (np.asarray(attributes[k]) for k in ("pattern", "phase"))
    if phases.ndim == 1:
        phases = np.repeat(phases[:, None], 4, axis=1)
    quarters = patterns()[pattern[:, None], phases]  # (n, 4, 32, 32)
    return np.take_along_axis(quarters, QUADRANTS[None, None], axis=1)[:, 0]


def colors_of(attributes: Mapping[str, np.ndarray]) -> np.ndarray:
    """The color of each material (n, materials, 3), bytes; see `paint`."""
    colors = np.empty((len(attributes["skin"]), len(MATERIALS), 3), "uint8")
    for name, (source, tone) in MATERIALS.items():
        if source is None:
            colors[:, ID[name]] = rgb(FIXED_COLORS[name])
            continue
        attribute = SIDES.get(source, source)
        values = np.asarray(attributes.get(source, attributes[attribute]))
        chosen = color_table(attribute)[values, tone]
        if attribute == "earrings":
            chosen = np.where((values == 0)[:, None], colors[:, ID["skin"]], chosen)
        colors[:, ID[name]] = chosen
    return colors


@functools.cache
def color_table(attribute: str) -> np.ndarray:
    """Colors of an attribute: (values, tones, 3), bytes; black for no color."""
    return np.array(
        [[rgb(code or "000000") for code in tones] for tones in COLORS[attribute]]
    )


@functools.cache
def figures() -> np.ndarray:
    """Materials of every layout: (5 hair, 4 hat, 3 glasses, 4 mouth, 3 shirt, 32, 32).

    Where no figure is, they are `background`.
    """
    maps = np.empty((*_COUNTS, SIZE, SIZE), "uint8")
    for index in np.ndindex(*_COUNTS):
        words = [
            ATTRIBUTES[name].values[i] for name, i in zip(LAYOUT, index, strict=True)
        ]
        maps[index] = _figure(*words)
    return maps


def _figure(hair, hat, glasses, mouth, shirt):
    """Materials (32, 32) of one layout. The axis is at column 15.5."""
    canvas = np.full((SIZE, SIZE), ID["background"], "uint8")
    _paint_hair_behind(canvas, hair)
    _paint_shirt(canvas, shirt)
    _paint_head(canvas)
    _paint_hair_in_front(canvas, hair)
    if hat != "none":
        _paint_hat(canvas, hat)
    _paint_eyes(canvas)
    if glasses != "none":
        _paint_glasses(canvas, glasses)
    _paint_mouth(canvas, mouth)
    return _outlined(canvas)


def _box(canvas, material, rows, columns, mirrored=False):
    """Fills rows and columns, ends included; if `mirrored`, on the other side too."""
    (top, bottom), (left, right) = rows, columns
    canvas[top : bottom + 1, left : right + 1] = ID[material]
    if mirrored:
        canvas[top : bottom + 1, SIZE - 1 - right : SIZE - left] = ID[material]


def _paint_hair_behind(canvas, hair):
    if hair == "chin-length":
        _box(canvas, "hair", (9, 20), (6, 25))
        _box(canvas, "hair_dark", (21, 21), (6, 8), mirrored=True)
    elif hair == "long":
        _box(canvas, "hair", (8, 25), (6, 25))
        _box(canvas, "hair", (13, 27), (5, 6), mirrored=True)
        _box(canvas, "hair_dark", (24, 27), (7, 8), mirrored=True)
    elif hair == "curly":
        for row in range(6, 19, 3):
            _box(canvas, "hair", (row, row + 2), (6, 25))
            _box(canvas, "hair", (row, row + 1), (5, 5), mirrored=True)
            _box(canvas, "hair_dark", (row + 2, row + 2), (6, 6), mirrored=True)


def _paint_shirt(canvas, shirt):
    _box(canvas, "shirt", (26, 26), (10, 21))
    _box(canvas, "shirt", (27, 27), (7, 24))
    _box(canvas, "shirt", (28, 31), (6, 25))
    if shirt == "striped":
        for row in (28, 30):
            _box(canvas, "shirt_dark", (row, row), (6, 25))
    else:
        _box(canvas, "shirt_dark", (29, 31), (9, 9), mirrored=True)
    if shirt == "buttoned":
        _box(canvas, "shirt_dark", (27, 31), (15, 16))
        for row in (28, 30):
            _box(canvas, "button", (row, row), (15, 15))
    # The neck, and what the collar leaves open.
    _box(canvas, "skin_dark", (23, 25), (13, 18))
    _box(canvas, "skin", (26, 26), (14, 17))


def _paint_head(canvas):
    for row, left in enumerate((11, 10, 9), start=9):
        _box(canvas, "skin", (row, row), (left, SIZE - 1 - left))
    _box(canvas, "skin", (12, 20), (9, 22))
    for row, left in enumerate((10, 11, 12), start=21):
        _box(canvas, "skin", (row, row), (left, SIZE - 1 - left))
    _box(canvas, "skin_dark", (11, 20), (22, 22))
    _box(canvas, "skin", (15, 17), (7, 8), mirrored=True)
    _box(canvas, "left_earring", (18, 19), (7, 8))
    _box(canvas, "right_earring", (18, 19), (23, 24))
    _box(canvas, "skin_dark", (18, 18), (15, 16))


def _paint_hair_in_front(canvas, hair):
    for row, left in enumerate((11, 9, 8), start=5):
        _box(canvas, "hair", (row, row), (left, SIZE - 1 - left))
    _box(canvas, "hair", (8, 10), (8, 23))
    _box(canvas, "hair_dark", (6, 9), (21, 22))
    if hair == "short":
        _box(canvas, "hair_dark", (11, 13), (8, 8), mirrored=True)
        _box(canvas, "hair", (4, 4), (13, 19))
    elif hair == "fringed":
        _box(canvas, "hair", (11, 11), (9, 22))
        _box(canvas, "hair", (11, 14), (8, 8), mirrored=True)
        for left in range(9, 23, 3):
            _box(canvas, "hair_dark", (12, 12), (left, left + 1))
    elif hair == "chin-length":
        _box(canvas, "hair", (11, 13), (8, 9), mirrored=True)
        _box(canvas, "hair_dark", (6, 10), (15, 15))
    elif hair == "long":
        _box(canvas, "hair", (11, 11), (8, 18))
        _box(canvas, "hair", (12, 12), (8, 14))
        _box(canvas, "hair_dark", (12, 13), (8, 9))
    else:
        for left in range(7, 24, 4):
            _box(canvas, "hair", (4, 5), (left, left + 2))
            _box(canvas, "hair_dark", (7, 7), (left + 1, left + 2))
            _box(canvas, "hair", (11, 11), (left + 1, left + 2))


def _paint_hat(canvas, hat):
    canvas[:9] = ID["background"]
    if hat == "cap":
        _box(canvas, "hat", (3, 3), (11, 20))
        _box(canvas, "hat", (4, 4), (9, 22))
        _box(canvas, "hat", (5, 8), (8, 23))
        _box(canvas, "hat_dark", (9, 9), (8, 27))
        _box(canvas, "hat_dark", (4, 8), (15, 15))
    elif hat == "beanie":
        _box(canvas, "hat_dark", (1, 3), (14, 17))
        _box(canvas, "hat", (4, 4), (11, 20))
        _box(canvas, "hat", (5, 6), (9, 22))
        _box(canvas, "hat", (7, 7), (8, 23))
        _box(canvas, "hat_dark", (8, 9), (7, 24))
        _box(canvas, "hat", (8, 9), (9, 10), mirrored=True)
        _box(canvas, "hat", (8, 9), (13, 14), mirrored=True)
    else:
        _box(canvas, "hat", (1, 8), (10, 21))
        _box(canvas, "hat_dark", (6, 7), (10, 21))
        _box(canvas, "hat", (9, 9), (5, 26))


def _paint_eyes(canvas):
    _box(canvas, "outline", (14, 14), (11, 13), mirrored=True)
    _box(canvas, "eye_white", (15, 16), (11, 13), mirrored=True)
    _box(canvas, "left_iris", (15, 16), (12, 13))
    _box(canvas, "right_iris", (15, 16), (18, 19))


def _paint_glasses(canvas, glasses):
    _box(canvas, "frame", (13, 13), (11, 13), mirrored=True)
    _box(canvas, "frame", (17, 17), (11, 13), mirrored=True)
    _box(canvas, "frame", (14, 16), (10, 10), mirrored=True)
    _box(canvas, "frame", (14, 16), (14, 14), mirrored=True)
    _box(canvas, "frame", (15, 15), (15, 16))
    if glasses == "square":
        for row in (13, 17):
            for column in (10, 14):
                _box(canvas, "frame", (row, row), (column, column), mirrored=True)


def _paint_mouth(canvas, mouth):
    if mouth == "smiling":
        _box(canvas, "lips", (20, 20), (13, 13), mirrored=True)
        _box(canvas, "lips", (21, 21), (14, 17))
    elif mouth == "laughing":
        _box(canvas, "lips", (20, 21), (13, 18))
        _box(canvas, "teeth", (20, 20), (14, 17))
        _box(canvas, "lips", (22, 22), (14, 17))
    elif mouth == "serious":
        _box(canvas, "lips", (21, 21), (13, 18))
    else:
        _box(canvas, "lips", (20, 22), (15, 16))
        _box(canvas, "outline", (21, 21), (15, 16))


def _outlined(canvas):
    """The figure with a dark line around it."""
    figure = canvas != ID["background"]
    padded = np.pad(figure, 1)
    beside = padded[1:-1, :-2] | padded[1:-1, 2:]
    above_or_below = padded[:-2, 1:-1] | padded[2:, 1:-1]
    return np.where((beside | above_or_below) & ~figure, ID["outline"], canvas)


# Of each pixel: 0 above left, 1 above right, 2 below left, 3 below right.
_half = np.arange(SIZE) // (SIZE // 2)
QUADRANTS = 2 * _half[:, None] + _half


@functools.cache
def patterns():
    """Materials of the background: (3 patterns, 4 phases, 32, 32)."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    maps = []
    for phase in range(len(ATTRIBUTES["phase"].values)):
        shifted = columns + phase
        maps.append(
            [
                (rows + shifted) % 4 == 0,
                (rows // 2 + shifted // 2) % 2 == 0,
                (rows % 2 == 0) & ((rows + shifted) % 4 == 0),
            ]
        )
    dark = np.moveaxis(np.array(maps), 0, 1)
    return np.where(dark, ID["background_dark"], ID["background"]).astype("uint8")
