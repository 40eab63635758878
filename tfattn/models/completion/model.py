"""A conditional variational autoencoder that fills in the hidden part of an image."""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import (
    check_above_0,
    check_choice,
    check_integer,
    check_share,
    checked_partly_visible,
)
from tfattn._choices import ATTENTIONS
from tfattn._typing import Tensor
from tfattn.densities import (
    discretized_logistic_log_density,
    gaussian_log_density,
    gaussian_sample,
)
from tfattn.models.attention import attention_map, check_has_map, gammas
from tfattn.models.base import binary_draw
from tfattn.models.completion.adversarial import composite
from tfattn.models.completion.augmentation import augmented
from tfattn.models.completion.bounds import gaussian_log_density_at
from tfattn.models.completion.drawing import CompletionDrawing
from tfattn.models.completion.networks import (
    build_decoder,
    build_posterior,
    build_prior,
)
from tfattn.models.exporting import ExportedFunction, tensor_input
from tfattn.models.gan.networks import build_discriminator
from tfattn.models.replicas import drawn
from tfattn.models.training_masks import training_masks

# Of a pixel's logistic distribution. The least is about half a gray level; at the most
# black and white, with all beyond them, have a probability of about one half.
LEAST_LOG_SCALE = -6.0
MOST_LOG_SCALE = 5.0
LOG_SCALE_AT_START = -2.0
DISCRIMINATOR_WIDTH = 16


@keras.saving.register_keras_serializable(package="tfattn")
class CompletionVAE(CompletionDrawing):
    """Fills in the hidden part of an image, with a different sample each time.

    With x an image, m the mask of its visible pixels, v = x ⊙ m and z a latent vector:

    1. prior: p(z|v, m) = N(mean, diag(exp(log_variance))), by convolutions down to
       (h/4, w/4) with attention there; beside it features of v for the decoder
    2. posterior: q(z|x, m), a Gaussian by a network like the prior's, which sees the
       hidden pixels too and is there for training alone
    3. decoder: from z and the features of v, with attention at (h/4, w/4), mean and
       scale of each pixel's logistic distribution, rounded to `levels` gray levels
    4. evidence lower bound on log p(hidden pixels | v, m) =
       Σ_hidden log p(x_i|z, v, m) + log p(z|v, m) − log q(z|x, m), in nats per image

    Training maximizes the bound. `fit(x)` samples masks anew in each step: half of an
    image, its center, a rectangle or strokes, see `tfattn.data.masks`.
    `fit(x, visible)` takes your own masks. With `adversarial=True`, a discriminator
    learns to tell completions, sampled from the prior, from images, and the bound's
    loss gets a term for deceiving it; this training runs on TensorFlow and JAX. Metrics
    of `compile` compare images with their completions.

    Source: Sohn et al., *Learning Structured Output Representation using Deep
    Conditional Generative Models*, NeurIPS 2015, equation 4; Zhang et al.,
    arXiv:1805.08318, equation 4, for the adversarial loss.

    Args:
        image_shape: (h, w, c), h and w at least 8.
        latent_dim: Number of latents.
        attention: `"self"` (`SelfAttention2D`), or a control: `"residual"` and
            `"uniform"`, of the same number of parameters, and `None`.
        adversarial: Whether a discriminator takes part in the training.
        levels: Gray levels of a pixel. With 2, pixels are black or white, and gray
            ones in [0, 1] are drawn anew in each training step (dynamic
            binarization).
        width: Channels at (h/2, w/2), at least 8 and even; twice as many at
            (h/4, w/4).
        gate: Whether an `AttentionGate` weighs the decoder's places at (h/2, w/2),
            where it sees the border between visible and hidden.
        dropout: Share of the features dropped where they become a vector.
        augment: Whether `fit` randomly moves, relights and mixes images, see
            `tfattn.models.completion.augmentation`; for faces, of which there are few.
        adversarial_weight: Nats of loss for each unit of the discriminator's score.
        seed: Seed of the draws in training.

    Call arguments:
        inputs: Images (n, h, w, c) in [0, 1], or with masks (images, visible
            (n, h, w, 1), 1 where visible).

    Output:
        Dictionary of `images` and their `completions` (n, h, w, c), and of
        `reconstruction` = −Σ_hidden log p(x_i|z, v, m) and `kl` = log q(z|x, m) −
        log p(z|v, m) at a sampled z, both (n,), in nats.

    Exported functions:
        complete: `complete`, one completion (n, h, w, c) of each image, from images,
            their masks (n, h, w, 1), 1 where visible, and standard normal noise
            (n, latent_dim).

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    LOSS_TERMS = ("reconstruction", "kl")
    NOT_IN_ONNX = ("call",)
    ATTENTIONS = ATTENTIONS["completion"]

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (64, 64, 1),
        latent_dim: int = 8,
        attention: Literal["self", "residual", "uniform"] | None = "self",
        adversarial: bool = False,
        levels: int = 256,
        width: int = 16,
        gate: bool = False,
        dropout: float = 0.1,
        augment: bool = False,
        adversarial_weight: float = 100.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, None, seed, divisor=1, **kwargs)
        if min(self.image_shape[:2]) < 8:
            raise ValueError(
                "Expected images of at least 8×8 pixels. "
                f"Received: image_shape={self.image_shape}"
            )
        latent_dim = check_integer("latent_dim", latent_dim, least=1)
        levels = check_integer("levels", levels, least=2)
        width = check_integer("width", width, least=8, divisor=2)
        check_choice("attention", attention, self.ATTENTIONS)
        if adversarial and any(size % 4 for size in self.image_shape[:2]):
            raise ValueError(
                "The discriminator expects height and width divisible by 4. "
                f"Received: image_shape={self.image_shape}"
            )
        check_share("dropout", dropout)
        check_above_0("adversarial_weight", adversarial_weight)
        # Half precision would round the gray levels.
        self.autocast = False
        self.latent_dim = latent_dim
        self.levels = levels
        self.attention = attention
        self.adversarial = adversarial
        self.width = width
        self.gate = gate
        self.dropout = dropout
        self.augment = augment
        self.adversarial_weight = adversarial_weight

        shared = (self.image_shape, latent_dim, width, attention)
        with self._settings(self.dtype_policy):
            self.posterior = build_posterior(*shared, dropout, self.seed)
            self.prior = build_prior(*shared, dropout, self.seed + 1)
            self.decoder = build_decoder(*shared, gate, dropout, self.seed + 2)
            if adversarial:
                self.discriminator = build_discriminator(
                    self.image_shape, None, DISCRIMINATOR_WIDTH, None, True, depth=2
                )
        names = [*self.LOSS_TERMS]
        if adversarial:
            names += ["discriminator_loss", "generator_loss"]
        self.trackers = [keras.metrics.Mean(name=name) for name in names]
        self.built = True

    # --- the bound ------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        x, visible = self._drawn(inputs, training)
        noise = drawn(
            keras.random.normal, (ops.shape(x)[0], self.latent_dim), self.seed_generator
        )
        of_prior = self.prior([x * visible, visible], training=training)
        return self._terms(x, visible, noise, of_prior, training)

    def _drawn(self, inputs, training):
        """Images, changed by chance in training, and masks, drawn where none came."""
        x, visible = inputs if isinstance(inputs, list | tuple) else (inputs, None)
        x = ops.cast(x, "float32")
        if training and self.augment:
            x = augmented(x, self.seed_generator)
        if self.levels == 2:
            x = binary_draw(x, self.seed_generator)
        if visible is None:
            size = self.image_shape[:2]
            visible = training_masks(ops.shape(x)[0], size, self.seed_generator)
        return x, ops.cast(visible, "float32")

    def _terms(self, x, visible, noise, of_prior, training: bool | None = False):
        mean, log_variance = self.posterior([x, visible], training=training)
        z = gaussian_sample(mean, log_variance, noise)
        pixels = self._pixels(z, of_prior[2:], training)
        return {
            "images": x,
            "completions": composite(x, visible, self._expected(pixels)),
            "reconstruction": -self._hidden_log_density(x, visible, pixels),
            "kl": gaussian_log_density(noise, log_variance)
            - gaussian_log_density_at(z, *of_prior[:2]),
        }

    def _pixels(self, z, features, training: bool | None = False):
        """Mean in [0, 1] and log-scale of each pixel, both (n, h, w, c)."""
        logits, log_scales = self.decoder([z, *features], training=training)
        span = LOG_SCALE_AT_START - LEAST_LOG_SCALE
        log_scales = LEAST_LOG_SCALE + ops.softplus(log_scales + span)
        return ops.sigmoid(logits), ops.minimum(log_scales, MOST_LOG_SCALE)

    def _expected(self, pixels):
        """The mean gray level of each pixel, in [0, 1]."""
        means, log_scales = pixels
        if self.levels == 2:
            # All of the distribution above one half is white.
            return ops.sigmoid((means - 0.5) * ops.exp(-log_scales))
        return means

    def _hidden_log_density(self, x, visible, pixels):
        log_density = discretized_logistic_log_density(x, *pixels, levels=self.levels)
        return ops.sum((1 - visible) * log_density, axis=(-3, -2, -1))

    def _completed(self, x, visible, noise):
        """Images whose hidden pixels are drawn at the z of the prior of this noise."""
        of_prior = self.prior([x * visible, visible])
        return composite(x, visible, self._decoded_prior(noise, of_prior))

    def _decoded_prior(self, noise, of_prior, training: bool | None = False):
        mean, log_variance, *features = of_prior
        z = gaussian_sample(mean, log_variance, noise)
        return self._expected(self._pixels(z, features, training))

    def _compared(self, outputs):
        return outputs["images"], outputs["completions"]

    # The condition of this model is its mask.
    def _checked_condition(self, condition, n):
        if condition is None:
            return None
        visible = checked_partly_visible(condition, n, self.image_shape)
        return visible.astype("float32")

    def _converted_in_graph(self, y):
        if y is None:
            return None
        import tensorflow as tf

        visible = tf.cast(y, "float32")
        return tf.reshape(visible, (-1, *self.image_shape[:2], 1))

    # --- using a trained model ------------------------------------------------

    def encode_visible(
        self, images: ArrayLike, visible: ArrayLike
    ) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of p(z|v, m), each (n, latent_dim)."""
        mean, log_variance, *_ = self._encode_visible(
            *self._checked_pair(images, visible)
        )
        return mean, log_variance

    def encode(self, images: ArrayLike, visible: ArrayLike) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x, m), each (n, latent_dim)."""
        pair = self._checked_pair(images, visible)
        return self.posterior([ops.convert_to_tensor(part) for part in pair])

    def attention_maps(self, images: ArrayLike, visible: ArrayLike) -> np.ndarray:
        """The decoder's attention map at the prior's mean.

        Args:
            images: As for `complete`.
            visible: As for `complete`.

        Returns:
            NumPy array (n, h/4, w/4, h/4, w/4), odd sizes rounded up, whose last two
            axes sum to 1.

        Raises:
            ValueError: If the model's attention is not `"self"`.
        """
        check_has_map(self.attention, ["self"])
        images, visible = self._checked_pair(images, visible)
        mean, _, *features = self._encode_visible(images, visible)
        return attention_map(self.decoder, "decoder_attention", [mean, *features])

    def gammas(self) -> dict[str, float]:
        """γ of the attention layer of each network that has one, by network's name."""
        return gammas(
            {
                self.posterior: "encoder_attention",
                self.prior: "encoder_attention",
                self.decoder: "decoder_attention",
            }
        )

    def _encode_visible(self, images, visible):
        seen = np.where(visible == 1, images, np.float32(0))
        return self.prior([ops.convert_to_tensor(part) for part in (seen, visible)])

    def _exported_functions(self):
        def complete(x, visible, noise):
            return self._completed(ops.where(visible == 1, x, 0.0), visible, noise)

        exported = super()._exported_functions()
        noise = tensor_input("noise", self.latent_dim)
        inputs = [*exported["call"].signature, noise]
        return {**exported, "complete": ExportedFunction(self, complete, inputs)}

    def _condition_inputs(self):
        return [tensor_input("visible", *self.image_shape[:2], 1)]

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "levels": self.levels,
            "attention": self.attention,
            "adversarial": self.adversarial,
            "width": self.width,
            "gate": self.gate,
            "dropout": self.dropout,
            "augment": self.augment,
            "adversarial_weight": self.adversarial_weight,
        }
        del config["num_classes"]
        return config
