"""Avatars: small faces in color, drawn by a program, whose distribution is known.

```python
from tfattn.data import avatars

images, attributes = avatars.draw(1000, seed=0)
avatars.sentences(attributes)[0]  # "long red hair, green cap, round glasses, …"
avatars.read(images).attributes["hair_color"]  # what the pixels say
```

An avatar has 13 attributes, all independent, and is determined by them. Four of them
show at two or more distant places, which is what attention is for: both eyes have one
color, both earrings are alike, a hat has the color of the shirt, and the pattern of the
background keeps its phase from corner to corner. A model that was trained on avatars is
therefore measured exactly: see `tfattn.evaluation.avatar_report`.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from tfattn._checks import check_integer
from tfattn.data.avatars.attributes import ATTRIBUTES, NAMES, draw_attributes, entropy
from tfattn.data.avatars.drawing import paint
from tfattn.data.avatars.reading import TOLERANCE, Reading, read

__all__ = [
    "ATTRIBUTES",
    "NAMES",
    "TOLERANCE",
    "Reading",
    "by_name",
    "draw",
    "draw_attributes",
    "entropy",
    "paint",
    "read",
    "sentences",
]


def draw(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws avatars.

    Args:
        n: Number of avatars.
        seed: Seed of `numpy.random.default_rng`.

    Returns:
        Images (n, 32, 32, 3), float32 in [0, 1], multiples of 1/255, and their
        attributes (n, 13), int64: a column for each of `NAMES`, indices of the values
        in `ATTRIBUTES`.

    Raises:
        ValueError: If n is below 1, or the seed no integer.
    """
    n, seed = check_integer("n", n, least=1), check_integer("seed", seed, least=0)
    attributes = draw_attributes(n, seed)
    return paint(by_name(attributes)) / np.float32(255), attributes


def by_name(attributes: ArrayLike) -> Mapping[str, np.ndarray]:
    """Attributes (n, 13) as `paint` takes them; ValueError for any other array."""
    attributes = np.asarray(attributes)
    counts = [len(attribute.values) for attribute in ATTRIBUTES.values()]
    if (
        attributes.ndim != 2
        or attributes.shape[1] != len(NAMES)
        or attributes.dtype.kind not in "iu"
        or not np.all((attributes >= 0) & (attributes < counts))
    ):
        raise ValueError(
            f"Expected attributes (n, {len(NAMES)}), indices of values, each below "
            f"{counts}. Received: {attributes.dtype} of shape {attributes.shape} with "
            f"values {np.unique(attributes)}"
        )
    return dict(zip(NAMES, attributes.T, strict=True))


def sentences(attributes: ArrayLike) -> np.ndarray:
    """What attributes (n, 13) say, in words: array of n texts."""
    by_name(attributes)  # checks them
    return np.array(
        [
            _sentence(
                {
                    name: attribute.values[value]
                    for (name, attribute), value in zip(
                        ATTRIBUTES.items(), row, strict=True
                    )
                }
            )
            for row in np.asarray(attributes)
        ],
        dtype=str,
    )


def _sentence(words):
    parts = [f"{words['hair']} {words['hair_color']} hair"]
    if words["hat"] != "none":
        parts.append(f"{words['color']} {words['hat']}")
    if words["glasses"] != "none":
        parts.append(f"{words['glasses']} glasses")
    if words["earrings"] != "none":
        parts.append(f"{words['earrings']} earrings")
    parts += [
        f"{words['eye_color']} eyes",
        f"{words['skin']} skin",
        words["mouth"],
        f"{words['shirt']} {words['color']} shirt",
        f"{words['pattern']} {words['background']} background",
    ]
    return ", ".join(parts)
