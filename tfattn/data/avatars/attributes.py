"""What an avatar can be: its attributes, their values, how often, and their colors."""

from typing import NamedTuple

import numpy as np


class Attribute(NamedTuple):
    """One thing in which avatars differ.

    Attributes:
        values: Words for its values.
        probabilities: How often each value is drawn; the attributes are independent.
    """

    values: tuple[str, ...]
    probabilities: tuple[float, ...]


def _uniform(*values):
    return Attribute(values, (1 / len(values),) * len(values))


def _with_none(share_of_none, *values):
    rest = (1 - share_of_none) / len(values)
    return Attribute(("none", *values), (share_of_none, *(rest,) * len(values)))


ATTRIBUTES = {
    "skin": _uniform("pale", "tan", "brown", "dark"),
    "hair": _uniform("short", "fringed", "chin-length", "long", "curly"),
    "hair_color": _uniform("black", "brown", "blond", "red", "gray", "violet"),
    "eye_color": _uniform("gray", "blue", "green", "amber"),
    "mouth": _uniform("smiling", "laughing", "serious", "surprised"),
    "glasses": _with_none(0.5, "round", "square"),
    "hat": _with_none(0.4, "cap", "beanie", "top hat"),
    "earrings": _with_none(0.4, "gold", "silver", "ruby"),
    "shirt": _uniform("plain", "striped", "buttoned"),
    # Of the shirt, and of the hat if there is one.
    "color": _uniform("red", "orange", "green", "teal", "blue", "purple"),
    "background": _uniform("sand", "mint", "sky", "rose", "lilac", "gray"),
    "pattern": _uniform("diagonal", "checked", "dotted"),
    "phase": _uniform("0", "1", "2", "3"),
}
NAMES = tuple(ATTRIBUTES)

# Colors of the values: (values, tones, 3), bytes. The first tone is the main one.
COLORS = {
    "skin": [
        ("f6d5b8", "dfb08f"),
        ("dba678", "b97f55"),
        ("a56b46", "80492f"),
        ("68422f", "4a2c20"),
    ],
    "hair_color": [
        ("33303c", "1d1b26"),
        ("7d4a2a", "5a321c"),
        ("f0cd62", "cfa03c"),
        ("d2552c", "a33a1e"),
        ("b9bec6", "8d939e"),
        ("8f6ad6", "6746ab"),
    ],
    "eye_color": [("8892a8",), ("2f6fd6",), ("2b9a54",), ("e08a1a",)],
    # "none" shows the skin.
    "earrings": [(None,), ("ffcf33",), ("dfe8f2",), ("e0284f",)],
    "color": [
        ("d8413f", "a92b33"),
        ("f08c34", "c5641f"),
        ("64ad45", "418031"),
        ("2fa6a3", "1c7779"),
        ("3f73d4", "2b4fa3"),
        ("9853bd", "6f378f"),
    ],
    "background": [
        ("f7ecd4", "ead9b3"),
        ("d9f3e2", "b7e2c8"),
        ("d8ecfa", "b3d6f0"),
        ("fbe0e4", "f3c1ca"),
        ("e8e0f8", "d1c2ee"),
        ("ebebe8", "d3d3cf"),
    ],
}
FIXED_COLORS = {
    "outline": "2a2233",
    "eye_white": "ffffff",
    "lips": "c9303f",
    "teeth": "fdfbf5",
    "frame": "1b2a49",
    "button": "fff4d6",
}


def rgb(code: str) -> np.ndarray:
    """The bytes (3,) of a hexadecimal color."""
    return np.frombuffer(bytes.fromhex(code), "uint8")


def entropy() -> float:
    """Nats of an avatar, log of how many equally likely ones there would be.

    The drawing is determined by the attributes, and determines them.
    """
    return -sum(
        p * float(np.log(p))
        for attribute in ATTRIBUTES.values()
        for p in attribute.probabilities
    )


def draw_attributes(n: int, seed: int) -> np.ndarray:
    """Attributes of n avatars: (n, attributes), int64, a column for each of `NAMES`."""
    rng = np.random.default_rng(seed)
    columns = [
        rng.choice(len(attribute.values), n, p=attribute.probabilities)
        for attribute in ATTRIBUTES.values()
    ]
    return np.stack(columns, axis=1)
