"""Bounds on the log-likelihood of hidden pixels, given the visible ones."""

import functools

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import check_integer, checked_images, checked_partly_visible
from tfattn._typing import Tensor
from tfattn.densities import gaussian_log_density, gaussian_sample
from tfattn.models.compiling import compiled
from tfattn.models.completion.adversarial import AdversarialCompletion
from tfattn.models.importance_weighting import bounds


class CompletionBounds(AdversarialCompletion):
    """The part of `CompletionVAE` that measures images."""

    @functools.cached_property
    def _compiled_log_weights(self):
        return compiled(self, self._log_weights)

    def elbo(
        self,
        images: ArrayLike,
        visible: ArrayLike,
        *,
        num_samples: int = 1,
        seed: int = 0,
        batch_size: int = 160,
    ) -> np.ndarray:
        """Evidence lower bound on log p(hidden | visible), one value for each image.

        Args:
            images: Images (n, h, w, c) in [0, 1].
            visible: As for `complete`.
            num_samples: Draws of z averaged over for each image.
            seed: Integer seed of the draws.
            batch_size: Images decoded at once.

        Returns:
            NumPy array (n,), nats per image, of pixels rounded to `levels` levels.

        Raises:
            ValueError: As for `complete`.
        """
        return self._bounds(images, visible, num_samples, seed, batch_size)[0]

    def log_likelihood_bound(
        self,
        images: ArrayLike,
        visible: ArrayLike,
        *,
        num_samples: int = 1000,
        seed: int = 0,
        batch_size: int = 160,
    ) -> np.ndarray:
        """Importance-weighted bound on log p(hidden | visible), otherwise as `elbo`.

        It rises with `num_samples` toward the log-likelihood, see
        `AttentionVAE.log_likelihood_bound`.
        """
        return self._bounds(images, visible, num_samples, seed, batch_size)[1]

    def _checked_pair(self, images, visible) -> tuple[np.ndarray, np.ndarray]:
        """Images, and their mask (n, h, w, 1) of zeros and ones, as float32 arrays."""
        images = checked_images(images, self.image_shape)
        visible = checked_partly_visible(visible, len(images), self.image_shape)
        return images, visible.astype("float32")

    def _bounds(self, images, visible, num_samples, seed, batch_size):
        num_samples = check_integer("num_samples", num_samples, least=1)
        images, visible = self._checked_pair(images, visible)
        return bounds(
            self._compiled_log_weights,
            self.posterior,
            np.rint((self.levels - 1) * images) / np.float32(self.levels - 1),
            [ops.convert_to_tensor(visible)],
            num_samples,
            seed,
            batch_size,
        )

    def _log_weights(self, x, condition, mean, log_variance, noise):
        """log p(hidden|z, v, m) + log p(z|v, m) − log q(z|x, m) at the draws of z that
        `noise` (draws, n, latent_dim) gives: (draws, n)."""
        (visible,) = condition
        draws, n, _ = ops.shape(noise)
        p_mean, p_log_variance, *features = self.prior([x * visible, visible])
        z = gaussian_sample(mean, log_variance, noise)  # (draws, n, latent_dim)
        pixels = self._pixels(
            ops.reshape(z, (-1, self.latent_dim)),
            [ops.tile(f, (draws, *[1] * (len(f.shape) - 1))) for f in features],
        )
        pixels = [ops.reshape(p, (draws, n, *self.image_shape)) for p in pixels]
        return (
            self._hidden_log_density(x, visible, pixels)
            + gaussian_log_density_at(z, p_mean, p_log_variance)
            - gaussian_log_density(noise, log_variance)
        )


def gaussian_log_density_at(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; mean, diag(exp(log_variance))), summed over the last axis."""
    noise = (z - mean) * ops.exp(-0.5 * log_variance)
    return gaussian_log_density(noise, log_variance)
