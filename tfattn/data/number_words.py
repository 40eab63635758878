"""Two digits side by side, and their names: images that a text describes."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfattn._checks import check_integer

WORDS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
)
# Each digit is held out twice on the left and twice on the right.
HELD_OUT_PAIRS = np.array([(a, (a + step) % 10) for a in range(10) for step in (3, 7)])
TRAINING_PAIRS = np.array(
    [(a, b) for a in range(10) for b in range(10) if (b - a) % 10 not in (3, 7)]
)
NUM_TEST_PAIRS = 2_000
TEST_SEED = 0
WORDS_ON_TEST_PAIRS = (
    "two digits side by side, training and test from different images of digits and "
    f"other pairs ({len(HELD_OUT_PAIRS)} of 100 held out)"
)


def names_of(pairs: Iterable[Iterable[int]]) -> np.ndarray:
    """Names of pairs of digits (n, 2), such as "four two": array of n texts."""
    return np.array([f"{WORDS[a]} {WORDS[b]}" for a, b in pairs])


def recognized(classifier: Any, images: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Whether both digits of images are seen for what they should be.

    Args:
        classifier: `ImageClassifier` of one digit.
        images: Images (n, h, 2·w, c) of two.
        pairs: The digits that they should show (n, 2).

    Returns:
        Boolean array (n,).
    """
    halves = np.split(images, 2, axis=2)
    left, right = (classifier.classify(half) for half in halves)
    return (left == pairs[:, 0]) & (right == pairs[:, 1])


def draw_pairs(
    x: np.ndarray, y: np.ndarray, pairs: ArrayLike, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images of two digits, made of images of one.

    Args:
        x: Images of digits (m, h, w, c).
        y: Which digits they show (m,); all that occur in `pairs`.
        pairs: Pairs of digits (k, 2), of which each image is one, as often as others.
        n: Number of images.
        seed: Integer seed of the choice.

    Returns:
        Images (n, h, 2·w, c), and their pairs (n, 2).

    Raises:
        ValueError: If a digit of `pairs` has no image.
    """
    n = check_integer("n", n, least=1)
    pairs = np.asarray(pairs)
    missing = np.setdiff1d(pairs, y).tolist()
    if missing:
        raise ValueError(
            f"Expected images of all digits in pairs. Received: none of {missing}"
        )
    rng = np.random.default_rng(seed)
    chosen = pairs[rng.permutation(n) % len(pairs)]
    sides = []
    for digits in chosen.T:
        images = np.empty((n, *x.shape[1:]), x.dtype)
        for digit in np.unique(digits):
            places = np.flatnonzero(digits == digit)
            images[places] = x[rng.choice(np.flatnonzero(y == digit), len(places))]
        sides.append(images)
    return np.concatenate(sides, axis=2), chosen


def training_images(
    x: np.ndarray, y: np.ndarray, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """`draw_pairs` of the pairs to train on, all but the held-out ones."""
    return draw_pairs(x, y, TRAINING_PAIRS, n, seed)


def held_out_images(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images of held-out pairs to measure with, and their pairs.

    Args:
        x: Test images of digits (m, h, w, c).
        y: Which digits they show (m,), all ten.

    Returns:
        As `draw_pairs`: 2000 images, or fewer where no more can be made.

    Raises:
        ValueError: If a digit has no image.
    """
    n = min(NUM_TEST_PAIRS, len(x) ** 2)
    return draw_pairs(x, y, HELD_OUT_PAIRS, n, TEST_SEED)
