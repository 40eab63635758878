"""What a variational autoencoder draws: codes of images, and images of codes."""

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import check_above_0, check_integer, checked_images, checked_seed
from tfattn._typing import Tensor
from tfattn.models.attention import check_has_map
from tfattn.models.base import IMAGES_AT_ONCE
from tfattn.models.vae.bounds import VAEBounds
from tfattn.models.vae.control import NO_CONTROL, AttentionControl

CONTROLLABLE = ("self", "module")


class VAEDrawing(VAEBounds):
    """The part of `AttentionVAE` that encodes, decodes and generates images."""

    def encode(
        self, x: ArrayLike, condition: ArrayLike | None = None
    ) -> tuple[Tensor, Tensor]:
        """Parameters of q(z|x).

        Args:
            x: Images (n, h, w, c) in [0, 1].
            condition: Classes (n,), for a model with classes.

        Returns:
            `mean` and `log_variance`, each (n, latent_dim).
        """
        x = checked_images(x, self.image_shape)
        encoded = self._condition(condition, len(x))
        return self.encoder([ops.convert_to_tensor(x), *encoded])

    def decode(
        self,
        z: Tensor,
        condition: ArrayLike | None = None,
        *,
        control: AttentionControl = NO_CONTROL,
    ) -> Tensor:
        """Parameters of each pixel's distribution.

        Args:
            z: Latents (n, latent_dim).
            condition: Classes (n,), for a model with classes.
            control: Changes to the decoder's attention, see `AttentionControl`.

        Returns:
            With two levels the logits of white (n, h, w, c), otherwise the parameters
            (n, h, w, num_parameters) of `tfattn.models.pixels.LevelPixels`.
        """
        z, encoded, changes = self._checked_latents(z, condition, control)
        return self._pixels(z, encoded, **changes)

    def _checked_latents(self, z, condition, control):
        """Latents, their encoded condition and the changes to the attention."""
        if len(z.shape) != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(
                f"Expected latents of shape (n, {self.latent_dim}). "
                f"Received: z of shape {tuple(z.shape)}"
            )
        z = ops.convert_to_tensor(z, dtype="float32")
        encoded = self._condition(condition, z.shape[0])
        if control is NO_CONTROL:
            return z, encoded, {}
        if self.attention not in CONTROLLABLE:
            raise ValueError(
                f"Attention can be controlled in models with attention in "
                f"{CONTROLLABLE}. Received: a model with attention={self.attention!r}"
            )
        step = 4 if self.attention == "self" else 2
        expected = tuple(size // step for size in self.image_shape[:2])
        if control.key_mask is not None and np.shape(control.key_mask) != expected:
            raise ValueError(
                f"Expected a key_mask of shape {expected}. "
                f"Received: key_mask of shape {np.shape(control.key_mask)}"
            )
        return z, encoded, control._asdict()

    def sample_latents(
        self,
        n: int,
        condition: ArrayLike | None = None,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Tensor:
        """Samples n latents from the prior p(z): (n, latent_dim).

        Args:
            n: Number of latent vectors.
            condition: Classes (n,), for a model with classes.
            temperature: Factor on the noise that the prior's flow turns into latents.
            seed: Integer; the same seed gives the same latents.
        """
        n = check_integer("n", n, least=1)
        check_above_0("temperature", temperature)
        noise = keras.random.normal((n, self.latent_dim), seed=checked_seed(seed))
        return self.prior.inverse(temperature * noise, *self._condition(condition, n))

    def generate(
        self,
        n: int,
        condition: ArrayLike | None = None,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
        control: AttentionControl = NO_CONTROL,
    ) -> np.ndarray:
        """Generates images.

        Args:
            n: Number of images.
            condition: Classes (n,), for a model with classes.
            temperature: As in `sample_latents`. Below 1 images are more typical and
                vary less.
            seed: Integer; the same seed gives the same images.
            control: As in `decode`.

        Returns:
            NumPy array (n, h, w, c) of the mean of each pixel in [0, 1], with two
            levels the probability of white; the noise of single pixels is not sampled.

        Raises:
            ValueError: For a condition that does not fit the model, or a temperature
                that is not above 0.
        """
        z = self.sample_latents(n, condition, temperature=temperature, seed=seed)
        return self._images(z, condition, control)

    def reconstruct(
        self,
        x: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        control: AttentionControl = NO_CONTROL,
    ) -> np.ndarray:
        """Decodes the mean of q(z|x): NumPy array of each pixel's mean, like x."""
        mean, _ = self.encode(x, condition)
        return self._images(mean, condition, control)

    def _images(self, z, condition, control=NO_CONTROL):
        z, encoded, changes = self._checked_latents(z, condition, control)

        def mean(z, *encoded):
            return self._distribution.expected(self._pixels(z, encoded, **changes))

        return self._in_batches(mean, IMAGES_AT_ONCE, z, *encoded)

    def interpolate(
        self,
        x_from: ArrayLike,
        x_to: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        num_steps: int,
    ) -> np.ndarray:
        """Walks from one image to another.

        The path is straight where the prior is a standard normal, that is after the
        flow, so that it keeps to places that the prior knows.

        Args:
            x_from: Images (n, h, w, c) in [0, 1].
            x_to: Images of the same shape.
            condition: Classes (n,) of both ends, for a model with classes.
            num_steps: Number of images on each path, both ends included.

        Returns:
            NumPy array (n, num_steps, h, w, c) of the mean of each pixel.
        """
        num_steps = check_integer("num_steps", num_steps, least=2)
        encoded = self._condition(condition, np.shape(x_from)[0])
        start, end = (
            self.prior(self.encode(x, condition)[0], *encoded)[0]
            for x in (x_from, x_to)
        )
        steps = []
        for t in np.linspace(0.0, 1.0, num_steps):
            z = self.prior.inverse((1 - t) * start + t * end, *encoded)
            steps.append(self._images(z, condition))
        return np.stack(steps, axis=1)

    def attention_maps(
        self, x: ArrayLike, condition: ArrayLike | None = None
    ) -> np.ndarray:
        """The decoder's attention map while it reconstructs images.

        Args:
            x: Images (n, h, w, c) in [0, 1].
            condition: Classes (n,), for a model with classes.

        Returns:
            NumPy array: for `attention="self"` (n, h/2, w/2, h/4, w/4), whose last
            two axes sum to 1; for `"module"` (n, h/2, w/2, width), whose positions
            sum to 1.

        Raises:
            ValueError: If the model has no map.
        """
        check_has_map(self.attention, CONTROLLABLE)
        mean, _ = self.encode(x, condition)
        encoded = self._condition(condition, mean.shape[0])
        features = self.decoder_features([mean, *encoded])
        _, maps = self.decoder_attention(features, return_attention_scores=True)
        return ops.convert_to_numpy(maps)
