"""The networks of `CompletionVAE`."""

import keras
from keras import layers

from tfattn.layers import AttentionGate, DepthToSpace
from tfattn.models.attention import attention_layer
from tfattn.models.vae.networks import gaussian, residual_block

# Channels of the features on both sides of a vector.
BOTTLENECK = 16
# Length of the vector that the visible part gives the decoder beside the latents.
CODE_DIM = 128


def build_posterior(
    image_shape: tuple[int, int, int],
    latent_dim: int,
    width: int,
    attention: str | None,
    dropout: float,
    seed: int,
) -> keras.Model:
    """Whole images and the mask of visible pixels to mean and log-variance."""
    inputs, x, _, _ = _trunk(image_shape, width, attention, dropout, seed)
    return keras.Model(inputs, gaussian(x, latent_dim), name="posterior")


def build_prior(
    image_shape: tuple[int, int, int],
    latent_dim: int,
    width: int,
    attention: str | None,
    dropout: float,
    seed: int,
) -> keras.Model:
    """Visible parts and their mask to mean, log-variance, code and features.

    The features are (h/2, w/2, width) and (h/4, w/4, 2·width), odd sizes rounded up.
    """
    inputs, x, fine, coarse = _trunk(image_shape, width, attention, dropout, seed)
    code = layers.Dense(CODE_DIM, activation="silu", name="code")(x)
    outputs = [*gaussian(x, latent_dim), code, fine, coarse]
    return keras.Model(inputs, outputs, name="prior")


def build_decoder(
    image_shape: tuple[int, int, int],
    latent_dim: int,
    width: int,
    attention: str | None,
    gate: bool,
    dropout: float,
    seed: int,
) -> keras.Model:
    """Latents and what the prior gives beside them to each pixel's two numbers."""
    h, w, channels = image_shape
    half, quarter = (tuple(-(-size // d) for size in (h, w)) for d in (2, 4))
    latents = keras.Input((latent_dim,), name="latents")
    code = keras.Input((CODE_DIM,), name="code")
    fine = keras.Input((*half, width), name="fine")
    coarse = keras.Input((*quarter, 2 * width), name="coarse")
    x = layers.Concatenate()([latents, layers.Dropout(dropout, seed=seed)(code)])
    x = layers.Dense(quarter[0] * quarter[1] * BOTTLENECK)(x)
    x = layers.Reshape((*quarter, BOTTLENECK))(x)
    x = layers.Concatenate()([x, coarse])
    x = residual_block(layers.Conv2D(2 * width, 3, padding="same")(x))
    x = attention_layer(attention, "decoder_attention")(x)
    x = _upsampled(layers.Activation("silu")(residual_block(x)), width, half)
    x = layers.Concatenate()([x, fine])
    x = residual_block(layers.Conv2D(width, 3, padding="same")(x))
    if gate:
        x = AttentionGate(name="gate")(x)
    x = _upsampled(layers.Activation("silu")(x), width // 2, (h, w))
    x = layers.Activation("silu")(x)
    outputs = [
        layers.Conv2D(channels, 3, padding="same", dtype="float32", name=name)(x)
        for name in ("logits", "log_scales")
    ]
    return keras.Model([latents, code, fine, coarse], outputs, name="decoder")


def _trunk(image_shape, width, attention, dropout, seed):
    """The inputs, a vector of all places, and the features of two sizes."""
    inputs = [
        keras.Input(image_shape, name="images"),
        keras.Input((*image_shape[:2], 1), name="visible"),
    ]
    x = layers.Concatenate()(inputs)
    fine = residual_block(layers.Conv2D(width, 5, strides=2, padding="same")(x))
    x = layers.Activation("silu")(fine)
    x = residual_block(layers.Conv2D(2 * width, 3, strides=2, padding="same")(x))
    x = attention_layer(attention, "encoder_attention")(x)
    coarse = residual_block(x)
    x = layers.Conv2D(BOTTLENECK, 1)(layers.Activation("silu")(coarse))
    x = layers.Flatten()(layers.Activation("silu")(x))
    return inputs, layers.Dropout(dropout, seed=seed)(x), fine, coarse


def _upsampled(x, filters, size):
    """Twice the size, less a row or column where `size` is odd."""
    x = DepthToSpace()(layers.Conv2D(4 * filters, 3, padding="same")(x))
    surplus = [have - want for have, want in zip(x.shape[1:3], size, strict=True)]
    return layers.Cropping2D([(0, rest) for rest in surplus])(x)
