"""The encoder and the two halves of the decoder of `AttentionVAE`."""

import keras
from keras import layers

from tfattn._typing import Tensor
from tfattn.densities import bounded_features, bounded_log_variance
from tfattn.layers import DepthToSpace
from tfattn.models.attention import attention_layer


def build_encoder(
    image_shape: tuple[int, int, int],
    latent_dim: int,
    num_classes: int | None,
    width: int,
    attention: str | None,
) -> keras.Model:
    """Images, and one-hot classes if there are any, to the mean and log-variance."""
    inputs = _inputs(image_shape, num_classes)
    x = layers.Conv2D(width, 5, strides=2, padding="same")(inputs[0])
    x = residual_block(x)  # (h/2, w/2, width)
    x = layers.Activation("silu")(x)
    x = layers.Conv2D(2 * width, 3, strides=2, padding="same")(x)
    x = residual_block(x)  # (h/4, w/4, 2*width)
    x = attention_layer(attention, "encoder_attention")(x)
    x = layers.Flatten()(layers.Activation("silu")(x))
    x = layers.Concatenate()([x, *inputs[1:]]) if num_classes else x
    return keras.Model(inputs, gaussian(x, latent_dim), name="encoder")


def build_decoder_features(
    image_shape: tuple[int, int, int],
    latent_dim: int,
    num_classes: int | None,
    width: int,
) -> keras.Model:
    """Latents, and one-hot classes if there are any, to features (h/2, w/2, width)."""
    h, w, _ = image_shape
    inputs = _inputs((latent_dim,), num_classes)
    x = layers.Concatenate()(inputs) if num_classes else inputs[0]
    x = layers.Dense(h // 4 * (w // 4) * 2 * width)(x)
    x = layers.Reshape((h // 4, w // 4, 2 * width))(x)
    x = residual_block(x)
    x = layers.Conv2D(4 * width, 1)(layers.Activation("silu")(x))
    x = DepthToSpace()(x)
    x = residual_block(x)
    return keras.Model(inputs, x, name="decoder_features")


def build_decoder_image(
    image_shape: tuple[int, int, int], width: int, num_parameters: int
) -> keras.Model:
    """Features (h/2, w/2, width) to parameters of each pixel's distribution."""
    h, w, _ = image_shape
    # At full size no fewer channels than parameters.
    filters = max(width // 4, num_parameters)
    features = keras.Input((h // 2, w // 2, width))
    x = layers.Activation("silu")(features)
    x = layers.Conv2D(4 * filters, 3, padding="same")(x)
    x = layers.Activation("silu")(DepthToSpace()(x))  # (h, w, filters)
    last = layers.Conv2D(
        num_parameters, 3, padding="same", dtype="float32", name="logits"
    )
    return keras.Model(features, last(x), name="decoder_image")


def _inputs(shape, num_classes):
    """The input and, with classes, the one-hot class beside it."""
    inputs = [keras.Input(shape)]
    if num_classes:
        inputs.append(keras.Input((num_classes,)))
    return inputs


def gaussian(x: Tensor, latent_dim: int) -> list[Tensor]:
    """Mean and log-variance, each (n, latent_dim), as affine maps of x."""
    return [
        layers.Dense(latent_dim, activation, dtype="float32", name=name)(x)
        for name, activation in (
            ("mean", bounded_features),
            ("log_variance", bounded_log_variance),
        )
    ]


def residual_block(x: Tensor) -> Tensor:
    """x + conv(silu(conv(silu(x)))), bounded; the last convolution starts small."""
    channels = x.shape[-1]
    y = layers.Activation("silu")(x)
    y = layers.Conv2D(channels, 3, padding="same")(y)
    y = layers.Activation("silu")(y)
    y = layers.Conv2D(
        channels,
        3,
        padding="same",
        kernel_initializer=keras.initializers.VarianceScaling(0.1),
    )(y)
    return layers.Activation(bounded_features)(layers.Add()([x, y]))
