"""Images as sequences of tokens, and back."""

import math
from typing import Literal

import numpy as np
from keras import ops

from tfattn._checks import check_choice, check_integer, check_patch_size, check_tiled
from tfattn._typing import Tensor

ORDERS = ("raster", "coarse_to_fine")
MOST_VALUES = 4096


class ImageTokens:
    """How an image of few levels is cut into a sequence of tokens.

    A token is one channel of a few pixels. Its value is the number whose digits, in
    base `levels`, are these pixels, row by row. The channels follow each other.

    * `"raster"`: the pixels of a patch, patches row by row.
    * `"coarse_to_fine"`: an image is made coarser by taking every patch_h-th row and
      every patch_w-th column, as often as its sizes can be divided. First come the
      pixels of the coarsest image, one to a token. Then, for each finer image, row by
      row, a token holds the pixels of a patch but the first one, which the coarser
      image shows already.

    With patches of 2×2, an image of 28×28 has in order coarse to fine 7·7 tokens of one
    pixel, then 7·7 of three pixels, which make 14×14, then 14·14 of three pixels.

    Args:
        image_shape: (h, w, c).
        levels: Number of levels of a pixel; at most 4096 values of a token.
        patch_size: (patch_h, patch_w), which divide h and w; of more than one pixel in
            order coarse to fine.
        order: `"raster"` or `"coarse_to_fine"`.

    Attributes:
        num_tokens: Number of tokens of an image.
        num_values: Number of values of a token.
        grid: The sizes of a grid in which each token has a place: (rows, columns, c) of
            the image's patches, or in order coarse to fine (images, rows, columns, c),
            with the patch of the image in which the first pixel of the token's own
            patch lies.
        order: Place in the grid, flattened, of each token of the sequence, (tokens,).
        pixels: Pixels of each value of a token, (values, pixels of a token).
        parts: What others read of a token of each value, (1 + values, parts): the value
            itself or, in order coarse to fine, its pixels. The last row is that of a
            token that does not exist.
        no_part: The number in that row.
        neighbors: For each token of the sequence the numbers of what it reads of those
            before it, (tokens, k). Number i·parts + j is part j of token i, counted
            from 1; 0 stands for what does not exist or comes later. In raster order:
            the token before it, and those to the left, above to the left, above, and
            above to the right of it in its own channel. In order coarse to fine: the
            pixels of the token before it, and in its own channel those pixels of its
            image, coarser ones among them, that lie in its patch or next to it.
        possible: Whether a token can have a value, (tokens, values); `None` if all can.
        steps: Rows and columns from pixel to pixel in each of the images, the coarsest
            first; the last is the image itself, (1, 1).

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
        check_choice("order", order, ORDERS)
        patch_h, patch_w = patch_size
        self.image_shape = tuple(image_shape)
        self.patch_size = (patch_h, patch_w)
        num_pixels = patch_h * patch_w - (order == "coarse_to_fine")
        if num_pixels < 1:
            raise ValueError(
                "Expected a patch_size of more than one pixel in order coarse_to_fine, "
                f"the factor between two images. Received: {tuple(patch_size)}"
            )
        self.num_values = levels**num_pixels
        if self.num_values > MOST_VALUES:
            raise ValueError(
                f"Expected at most {MOST_VALUES} values of a token. Received: {levels} "
                f"levels and {num_pixels} pixels, {levels}^{num_pixels} values"
            )
        powers = np.arange(num_pixels - 1, -1, -1, dtype="int32")
        self.place_values = np.int32(levels) ** powers
        values = np.arange(self.num_values)[:, None]
        self.pixels = (values // self.place_values % levels).astype("int32")
        if order == "raster":
            self._cut_in_rows()
        else:
            self._cut_coarse_to_fine(levels)
        # Which pixels of tokens exist, and where each one of an image is among them.
        self._exist = self._numbers < math.prod(self.image_shape)
        self._places = np.empty(math.prod(self.image_shape), "int32")
        self._places[self._numbers[self._exist]] = np.flatnonzero(self._exist)

    def _cut_in_rows(self):
        h, w, c = self.image_shape
        patch_h, patch_w = self.patch_size
        self.grid = (h // patch_h, w // patch_w, c)
        self.num_tokens = math.prod(self.grid)
        self.order = np.arange(self.num_tokens)
        numbers = np.arange(h * w * c).reshape(h, w, c)
        self._numbers = _patches(numbers, self.patch_size)
        self.possible = None
        self.steps = [(1, 1)]
        self.no_part = self.num_values
        self.parts = np.arange(1 + self.num_values, dtype="int32")[:, None]
        self.neighbors = _neighbors_in_rows(self.grid)

    def _cut_coarse_to_fine(self, levels):
        h, w, c = self.image_shape
        patch_h, patch_w = self.patch_size
        down, right, self.steps = 1, 1, [(1, 1)]
        while h % (down * patch_h) == 0 and w % (right * patch_w) == 0:
            down, right = down * patch_h, right * patch_w
            self.steps.insert(0, (down, right))
        self.grid = (len(self.steps), h // patch_h, w // patch_w, c)
        numbers = np.arange(h * w * c).reshape(h, w, c)
        coarsest = numbers[::down, ::right].reshape(-1)
        # A single pixel is the last digit; the others do not exist, and are 0.
        single = np.full((len(coarsest), self.pixels.shape[1]), h * w * c)
        single[:, -1] = coarsest
        of_tokens, corners = [single], [coarsest]
        for down, right in self.steps[1:]:
            patches = _patches(numbers[::down, ::right], self.patch_size)
            of_tokens.append(patches[:, 1:])
            corners.append(patches[:, 0])
        image = np.repeat(np.arange(len(corners)), [len(k) for k in corners])
        row, column, channel = np.unravel_index(np.concatenate(corners), (h, w, c))
        self.order = np.ravel_multi_index(
            (image, row // patch_h, column // patch_w, channel), self.grid
        )
        self._numbers = np.concatenate(of_tokens)
        self.num_tokens = len(self.order)
        self.possible = np.ones((self.num_tokens, self.num_values), bool)
        self.possible[: len(coarsest), levels:] = False
        self.no_part = levels
        none = np.full((1, self.pixels.shape[1]), levels, "int32")
        self.parts = np.concatenate([self.pixels, none])
        steps = np.array(self.steps)[image]
        self.neighbors = self._neighboring_pixels(row, column, channel, steps)

    def _neighboring_pixels(self, row, column, channel, steps):
        """See `neighbors`; of each token the first pixel of its patch, and the rows and
        columns from pixel to pixel, (tokens, 2)."""
        h, w, c = self.image_shape
        num_parts = self.parts.shape[1]
        token = np.arange(self.num_tokens)
        # The parts of the token that does not exist come first.
        part = np.empty(h * w * c + 1, "int32")
        part[self._numbers] = num_parts + np.arange(self._numbers.size).reshape(
            self._numbers.shape
        )
        found = list((token[:, None] * num_parts + np.arange(num_parts)).T)
        for down in range(-1, self.patch_size[0] + 1):
            for right in range(-1, self.patch_size[1] + 1):
                r, k = row + down * steps[:, 0], column + right * steps[:, 1]
                inside = (r >= 0) & (r < h) & (k >= 0) & (k < w)
                number = (np.clip(r, 0, h - 1) * w + np.clip(k, 0, w - 1)) * c + channel
                numbers = part[number]
                known = inside & (numbers // num_parts - 1 < token)
                if known.any():
                    found.append(np.where(known, numbers, 0))
        return np.stack(found, axis=1).astype("int32")

    def from_levels(self, x: Tensor) -> Tensor:
        """Integer images (n, h, w, c), each pixel a level, to tokens (n, tokens)."""
        return ops.sum(self._token_pixels(x) * self.place_values, -1)

    def to_levels(self, tokens: Tensor) -> Tensor:
        """The inverse of `from_levels`."""
        return self._images(ops.take(self.pixels, tokens, axis=0))

    def mean_levels(self, probabilities: Tensor) -> Tensor:
        """Images of mean levels, from the probabilities (n, tokens, values)."""
        return self._images(ops.matmul(probabilities, self.pixels.astype("float32")))

    def given(
        self, x: np.ndarray, visible: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What is known of each token when only some pixels of images are.

        Args:
            x: Integer images (n, h, w, c), each pixel a level.
            visible: Boolean array (1 or n, h, w, 1).

        Returns:
            Two NumPy arrays (n, tokens, pixels of a token): levels and visibility.
            Pixels that a token lacks are visible, and 0.

        Raises:
            ValueError: If a pixel is visible after a token that is not wholly visible.
        """
        hidden = 1 - np.broadcast_to(visible, x.shape).astype("int32")
        levels, hidden = (
            ops.convert_to_numpy(self._token_pixels(a)) for a in (x, hidden)
        )
        shown = hidden == 0
        whole = np.logical_and.accumulate(shown.all(axis=-1), axis=1)
        allowed = np.pad(whole[:, :-1], ((0, 0), (1, 0)), constant_values=True)
        wrong = np.argwhere((shown & self._exist).any(axis=-1) & ~allowed)
        if len(wrong):
            image, step = wrong[0]
            *_, row, column, _ = np.unravel_index(self.order[step], self.grid)
            pixel = (int(row) * self.patch_size[0], int(column) * self.patch_size[1])
            raise ValueError(
                "Expected all visible pixels before all hidden ones in the order of "
                f"tokens. Received: in image {image}, the patch at pixel {pixel} has "
                "visible pixels after hidden ones"
            )
        return levels, shown

    def to_pixels(self, values: np.ndarray) -> np.ndarray:
        """A number of each token, (..., tokens), as that of its pixels, (..., h, w),
        averaged over channels."""
        token = (self._places // self.pixels.shape[1]).reshape(self.image_shape)
        found = np.zeros((*values.shape[:-1], *self.image_shape[:2]), values.dtype)
        for of_channel in np.moveaxis(token, -1, 0):  # one by one, to save memory
            found += values[..., of_channel]
        return found / self.image_shape[2]

    def maps_of_images(self, maps: np.ndarray) -> np.ndarray:
        """Attention maps over tokens as maps over pixels.

        Args:
            maps: Array (n, tokens, tokens), a row for each token that attends.

        Returns:
            NumPy array (n, h, w, h, w): for each pixel the map of its token, averaged
            over channels, in which the pixels of a token share its weight.
        """
        sizes = self._exist.sum(axis=1).astype(maps.dtype)
        keys = self.image_shape[2] * self.to_pixels(maps / sizes)  # (n, tokens, h, w)
        return self.to_pixels(keys.transpose(0, 2, 3, 1)).transpose(0, 3, 4, 1, 2)

    def _token_pixels(self, x):
        """Images (n, h, w, c) as (n, tokens, pixels of a token)."""
        flat = ops.reshape(x, (-1, math.prod(self.image_shape)))
        # One pixel more, for those that do not exist.
        return ops.take(ops.pad(flat, ((0, 0), (0, 1))), self._numbers, axis=1)

    def _images(self, x):
        """(n, tokens, pixels of a token) as images (n, h, w, c)."""
        flat = ops.reshape(x, (-1, self._numbers.size))
        return ops.reshape(
            ops.take(flat, self._places, axis=1), (-1, *self.image_shape)
        )


def _patches(numbers, patch_size):
    """(h, w, c) as (rows · columns · c, pixels of a patch)."""
    h, w, c = numbers.shape
    patch_h, patch_w = patch_size
    cut = numbers.reshape(h // patch_h, patch_h, w // patch_w, patch_w, c)
    return cut.transpose(0, 2, 4, 1, 3).reshape(-1, patch_h * patch_w)


def _neighbors_in_rows(grid):
    """See `ImageTokens.neighbors`."""
    numbers = np.arange(1, math.prod(grid) + 1, dtype="int32").reshape(grid)
    # A frame of zeros for those that lie outside.
    framed = np.pad(numbers, ((1, 0), (1, 1), (0, 0)))
    around = [framed[1:, :-2], framed[:-1, :-2], framed[:-1, 1:-1], framed[:-1, 2:]]
    return np.stack([numbers - 1, *around], axis=-1).reshape(-1, 5)
