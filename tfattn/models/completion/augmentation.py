"""Small random changes of images, for training sets of a few hundred."""

import math

import keras
from keras import ops

from tfattn._typing import Tensor

# Largest changes each way: radians, log of a factor, shares of the size.
ROTATION = math.radians(6)
LOG_ZOOM = 0.08
SHIFT = 0.05
LOG_CONTRAST = 0.1
BRIGHTNESS = 0.05
# Of two images that are mixed, the largest share of the second.
MIXTURE = 0.9


def augmented(x: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
    """Images, each moved, lit and mixed with another one by chance.

    1. half of them mirrored; turned, zoomed and shifted about the middle, all in one
       bilinear interpolation, which repeats the border
    2. contrast and brightness changed, cut to [0, 1]
    3. half of them mixed with the image at the same place from the batch's end: on
       faces that are aligned, a mixture is nearly a face

    Source: Zhang et al., *mixup*, arXiv:1710.09412, equation 1, for 3.

    Args:
        x: Images (n, h, w, c) in [0, 1].
        seed: `keras.random.SeedGenerator`.

    Returns:
        Tensor (n, h, w, c) in [0, 1].
    """
    n, h, w, _ = ops.shape(x)
    numbers = keras.random.uniform((8, n), minval=-1.0, seed=seed)
    x = ops.image.affine_transform(
        x,
        _transform(numbers[:5], h, w),
        interpolation="bilinear",
        fill_mode="nearest",
        data_format="channels_last",
    )
    contrast, brightness, mixture = ops.unstack(
        ops.reshape(numbers[5:], (3, n, 1, 1, 1))
    )
    x = 0.5 + ops.exp(LOG_CONTRAST * contrast) * (x - 0.5) + BRIGHTNESS * brightness
    x = ops.clip(x, 0.0, 1.0)
    # Below 0 nothing is mixed.
    share = MIXTURE * ops.relu(mixture)
    return (1 - share) * x + share * ops.flip(x, axis=0)


def _transform(numbers, h, w):
    """Where each place of a new image lies in the old one: (n, 8), as Keras has it."""
    mirrored, angle, zoom, right, down = ops.unstack(numbers)
    sign = ops.where(mirrored < 0, -1.0, 1.0)
    scale = ops.exp(LOG_ZOOM * zoom)
    cos, sin = (scale * f(ROTATION * angle) for f in (ops.cos, ops.sin))
    middle_x, middle_y = (w - 1) / 2, (h - 1) / 2
    rows = []
    for along_x, along_y, middle, shift in (
        (sign * cos, -sign * sin, middle_x, SHIFT * w * right),
        (sin, cos, middle_y, SHIFT * h * down),
    ):
        # The middle goes to the middle, but for the shift.
        offset = middle + shift - along_x * middle_x - along_y * middle_y
        rows += [along_x, along_y, offset]
    return ops.stack([*rows, ops.zeros_like(sign), ops.zeros_like(sign)], axis=1)
