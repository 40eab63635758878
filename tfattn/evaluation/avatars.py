"""How well a model has learned avatars: validity, long-range rules, variety."""

import functools
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfattn.data import avatars
from tfattn.data.avatars.drawing import ID, SIZE, figures
from tfattn.data.avatars.reading import CORNER

# An image with more wrong pixels than this, of 1024, is no avatar: each part has more.
MOST_WRONG_PIXELS = 3
# What must agree: two materials of the drawing, or the corners.
RULES = {
    "eyes_have_one_color": ("left_iris", "right_iris"),
    "hat_has_the_color_of_the_shirt": ("hat", "shirt"),
    "earrings_are_alike": ("left_earring", "right_earring"),
    "pattern_is_in_phase": None,
}


def avatar_report(
    images: ArrayLike,
    training: ArrayLike | None = None,
    asked: ArrayLike | None = None,
) -> dict[str, Any]:
    """All measures of generated avatars.

    Each image is read as the avatar that it is nearest to, see
    `tfattn.data.avatars.read`, and drawn again from what was read.

    * `valid`: share of images that differ from their drawing in at most 3 pixels
    * `wrong_pixels`: median number of pixels in which they differ
    * `rules`: for each long-range rule the share of images that keep it, and the
      distance in pixels of what must agree; of hats only where there is one
    * `all_rules`: share of images that keep all of them
    * `perfect`: share of images that are valid and keep all rules
    * `marginals`: for each attribute the total variation distance between how often
      its values occur and how often they should
    * `coverage`: share of the pairs of values of two attributes that occur
    * `novelty`, with `training`: share of the perfect images whose avatar is not among
      the training images
    * `as_asked`, with `asked`: for each attribute that sentences name (all but the
      pattern's phase) the share of images that have the value asked for; `mean` of
      these shares, and `all` for the share of images that have every value

    Args:
        images: Images (n, 32, 32, 3) in [0, 1].
        training: Attributes (m, 13) of the training images, or `None`.
        asked: Attributes (n, 13) of the sentences that the images were generated for,
            or `None`.

    Returns:
        Dictionary; a share is `None` where there is nothing to count.

    Raises:
        ValueError: For images of another shape, with NaN or outside [0, 1], or for
            `training` or `asked` that is no array of attributes, or not of n images.
    """
    for attributes in (training, asked):
        if attributes is not None:
            avatars.by_name(attributes)  # checks them
    reading = avatars.read(images)
    found, phases = reading.attributes, reading.phases
    valid = reading.wrong_pixels <= MOST_WRONG_PIXELS
    if asked is not None and len(np.asarray(asked)) != len(valid):
        raise ValueError(
            "Expected as many rows of `asked` as images. Received: "
            f"{len(np.asarray(asked))} rows and {len(valid)} images"
        )
    kept = {
        "eyes_have_one_color": found["left_eye"] == found["right_eye"],
        "hat_has_the_color_of_the_shirt": found["hat_color"] == found["shirt_color"],
        "earrings_are_alike": found["left_earring"] == found["right_earring"],
        "pattern_is_in_phase": (phases == phases[:, :1]).all(axis=1),
    }
    all_kept = np.all([*kept.values()], axis=0)
    counted = dict.fromkeys(kept, np.full(len(valid), True))
    counted["hat_has_the_color_of_the_shirt"] = found["hat"] != 0
    attributes = np.stack([found[name] for name in avatars.NAMES], axis=1)
    report: dict[str, Any] = {
        "num_images": len(valid),
        "valid": _share(valid),
        "wrong_pixels": float(np.median(reading.wrong_pixels)),
        "rules": {
            name: {
                "pixels_apart": pixels_apart(name),
                "kept": _share(kept[name][counted[name]]),
            }
            for name in RULES
        },
        "all_rules": _share(all_kept),
        "perfect": _share(valid & all_kept),
        "marginals": {
            name: _total_variation(found[name], attribute.probabilities)
            for name, attribute in avatars.ATTRIBUTES.items()
        },
        "coverage": _coverage(attributes),
    }
    if training is not None:
        known = {row.tobytes() for row in np.asarray(training, "int64")}
        perfect = attributes[valid & all_kept].astype("int64")
        report["novelty"] = _share([row.tobytes() not in known for row in perfect])
    if asked is not None:
        in_words = np.array([name != "phase" for name in avatars.NAMES])
        right = (attributes == np.asarray(asked))[:, in_words]
        names = np.array(avatars.NAMES)[in_words].tolist()
        report["as_asked"] = {
            **dict(zip(names, right.mean(axis=0).tolist(), strict=True)),
            "mean": _share(right),
            "all": _share(right.all(axis=1)),
        }
    return report


@functools.cache
def pixels_apart(rule: str) -> int:
    """How far apart what a rule ties is, from middle to middle, in whole pixels."""
    parts = RULES[rule]
    if parts is None:
        return SIZE - CORNER
    layouts = figures().reshape(-1, SIZE, SIZE)
    shown = np.array([layouts == ID[name] for name in parts])
    both = shown[:, shown.any(axis=(2, 3)).all(axis=0)].astype(float)
    places = np.indices((SIZE, SIZE))
    middles = (
        np.einsum("plhw,chw->plc", both, places) / both.sum(axis=(2, 3))[..., None]
    )
    return round(float(np.linalg.norm(middles[0] - middles[1], axis=-1).mean()))


def _share(true):
    return float(np.mean(true)) if len(true) else None


def _total_variation(values, probabilities):
    counts = np.bincount(values, minlength=len(probabilities))
    return float(0.5 * np.abs(counts / len(values) - probabilities).sum())


def _coverage(attributes):
    """Share of all pairs of values of two attributes that occur in some image."""
    counts = [len(attribute.values) for attribute in avatars.ATTRIBUTES.values()]
    occurring = possible = 0
    for i, j in combinations(range(len(counts)), 2):
        pairs = attributes[:, i] * counts[j] + attributes[:, j]
        occurring += len(np.unique(pairs))
        possible += counts[i] * counts[j]
    return occurring / possible
