"""Small random changes of images, for training sets of a few hundred."""

import math

import keras
from keras import ops

from tfattn._typing import Tensor
from tfattn.models.replicas import drawn

# Largest changes each way: radians, log of a factor, shares of the size.
ROTATION = math.radians(6)
LOG_ZOOM = 0.08
SHIFT = 0.05
LOG_CONTRAST = 0.1
BRIGHTNESS = 0.05
# Of two images that are mixed, the largest share of the second.
MIXTURE = 0.9


def augmented(x: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
    """Images, each randomly moved, relit and mixed with another one.

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
    n = ops.shape(x)[0]
    numbers = drawn(keras.random.uniform, (8, n), seed, axis=1, minval=-1.0)
    x = _interpolated(x, *_places(numbers[:5], *x.shape[1:3]))
    contrast, brightness, mixture = ops.unstack(
        ops.reshape(numbers[5:], (3, n, 1, 1, 1))
    )
    x = 0.5 + ops.exp(LOG_CONTRAST * contrast) * (x - 0.5) + BRIGHTNESS * brightness
    x = ops.clip(x, 0.0, 1.0)
    # Below 0 nothing is mixed.
    share = MIXTURE * ops.relu(mixture)
    return (1 - share) * x + share * ops.flip(x, axis=0)


def _places(numbers, h, w):
    """The row and the column in the old image of each place of a new one: (n, h, w)."""
    mirrored, angle, zoom, right, down = ops.unstack(numbers)
    sign = ops.where(mirrored < 0, -1.0, 1.0)
    scale = ops.exp(LOG_ZOOM * zoom)
    cos, sin = (scale * f(ROTATION * angle) for f in (ops.cos, ops.sin))
    middle_x, middle_y = (w - 1) / 2, (h - 1) / 2
    # From the middle, which goes to the middle, but for the shift.
    x = ops.arange(w, dtype="float32") - middle_x
    y = ops.reshape(ops.arange(h, dtype="float32") - middle_y, (h, 1))
    sign, cos, sin, right, down = (
        ops.reshape(number, (-1, 1, 1)) for number in (sign, cos, sin, right, down)
    )
    rows = middle_y + SHIFT * h * down + sin * x + cos * y
    columns = middle_x + SHIFT * w * right + sign * cos * x - sign * sin * y
    return rows, columns


def _interpolated(x, rows, columns):
    """Images (n, h, w, c) at places between the pixels, bilinear.

    Keras's `affine_transform` has no XLA kernel on TensorFlow, and Keras compiles by
    XLA wherever there is a GPU.
    """
    n, h, w, c = ops.shape(x)
    rows, columns = ops.clip(rows, 0, h - 1), ops.clip(columns, 0, w - 1)
    above, left = ops.floor(rows), ops.floor(columns)
    down, right = (
        ops.expand_dims(place - start, -1)
        for place, start in ((rows, above), (columns, left))
    )
    above, left = ops.cast(above, "int32"), ops.cast(left, "int32")
    below, beside = ops.minimum(above + 1, h - 1), ops.minimum(left + 1, w - 1)
    first = ops.reshape(ops.arange(n, dtype="int32") * (h * w), (n, 1, 1))
    pixels = ops.reshape(x, (-1, c))

    def at(row, column):
        return ops.take(pixels, first + row * w + column, axis=0)

    upper = (1 - right) * at(above, left) + right * at(above, beside)
    lower = (1 - right) * at(below, left) + right * at(below, beside)
    return (1 - down) * upper + down * lower
