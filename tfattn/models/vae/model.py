"""A variational autoencoder with attention."""

import keras
import numpy as np
from keras import ops

from tfattn._checks import check_integer, checked_binary_images, checked_images
from tfattn.densities import bernoulli_log_density, gaussian_log_density
from tfattn.layers import CouplingFlow
from tfattn.models.base import ConditionalImageModel
from tfattn.models.compiling import compiled
from tfattn.models.importance_weighting import bounds
from tfattn.models.vae.control import NO_CONTROL
from tfattn.models.vae.networks import (
    ATTENTION_LAYERS,
    build_decoder_features,
    build_decoder_image,
    build_encoder,
)

CONTROLLABLE = ("self", "module")


@keras.saving.register_keras_serializable(package="tfattn")
class AttentionVAE(ConditionalImageModel):
    """Convolutional variational autoencoder with attention in encoder and decoder.

    With x a binary image, z its latent vector and y an optional class:

    1. encoder: q(z|x) = N(mean, diag(exp(log_variance))), from residual blocks at
       (h/2, w/2) and (h/4, w/4) and attention at the latter
    2. z = mean + exp(log_variance / 2) ⊙ ε, with ε standard normal
    3. decoder: p(x|z) = Bernoulli(sigmoid(logits)) for each pixel, from residual
       blocks at (h/4, w/4) and (h/2, w/2) and attention at the latter, its keys
       pooled 2×2
    4. prior: p(z), a `CouplingFlow`; the standard normal with `num_flow_layers=0`
    5. evidence lower bound = log p(x|z) + log p(z) − log q(z|x) ≤ log p(x), summed
       over pixels and latents, in nats per image

    Training maximises the bound by plain `fit(x)`, or `fit((x, labels))` with
    classes. Grey levels in [0, 1] are read as probabilities and drawn anew in each
    step (dynamic binarisation); binary images are left as they are.

    Source: Kingma & Welling, *Auto-Encoding Variational Bayes*, arXiv:1312.6114,
    equation 10; Burda et al., *Importance Weighted Autoencoders*, arXiv:1509.00519,
    equation 8.

    Args:
        image_shape: (h, w, c), h and w divisible by 4.
        latent_dim: Number of latents, at least 2.
        attention: `"self"` (`SelfAttention2D`), `"module"` (`AttentionModule` over
            positions), or a control: `"residual"` and `"uniform"`, of the same
            number of parameters as `"self"`, and `None`.
        num_classes: Number of classes, or `None` for no class condition.
        width: Channels at (h/2, w/2); twice as many at (h/4, w/4). At least 8.
        num_flow_layers: Coupling layers of the prior.
        entropy_weight: Nats of loss for each nat of mean entropy of the decoder's
            self-attention map; above 0 it makes the map choose.
        seed: Seed of the draws in training.

    Call arguments:
        inputs: Images (n, h, w, c), or with classes (images, labels (n,)).

    Output:
        Dictionary of `logits` (n, h, w, c), `reconstruction` = −log p(x|z) and
        `kl` = log q(z|x) − log p(z) at a drawn z, both (n,), in nats.

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=32,
        attention="self",
        num_classes=None,
        width=32,
        num_flow_layers=4,
        entropy_weight=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(image_shape, num_classes, seed, divisor=4, **kwargs)
        check_integer("latent_dim", latent_dim, least=2)
        check_integer("width", width, least=8)
        if width % 4:
            raise ValueError(
                f"Expected `width` to be divisible by 4. Received: width={width}"
            )
        if attention not in ATTENTION_LAYERS:
            raise ValueError(
                f"Expected attention in {list(ATTENTION_LAYERS)}. "
                f"Received: attention={attention!r}"
            )
        if entropy_weight and attention != "self":
            raise ValueError(
                'Only attention="self" has a map whose entropy can be weighted. '
                f"Received: entropy_weight={entropy_weight}, attention={attention!r}"
            )
        self.latent_dim = latent_dim
        self.attention = attention
        self.width = width
        self.num_flow_layers = num_flow_layers
        self.entropy_weight = entropy_weight

        with self._precision(self.dtype_policy):
            self.encoder = build_encoder(
                self.image_shape, latent_dim, num_classes, width, attention
            )
            self.decoder_features = build_decoder_features(
                self.image_shape, latent_dim, num_classes, width
            )
            self.decoder_attention = ATTENTION_LAYERS[attention](2, "decoder_attention")
            self.decoder_attention.build(self.decoder_features.output.shape)
            self.decoder_image = build_decoder_image(self.image_shape, width)
        # Densities are differences of large numbers: never in half precision.
        self.prior = CouplingFlow(num_flow_layers, dtype="float32", name="prior")
        condition_shape = (None, num_classes) if num_classes else None
        self.prior.build((None, latent_dim), condition_shape)

        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")
        self._compiled_log_weights = compiled(self, self._log_weights)
        self.built = True

    # --- the bound ------------------------------------------------------------

    def call(self, inputs, training=None):
        x, condition = self._split(inputs)
        x = ops.cast(x, "float32")
        # A draw leaves 0 and 1 as they are: uniform numbers lie in [0, 1).
        draw = keras.random.uniform(ops.shape(x), seed=self.seed_generator)
        x = ops.cast(draw < x, "float32")
        mean, log_variance = self.encoder([x, *condition])
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        z = mean + ops.exp(0.5 * log_variance) * noise
        logits, entropy = self._decode_with_entropy(z, condition)
        if self.entropy_weight:
            self.add_loss(self.entropy_weight * entropy)
        return {
            "logits": logits,
            "reconstruction": -bernoulli_log_density(x, logits),
            "kl": gaussian_log_density(noise, log_variance)
            - self.prior(z, *condition)[1],
        }

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        self.reconstruction_tracker.update_state(y_pred["reconstruction"])
        self.kl_tracker.update_state(y_pred["kl"])
        loss = ops.mean(y_pred["reconstruction"] + y_pred["kl"])
        return loss + sum(self.losses) if self.losses else loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()

    @property
    def metrics(self):
        trackers = [self.reconstruction_tracker, self.kl_tracker]
        return [*(m for m in super().metrics if m not in trackers), *trackers]

    def _decode_with_entropy(self, z, condition):
        features = self.decoder_features([z, *condition])
        if not self.entropy_weight:
            return self.decoder_image(self.decoder_attention(features)), None
        features, weights = self.decoder_attention(
            features, return_attention_scores=True
        )
        weights = ops.cast(weights, "float32")
        entropy = -ops.sum(weights * ops.log(weights + 1e-12), axis=(-2, -1))
        return self.decoder_image(features), ops.mean(entropy)

    # --- using a trained model ------------------------------------------------

    def encode(self, x, labels=None):
        """Parameters of q(z|x).

        Args:
            x: Images (n, h, w, c) in [0, 1].
            labels: Classes (n,), for a model with classes.

        Returns:
            `mean` and `log_variance`, each (n, latent_dim).
        """
        condition = self._condition(labels, len(x))
        x = ops.convert_to_tensor(checked_images(x, self.image_shape))
        return self.encoder([x, *condition])

    def decode(self, z, labels=None, control=NO_CONTROL):
        """Logits of the pixels.

        Args:
            z: Latents (n, latent_dim).
            labels: Classes (n,), for a model with classes.
            control: How the decoder's attention is bent, see `AttentionControl`.

        Returns:
            Logits (n, h, w, c).
        """
        if len(z.shape) != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(
                f"Expected latents of shape (n, {self.latent_dim}). "
                f"Received: z of shape {tuple(z.shape)}"
            )
        z = ops.convert_to_tensor(z, dtype="float32")
        condition = self._condition(labels, z.shape[0])
        features = self.decoder_features([z, *condition])
        if control is NO_CONTROL:
            return self.decoder_image(self.decoder_attention(features))
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
        return self.decoder_image(self.decoder_attention(features, **control._asdict()))

    def sample_latents(self, n, labels=None, seed=None):
        """Draws n latents from the prior p(z): (n, latent_dim)."""
        noise = keras.random.normal((n, self.latent_dim), seed=seed)
        return self.prior.inverse(noise, *self._condition(labels, n))

    def sample(self, n, labels=None, seed=None, control=NO_CONTROL):
        """Draws images from the model.

        Args:
            n: Number of images.
            labels: Classes (n,), for a model with classes.
            seed: Integer; the same seed gives the same images.
            control: As in `decode`.

        Returns:
            NumPy array (n, h, w, c) of pixel probabilities in [0, 1].
        """
        z = self.sample_latents(n, labels, seed)
        return ops.convert_to_numpy(ops.sigmoid(self.decode(z, labels, control)))

    def reconstruct(self, x, labels=None, control=NO_CONTROL):
        """Decodes the mean of q(z|x): NumPy array of probabilities, shaped like x."""
        mean, _ = self.encode(x, labels)
        return ops.convert_to_numpy(ops.sigmoid(self.decode(mean, labels, control)))

    def interpolate(self, x_from, x_to, num_steps, labels=None):
        """Walks from one image to another.

        The path is straight where the prior is a standard normal, that is after the
        flow, so that it keeps to places that the prior knows.

        Args:
            x_from: Images (n, h, w, c) in [0, 1].
            x_to: Images of the same shape.
            num_steps: Number of images on each path, both ends included.
            labels: Classes (n,) of both ends, for a model with classes.

        Returns:
            NumPy array (n, num_steps, h, w, c) of probabilities.
        """
        condition = self._condition(labels, len(x_from))
        start, end = (
            self.prior(self.encode(x, labels)[0], *condition)[0] for x in (x_from, x_to)
        )
        steps = []
        for t in np.linspace(0.0, 1.0, num_steps):
            z = self.prior.inverse((1 - t) * start + t * end, *condition)
            steps.append(ops.convert_to_numpy(ops.sigmoid(self.decode(z, labels))))
        return np.stack(steps, axis=1)

    def attention_maps(self, x, labels=None):
        """The decoder's attention map while it reconstructs images.

        Args:
            x: Images (n, h, w, c) in [0, 1].
            labels: Classes (n,), for a model with classes.

        Returns:
            NumPy array: for `attention="self"` (n, h/2, w/2, h/4, w/4), whose last
            two axes sum to 1; for `"module"` (n, h/2, w/2, width), whose positions
            sum to 1.

        Raises:
            ValueError: If the model has no map.
        """
        if self.attention not in CONTROLLABLE:
            raise ValueError(
                f"Maps exist for attention in {CONTROLLABLE}. Received: a model with "
                f"attention={self.attention!r}"
            )
        mean, _ = self.encode(x, labels)
        features = self.decoder_features([mean, *self._condition(labels, len(x))])
        _, maps = self.decoder_attention(features, return_attention_scores=True)
        return ops.convert_to_numpy(maps)

    # --- measuring a trained model --------------------------------------------

    def elbo(self, x, labels=None, num_samples=1, seed=0, batch_size=500):
        """Evidence lower bound of binary images.

        Args:
            x: Binary images (n, h, w, c).
            labels: Classes (n,), for a model with classes.
            num_samples: Draws of z averaged over for each image.
            seed: Integer seed of the draws.
            batch_size: Images decoded at once.

        Returns:
            NumPy array (n,), nats per image.

        Raises:
            ValueError: If x is not binary or not of the model's size.
        """
        bound, _ = self._score(x, labels, num_samples, seed, batch_size)
        return bound

    def log_likelihood(self, x, labels=None, num_samples=5000, seed=0, batch_size=500):
        """Importance-weighted bound on log p(x), Burda et al., equation 8.

            L_K = log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x),   z_k drawn from q(z|x)

        L_1 is the evidence lower bound; L_K rises with K towards log p(x). Memory
        does not grow with K: the sum is kept as a running log-sum-exp.

        Args:
            x: Binary images (n, h, w, c).
            labels: Classes (n,), for a model with classes.
            num_samples: K.
            seed: Integer seed of the draws.
            batch_size: Images decoded at once.

        Returns:
            NumPy array (n,), nats per image.

        Raises:
            ValueError: If x is not binary or not of the model's size.
        """
        _, bound = self._score(x, labels, num_samples, seed, batch_size)
        return bound

    def _score(self, x, labels, num_samples, seed, batch_size):
        """Mean and log-mean-exp of the log weights of `num_samples` draws."""
        x = checked_binary_images(x, self.image_shape)
        check_integer("num_samples", num_samples, least=1)
        condition = self._condition(labels, len(x))
        return bounds(
            self._compiled_log_weights,
            self.encoder,
            x,
            condition,
            num_samples,
            seed,
            batch_size,
        )

    def _log_weights(self, x, condition, mean, log_variance, noise):
        """log p(x|z) + log p(z) − log q(z|x) at the draws of z that `noise`
        (draws, n, latent_dim) gives: (draws, n)."""
        draws, n, _ = ops.shape(noise)
        z = mean + ops.exp(0.5 * log_variance) * noise  # (draws, n, latent_dim)
        z = ops.reshape(z, (draws * n, self.latent_dim))
        condition = [ops.tile(c, (draws, 1)) for c in condition]
        logits = self.decoder_image(
            self.decoder_attention(self.decoder_features([z, *condition]))
        )
        logits = ops.reshape(logits, (draws, n, *self.image_shape))
        log_prior = ops.reshape(self.prior(z, *condition)[1], (draws, n))
        return (
            bernoulli_log_density(x, logits)
            + log_prior
            - gaussian_log_density(noise, log_variance)
        )

    def get_config(self):
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "attention": self.attention,
            "width": self.width,
            "num_flow_layers": self.num_flow_layers,
            "entropy_weight": self.entropy_weight,
        }
