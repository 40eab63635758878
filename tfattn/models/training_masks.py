"""The masks of models that are trained to complete images."""

import keras
from keras import ops

from tfattn._typing import Tensor
from tfattn.data import masks
from tfattn.models.replicas import drawn

# How often each mask is sampled.
SHARES = {
    "lower_half": 0.25,
    "upper_half": 0.1,
    "left_half": 0.1,
    "right_half": 0.1,
    "center": 0.15,
    "rectangle": 0.15,
    "strokes": 0.15,
}


def training_masks(
    n: int, size: tuple[int, int], seed: keras.random.SeedGenerator
) -> Tensor:
    """Samples masks of the kinds in `SHARES`, a kind for each image.

    Args:
        n: Number of images.
        size: (h, w).
        seed: `keras.random.SeedGenerator`.

    Returns:
        Tensor (n, h, w, 1), 1 where visible.
    """
    numbers = drawn(keras.random.uniform, (n, masks.NUM_NUMBERS), seed)
    chosen = drawn(keras.random.uniform, (n, 1, 1), seed)
    visible, upper = ops.zeros((), "float32"), 0.0
    for name, share in SHARES.items():
        lower, upper = upper, upper + share
        here = ops.cast((chosen >= lower) & (chosen < upper), "float32")
        shown = masks.visible_from(name, numbers, size)
        visible = visible + here * shown  # not in place: torch would keep the shape
    return visible[..., None]
