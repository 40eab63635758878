"""What an image Transformer draws: whole images, and the hidden parts of others."""

import functools
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import (
    check_above_0,
    check_integer,
    checked_images,
    checked_seed,
    checked_visible,
)
from tfattn.models.compiling import compiled
from tfattn.models.generative import GenerativeModel
from tfattn.models.transformer.sampling import batches


class TransformerDrawing(GenerativeModel):
    """The part of `ImageTransformer` that draws images."""

    @functools.cached_property
    def _draw_with_cache(self):
        return compiled(self, self.network.draw, jit_compile=True)

    @functools.cached_property
    def _draw_without_cache(self):
        return compiled(self, self.network.draw_without_cache, jit_compile=True)

    def generate(
        self,
        n: int,
        condition: Sequence[str] | ArrayLike | None = None,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
        use_cache: bool = True,
        batch_size: int = 64,
    ) -> np.ndarray:
        """Generates images, token by token.

        Args:
            n: Number of images.
            condition: Classes (n,), texts (n) or images (n, h, w, condition_channels)
                in [0, 1], for a model with a condition.
            temperature: Divides the logits: below 1 likely images become likelier.
            seed: Integer; the same seed gives the same images, also without the cache
                up to rounding.
            use_cache: Whether keys and values of earlier tokens are kept, or the whole
                sequence is computed again for each token.
            batch_size: Images at once, at most. Smaller numbers are rounded up to a
                power of 4, because each number is compiled anew.

        Returns:
            NumPy array (n, h, w, c) in [0, 1].

        Raises:
            ValueError: For a condition that does not fit the model, or a temperature
                that is not above 0.
        """
        n = check_integer("n", n, least=1)
        encoded = self._condition(condition, n)
        return self._draw_images(
            n, encoded, [], temperature, seed, use_cache, batch_size
        )

    def complete(
        self,
        images: ArrayLike,
        visible: ArrayLike,
        *,
        condition: Sequence[str] | ArrayLike | None = None,
        num_samples: int = 1,
        temperature: float = 1.0,
        seed: int | None = None,
        batch_size: int = 64,
    ) -> np.ndarray:
        """Samples the hidden pixels of images from the model, given the visible ones.

        The samples are exact where all visible pixels precede all hidden ones in the
        model's order of tokens; within the one token where both meet, any may be
        visible. In raster order these are the upper rows of an image. In order coarse
        to fine they are a coarse image: with patches of 2×2, every second pixel in both
        directions or, where both sizes are divisible by 4, 8, …, every fourth, eighth,
        … one. Other sets raise `ValueError`, because the model cannot sample a pixel
        given one that comes later.

        Args:
            images: Images (n, h, w, c) in [0, 1], each pixel one of the model's levels.
                Hidden pixels are ignored.
            visible: Boolean (h, w) or (n, h, w), the same for all channels.
            condition: Classes (n,), texts (n) or images (n, h, w, condition_channels)
                in [0, 1], for a model with a condition.
            num_samples: Number of completions of each image.
            temperature, seed, batch_size: As in `generate`.

        Returns:
            NumPy array (n, num_samples, h, w, c) in [0, 1].

        Raises:
            ValueError: For `visible` of another shape, or a set that the order of
                tokens does not allow.
        """
        num_samples = check_integer("num_samples", num_samples, least=1)
        images = checked_images(images, self.image_shape)
        n = len(images)
        visible = checked_visible(visible, n, self.image_shape)
        levels = self._checked_levels(np.where(visible, images, 0))
        given = self.tokens.given(levels, visible)
        given, encoded = (
            [np.repeat(a, num_samples, axis=0) for a in arrays]
            for arrays in (given, self._condition(condition, n))
        )
        drawn = self._draw_images(
            n * num_samples, encoded, given, temperature, seed, True, batch_size
        )
        return drawn.reshape(n, num_samples, *self.image_shape)

    def _draw_images(
        self, n, condition, given, temperature, seed, use_cache, batch_size
    ):
        """Images (n, h, w, c); `given` is empty, or what `draw_tokens` takes."""
        check_above_0("temperature", temperature)
        # One uniform number for each token, whichever way its logits are computed.
        uniform = ops.convert_to_numpy(
            keras.random.uniform((n, self.tokens.num_tokens), seed=checked_seed(seed))
        )
        draw = self._draw_with_cache if use_cache else self._draw_without_cache
        temperature = ops.convert_to_tensor(temperature, "float32")
        images = []
        for part in batches([uniform, *given, *condition], n, batch_size):
            numbers, known = part[0], part[1 : 1 + len(given)]
            tokens = draw(numbers, temperature, known or None, *part[1 + len(given) :])
            images.append(ops.convert_to_numpy(self.tokens.to_levels(tokens)))
        return (np.concatenate(images)[:n] / (self.levels - 1)).astype("float32")
