"""Images as sequences of tokens, and back."""

from typing import Literal

import numpy as np
from keras import ops

from tfattn._checks import check_choice, check_integer, check_patch_size, check_tiled
from tfattn._typing import Tensor
from tfattn.layers import images_to_patches, patches_to_images

ORDERS = ("raster", "coarse_to_fine")
MOST_VALUES = 4096


class ImageTokens:
    """How an image of few levels is cut into a sequence of tokens.

    A token is one channel of one patch. Its value is the number whose digits, in base
    `levels`, are the patch's pixels, row by row.

    Args:
        image_shape: (h, w, c).
        levels: Number of levels of a pixel; at most 4096 values of a token.
        patch_size: (patch_h, patch_w), which divide h and w.
        order: `"raster"`, patches row by row, or `"coarse_to_fine"`: first the patches
            whose row and column are divisible by a large power of 2, then those of the
            next smaller power, and so on; equals row by row. The channels of a patch
            follow each other.

    Attributes:
        grid: (rows, columns, c), the sizes of the grid of tokens.
        num_tokens: Their product.
        num_values: levels^(patch_h·patch_w).
        order: Place in the grid, flattened, of each token of the sequence, (tokens,).
        pixels: Pixels of each value of a token, (values, patch_h·patch_w).
        neighbors: For each token of the sequence the numbers, from 1, of the one
            before it and of those to the left, above to the left, above, and above to
            the right of it in its own channel, (tokens, 5); 0 where there is none or it
            comes later.

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        levels: int,
        patch_size: tuple[int, int],
        order: Literal["raster", "coarse_to_fine"],
    ) -> None:
        levels = check_integer("levels", levels, least=2)
        check_patch_size(patch_size)
        check_tiled((None, *image_shape), patch_size)
        h, w, c = image_shape
        patch_h, patch_w = patch_size
        self.patch_size = (patch_h, patch_w)
        num_pixels = patch_h * patch_w
        self.num_values = levels**num_pixels
        if self.num_values > MOST_VALUES:
            raise ValueError(
                f"Expected at most {MOST_VALUES} values of a token. Received: {levels} "
                f"levels and {num_pixels} pixels, {levels}^{num_pixels} values"
            )
        check_choice("order", order, ORDERS)
        self.grid = (h // patch_h, w // patch_w, c)
        self.num_tokens = int(np.prod(self.grid))
        self.order = _places(*self.grid, order)
        self.neighbors = _neighbors(*self.grid, self.order)
        powers = np.arange(num_pixels - 1, -1, -1, dtype="int32")
        self.place_values = np.int32(levels) ** powers
        values = np.arange(self.num_values)[:, None]
        self.pixels = (values // self.place_values % levels).astype("int32")

    def from_levels(self, x: Tensor) -> Tensor:
        """Integer images (n, h, w, c), each pixel a level, to tokens (n, tokens)."""
        tokens = ops.sum(self._patch_pixels(x) * self.place_values, -1)
        return ops.take(tokens, self.order, axis=1)

    def to_levels(self, tokens: Tensor) -> Tensor:
        """The inverse of `from_levels`."""
        return self._images(ops.take(self.pixels, tokens, axis=0))

    def mean_levels(self, probabilities: Tensor) -> Tensor:
        """Images of mean levels, from the probabilities (n, tokens, values)."""
        return self._images(ops.matmul(probabilities, self.pixels.astype("float32")))

    def _images(self, x):
        """(n, tokens, pixels of a patch) as images (n, h, w, c)."""
        rows, columns, c = self.grid
        x = ops.take(x, np.argsort(self.order), axis=1)
        x = ops.reshape(x, (-1, rows, columns, c, self.pixels.shape[1]))
        x = ops.transpose(x, (0, 1, 2, 4, 3))
        x = ops.reshape(x, (-1, rows, columns, self.pixels.shape[1] * c))
        return patches_to_images(x, self.patch_size)

    def given(
        self, x: np.ndarray, visible: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What is known of each token when only some pixels of images are.

        Args:
            x: Integer images (n, h, w, c), each pixel a level.
            visible: Boolean array (1 or n, h, w, 1).

        Returns:
            Two NumPy arrays (n, tokens, pixels of a patch): levels and visibility.

        Raises:
            ValueError: If a pixel is visible after a token that is not wholly visible.
        """
        shown = np.broadcast_to(visible, x.shape).astype("int32")
        levels, shown = (
            ops.convert_to_numpy(self._patch_pixels(a))[:, self.order]
            for a in (x, shown)
        )
        shown = shown.astype(bool)
        whole = np.logical_and.accumulate(shown.all(axis=-1), axis=1)
        allowed = np.pad(whole[:, :-1], ((0, 0), (1, 0)), constant_values=True)
        wrong = np.argwhere(shown.any(axis=-1) & ~allowed)
        if len(wrong):
            image, step = wrong[0]
            row, column, _ = np.unravel_index(self.order[step], self.grid)
            raise ValueError(
                "Expected all visible pixels before all hidden ones in the order of "
                f"tokens. Received: in image {image}, the patch in row {row}, column "
                f"{column} has visible pixels after hidden ones"
            )
        return levels, shown

    def _patch_pixels(self, x):
        """Images (n, h, w, c) as (n, tokens on the grid, pixels of a patch)."""
        _, _, c = self.grid
        x = images_to_patches(x, self.patch_size)
        x = ops.reshape(x, (-1, *self.grid[:2], self.pixels.shape[1], c))
        x = ops.transpose(x, (0, 1, 2, 4, 3))
        return ops.reshape(x, (-1, self.num_tokens, self.pixels.shape[1]))


def _places(rows, columns, c, order):
    """See `ImageTokens.order`."""
    places = np.arange(rows * columns * c).reshape(rows * columns, c)
    if order == "coarse_to_fine":
        row, column = np.indices((rows, columns)).reshape(2, -1)
        both = row | column
        # The largest power of 2 that divides both; the corner comes before all.
        power = np.where(both == 0, rows * columns, both & -both)
        places = places[np.argsort(-power, kind="stable")]
    return places.reshape(-1)


def _neighbors(rows, columns, c, order):
    """See `ImageTokens.neighbors`."""
    numbers = np.empty(len(order), "int32")
    numbers[order] = np.arange(1, len(order) + 1)
    grid = numbers.reshape(rows, columns, c)
    # A frame of zeros for those that lie outside.
    framed = np.pad(grid, ((1, 0), (1, 1), (0, 0)))
    around = [
        framed[1:, :-2],
        framed[:-1, :-2],
        framed[:-1, 1:-1],
        framed[:-1, 2:],
    ]
    found = np.stack([grid - 1, *around], axis=-1)
    found = np.where(found < grid[..., None], found, 0)
    return found.reshape(-1, 5)[order]
