"""A variational autoencoder with attention."""

from typing import Any, Literal

import keras
from keras import ops

from tfattn._checks import check_choice, check_integer
from tfattn._choices import ATTENTIONS
from tfattn._typing import Tensor
from tfattn.densities import gaussian_log_density, gaussian_sample
from tfattn.layers import CouplingFlow
from tfattn.models.attention import attention_layer
from tfattn.models.exporting import ExportedFunction, tensor_input
from tfattn.models.pixels import pixel_distribution
from tfattn.models.replicas import drawn
from tfattn.models.vae.drawing import VAEDrawing
from tfattn.models.vae.networks import (
    build_decoder_features,
    build_decoder_image,
    build_encoder,
)


@keras.saving.register_keras_serializable(package="tfattn")
class AttentionVAE(VAEDrawing):
    """Convolutional variational autoencoder with attention in encoder and decoder.

    With x an image, z its latent vector and y an optional class:

    1. encoder: q(z|x) = N(mean, diag(exp(log_variance))), from residual blocks at
       (h/2, w/2) and (h/4, w/4) and attention at the latter
    2. z = mean + exp(log_variance / 2) ⊙ ε, with ε standard normal
    3. decoder: p(x|z), from residual blocks at (h/4, w/4) and (h/2, w/2) and attention
       at the latter, its keys pooled 2×2; for each pixel Bernoulli(sigmoid(logit)) with
       two levels, otherwise a mixture of discretized logistic distributions
    4. prior: p(z), a `CouplingFlow`; the standard normal with `num_flow_layers=0`
    5. evidence lower bound = log p(x|z) + log p(z) − log q(z|x) ≤ log p(x), summed
       over pixels and latents, in nats per image

    Training maximizes the bound: `fit(x)`, or with classes `fit(x, labels)`. With two
    levels, gray ones in [0, 1] are probabilities, from which binary images are sampled
    anew in each step (dynamic binarization); binary images stay as they are. With more
    levels, pixels are rounded to them. Metrics of `compile` compare these images with
    the mean of each pixel.

    Source: Kingma & Welling, *Auto-Encoding Variational Bayes*, arXiv:1312.6114,
    equation 10; Burda et al., *Importance Weighted Autoencoders*, arXiv:1509.00519,
    equation 8; Salimans et al., *PixelCNN++*, arXiv:1701.05517, section 2.1.

    Args:
        image_shape: (h, w, c), h and w divisible by 4.
        latent_dim: Number of latents, at least 2.
        attention: `"self"` (`SelfAttention2D`), `"module"` (`AttentionModule` over
            positions), or a control: `"residual"` and `"uniform"`, of the same
            number of parameters as `"self"`, and `None`.
        num_classes: Number of classes, or `None` for no class condition.
        width: Channels at (h/2, w/2); twice as many at (h/4, w/4). At least 8
            and divisible by 4.
        num_flow_layers: Coupling layers of the prior.
        levels: Levels of a pixel's channel, at least 2: 2 for black and white, 256 for
            photographs and colors. `None` chooses 2 for one channel, otherwise 256.
        entropy_weight: Nats of loss for each nat of mean entropy of the decoder's
            self-attention map; above 0 it makes the map choose.
        seed: Seed of the draws in training.

    Call arguments:
        inputs: Images (n, h, w, c), or with classes (images, labels (n,)).

    Output:
        Dictionary of the `images` with the model's levels (n, h, w, c), of the
        parameters of their `pixels`, see `decode`, and of `reconstruction` =
        −log p(x|z) and `kl` = log q(z|x) − log p(z) at a sampled z, both (n,), in nats.

    Exported functions:
        generate: `generate` from standard normal noise (n, latent_dim), and the
            condition, if any.

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    LOSS_TERMS = ("reconstruction", "kl")
    NOT_IN_ONNX = ("call",)
    ATTENTIONS = ATTENTIONS["vae"]

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        latent_dim: int = 32,
        attention: Literal["self", "module", "residual", "uniform"] | None = "self",
        num_classes: int | None = None,
        width: int = 32,
        num_flow_layers: int = 4,
        levels: int | None = None,
        entropy_weight: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, num_classes, seed, divisor=4, **kwargs)
        latent_dim = check_integer("latent_dim", latent_dim, least=2)
        width = check_integer("width", width, least=8, divisor=4)
        check_choice("attention", attention, self.ATTENTIONS)
        if entropy_weight and attention != "self":
            raise ValueError(
                'Only attention="self" has a map whose entropy can be weighted. '
                f"Received: entropy_weight={entropy_weight}, attention={attention!r}"
            )
        if levels is None:
            levels = 2 if self.image_shape[-1] == 1 else 256
        levels = check_integer("levels", levels, least=2)
        # Half precision would round the levels.
        self.autocast = False
        self.latent_dim = latent_dim
        self.attention = attention
        self.width = width
        self.num_flow_layers = check_integer(
            "num_flow_layers", num_flow_layers, least=0
        )
        self.levels = levels
        self.entropy_weight = entropy_weight
        self._distribution = pixel_distribution(self.image_shape[-1], levels)

        with self._settings(self.dtype_policy):
            self.encoder = build_encoder(
                self.image_shape, latent_dim, num_classes, width, attention
            )
            self.decoder_features = build_decoder_features(
                self.image_shape, latent_dim, num_classes, width
            )
            self.decoder_attention = attention_layer(
                attention, "decoder_attention", pool_size=2
            )
            self.decoder_attention.build(self.decoder_features.output.shape)
            self.decoder_image = build_decoder_image(
                self.image_shape, width, self._distribution.num_parameters
            )
        # Densities are differences of large numbers: never in half precision.
        self.prior = CouplingFlow(num_flow_layers, dtype="float32", name="prior")
        condition_shape = (None, num_classes) if num_classes else None
        self.prior.build((None, latent_dim), condition_shape)

        self.trackers = [keras.metrics.Mean(name=name) for name in self.LOSS_TERMS]
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        x, condition = self._split(inputs)
        x = self._distribution.drawn(x, self.seed_generator)
        mean, log_variance = self.encoder([x, *condition])
        noise = drawn(keras.random.normal, ops.shape(mean), self.seed_generator)
        z = gaussian_sample(mean, log_variance, noise)
        if self.entropy_weight:
            pixels, entropy = self._pixels_and_entropy(z, condition)
            self.add_loss(self.entropy_weight * entropy)
        else:
            pixels = self._pixels(z, condition)
        return {
            "images": x,
            "pixels": pixels,
            "reconstruction": -self._distribution.log_density(x, pixels),
            "kl": gaussian_log_density(noise, log_variance)
            - self.prior(z, *condition)[1],
        }

    def _compared(self, outputs):
        return outputs["images"], self._distribution.expected(outputs["pixels"])

    def _pixels(self, z, encoded, **control) -> Tensor:
        features = self.decoder_features([z, *encoded])
        return self.decoder_image(self.decoder_attention(features, **control))

    def _pixels_and_entropy(self, z, encoded) -> tuple[Tensor, Tensor]:
        """The pixels' parameters, and the mean entropy of the decoder's map's rows."""
        features, weights = self.decoder_attention(
            self.decoder_features([z, *encoded]), return_attention_scores=True
        )
        weights = ops.cast(weights, "float32")
        entropy = -ops.sum(weights * ops.log(weights + 1e-12), axis=(-2, -1))
        return self.decoder_image(features), ops.mean(entropy)

    def _exported_functions(self):
        def generate(noise, *condition):
            encoded = [self._encoded(classes) for classes in condition]
            z = self.prior.inverse(noise, *encoded)
            return self._distribution.expected(self._pixels(z, encoded))

        inputs = [tensor_input("noise", self.latent_dim), *self._condition_inputs()]
        return {
            **super()._exported_functions(),
            "generate": ExportedFunction(self, generate, inputs),
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "attention": self.attention,
            "width": self.width,
            "num_flow_layers": self.num_flow_layers,
            "levels": self.levels,
            "entropy_weight": self.entropy_weight,
        }
