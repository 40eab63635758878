"""What a completion model draws for the hidden part of images."""

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import check_above_0, check_integer, checked_seed
from tfattn._typing import Tensor
from tfattn.densities import gaussian_sample
from tfattn.models.completion.bounds import CompletionBounds


class CompletionDrawing(CompletionBounds):
    """The part of `CompletionVAE` that completes images."""

    def complete(
        self,
        images: ArrayLike,
        visible: ArrayLike,
        *,
        num_samples: int = 1,
        temperature: float = 1.0,
        seed: int | None = None,
        batch_size: int = 160,
    ) -> np.ndarray:
        """Samples the hidden pixels of images.

        A completion holds each pixel's mean level at a drawn z, with two levels the
        probability of white; the noise of single pixels is not sampled.

        Args:
            images: Images (n, h, w, c) in [0, 1]; hidden pixels are ignored.
            visible: Boolean array (h, w) or (n, h, w), `True` where a pixel is known;
                each image needs both kinds.
            num_samples: Completions of each image.
            temperature: Factor on the standard deviation of z.
            seed: Integer; the same seed gives the same completions.
            batch_size: Completions computed at once.

        Returns:
            NumPy array (n, num_samples, h, w, c) in [0, 1]; visible pixels are those
            of `images`, bit by bit.

        Raises:
            ValueError: For images of another shape, with NaN or outside [0, 1], a
                mask of another shape or type, or one that is all visible or all
                hidden.
        """
        num_samples = check_integer("num_samples", num_samples, least=1)
        check_above_0("temperature", temperature)
        images, visible = self._checked_pair(images, visible)
        noise = temperature * keras.random.normal(
            (len(images), num_samples, self.latent_dim), seed=checked_seed(seed)
        )

        def latents(part, mean, log_variance):
            return gaussian_sample(mean[:, None], log_variance[:, None], noise[part])

        return self._completions(images, visible, num_samples, latents, batch_size)

    def complete_from(
        self,
        z: Tensor,
        images: ArrayLike,
        visible: ArrayLike,
        *,
        batch_size: int = 160,
    ) -> np.ndarray:
        """Completions at given latents.

        Args:
            z: Latents (n, num_samples, latent_dim).
            images: As for `complete`.
            visible: As for `complete`.
            batch_size: As for `complete`.

        Returns:
            As for `complete`.

        Raises:
            ValueError: As for `complete`, and for latents of another shape.
        """
        images, visible = self._checked_pair(images, visible)
        z = ops.convert_to_tensor(z, "float32")
        if len(z.shape) != 3 or (z.shape[0], z.shape[2]) != (
            len(images),
            self.latent_dim,
        ):
            raise ValueError(
                f"Expected latents of shape ({len(images)}, num_samples, "
                f"{self.latent_dim}). Received: z of shape {tuple(z.shape)}"
            )

        def given(part, mean, log_variance):
            return z[part]

        return self._completions(images, visible, z.shape[1], given, batch_size)

    def _completions(self, images, visible, num_samples, latents, batch_size):
        """Completions at the z (n, num_samples, latent_dim) that the function `latents`
        of a slice of the images, and of mean and log-variance there, returns."""
        batch_size = check_integer("batch_size", batch_size, least=1)
        step = max(1, batch_size // num_samples)
        completions = np.empty((len(images), num_samples, *self.image_shape), "float32")
        for start in range(0, len(images), step):
            part = slice(start, start + step)
            mean, log_variance, *features = self._encode_visible(
                images[part], visible[part]
            )
            z = latents(part, mean, log_variance)
            pixels = self._pixels(
                ops.reshape(z, (-1, self.latent_dim)),
                [ops.repeat(feature, num_samples, axis=0) for feature in features],
            )
            completions[part] = ops.convert_to_numpy(self._expected(pixels)).reshape(
                completions[part].shape
            )
        return np.where(visible[:, None] == 1, images[:, None], completions)
