"""What a variational autoencoder says about images: bounds on their log-likelihood."""

import functools

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import check_integer
from tfattn.densities import gaussian_log_density, gaussian_sample
from tfattn.models.compiling import compiled
from tfattn.models.generative import GenerativeModel
from tfattn.models.importance_weighting import bounds


class VAEBounds(GenerativeModel):
    """The part of `AttentionVAE` that measures images."""

    @functools.cached_property
    def _compiled_log_weights(self):
        return compiled(self, self._log_weights)

    def elbo(
        self,
        x: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        num_samples: int = 1,
        seed: int = 0,
        batch_size: int = 500,
    ) -> np.ndarray:
        """Evidence lower bound of images.

        Args:
            x: Images (n, h, w, c), binary with two levels, otherwise in [0, 1] and
                rounded to the model's levels.
            condition: Classes (n,), for a model with classes.
            num_samples: Draws of z averaged over for each image.
            seed: Integer seed of the draws.
            batch_size: Images decoded at once.

        Returns:
            NumPy array (n,), nats per image.

        Raises:
            ValueError: If x is not of the model's size, or with two levels not binary.
        """
        bound, _ = self._score(x, condition, num_samples, seed, batch_size)
        return bound

    def log_likelihood_bound(
        self,
        x: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        num_samples: int = 5000,
        seed: int = 0,
        batch_size: int = 500,
    ) -> np.ndarray:
        """Importance-weighted bound on log p(x), Burda et al., equation 8.

            L_K = log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x),   z_k drawn from q(z|x)

        L_1 is the evidence lower bound; L_K rises with K toward log p(x). Memory
        does not grow with K: the sum is kept as a running log-sum-exp. Arguments,
        result and errors are those of `elbo`, with K = `num_samples`.
        """
        _, bound = self._score(x, condition, num_samples, seed, batch_size)
        return bound

    def _score(self, x, condition, num_samples, seed, batch_size):
        """Mean and log-mean-exp of the log weights of `num_samples` draws."""
        x = self._distribution.checked(x, self.image_shape)
        num_samples = check_integer("num_samples", num_samples, least=1)
        return bounds(
            self._compiled_log_weights,
            self.encoder,
            x,
            self._condition(condition, len(x)),
            num_samples,
            seed,
            batch_size,
        )

    def _log_weights(self, x, condition, mean, log_variance, noise):
        """log p(x|z) + log p(z) − log q(z|x) at the draws of z that `noise`
        (draws, n, latent_dim) gives: (draws, n)."""
        draws, n, _ = ops.shape(noise)
        z = gaussian_sample(mean, log_variance, noise)  # (draws, n, latent_dim)
        z = ops.reshape(z, (draws * n, self.latent_dim))
        condition = [ops.tile(c, (draws, 1)) for c in condition]
        pixels = self._pixels(z, condition)
        pixels = ops.reshape(pixels, (draws, n, *pixels.shape[1:]))
        log_prior = ops.reshape(self.prior(z, *condition)[1], (draws, n))
        return (
            self._distribution.log_density(x, pixels)
            + log_prior
            - gaussian_log_density(noise, log_variance)
        )
