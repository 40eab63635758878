"""The generator and the discriminator of `SelfAttentionGAN`."""

import math
from typing import Any

import keras
from keras import layers

from tfattn.layers import (
    ConditionalBatchNormalization,
    SpectralConv2D,
    SpectralDense,
)
from tfattn.models.attention import attention_layer
from tfattn.models.replicas import num_replicas

# Of the generator's logits, which kernels of norm 1 alone would keep from black and
# white.
LOGIT_SCALE = 4.0
# Length of a class's vector beside the latents, whose own is about √latent_dim.
CLASS_SCALE = 4.0

# Sides: of the grid from which a generator starts, and the most where attention stands.
LEAST_SIDE = 7
MOST_ATTENDED_SIDE = 32
# Channels, in multiples of the width, after so many halvings of the image's size.
OF_GENERATOR = (1, 2, 2, 4, 4)
OF_DISCRIMINATOR = (1, 2, 4, 8, 8)


def num_halvings(image_shape: tuple[int, int, int]) -> int:
    """How often the networks halve images of a size: 2 to 4 times.

    As often as leaves 7 pixels, of sizes that are divisible; two always.
    """
    h, w, _ = image_shape
    found = 2
    while (
        found + 1 < len(OF_GENERATOR)
        and not (h % 2 ** (found + 1) or w % 2 ** (found + 1))
        and min(h, w) >= LEAST_SIDE * 2 ** (found + 1)
    ):
        found += 1
    return found


def attended_halvings(image_shape: tuple[int, int, int], depth: int) -> int:
    """After how many halvings attention is applied: 1, or more where that is too large.

    Never at the grid from which the generator starts.
    """
    least = min(image_shape[:2])
    found = 1
    while found + 1 < depth and least >> found > MOST_ATTENDED_SIDE:
        found += 1
    return found


def build_generator(
    image_shape: tuple[int, int, int],
    latent_dim: int,
    num_classes: int | None,
    width: int,
    attention: str | None,
    spectral_norm: bool,
    name: str,
) -> keras.Model:
    """Latents, and one-hot classes if there are any, to images in [0, 1]."""
    h, w, channels = image_shape
    depth = num_halvings(image_shape)
    attended = attended_halvings(image_shape, depth)
    conv, dense = _kernel_layers(spectral_norm)
    latents = keras.Input((latent_dim,), name="latents")
    classes = [keras.Input((num_classes,), name="classes")] if num_classes else []
    synchronized = num_replicas() > 1

    def normalize(x):
        if classes:
            shifts = keras.initializers.RandomNormal(stddev=0.5)
            norm = ConditionalBatchNormalization(shifts, synchronized=synchronized)
            return norm([x, *classes])
        return layers.BatchNormalization(synchronized=synchronized)(x)

    def upsampling_block(x, filters):
        # No biases: each would be taken off again by a normalization.
        y = layers.UpSampling2D()(layers.ReLU()(normalize(x)))
        y = conv(filters, 3, padding="same", use_bias=False)(y)
        y = layers.ReLU()(normalize(y))
        y = conv(filters, 3, padding="same", use_bias=False)(y)
        # A 1×1 convolution before the upsampling is the same as one after it.
        shortcut = layers.UpSampling2D()(conv(filters, 1, use_bias=False)(x))
        return layers.Add()([shortcut, y])

    x = latents
    if classes:
        # The normalizations give a class no place in the image; this does.
        x = layers.Concatenate()([x, layers.Rescaling(CLASS_SCALE)(*classes)])
    start = (h >> depth, w >> depth, OF_GENERATOR[depth] * width)
    x = dense(math.prod(start))(x)
    x = layers.Reshape(start)(x)
    for halvings in reversed(range(depth)):  # to (h/2ʰ, w/2ʰ)
        x = upsampling_block(x, OF_GENERATOR[halvings] * width)
        if halvings == attended:
            x = attention_layer(
                attention, "attention", pool_size=2, spectral_norm=spectral_norm
            )(x)
    x = conv(channels, 3, padding="same")(layers.ReLU()(normalize(x)))
    x = layers.Rescaling(LOGIT_SCALE)(x)
    images = layers.Activation("sigmoid", dtype="float32")(x)
    return keras.Model([latents, *classes], images, name=name)


def build_discriminator(
    image_shape: tuple[int, int, int],
    num_classes: int | None,
    width: int,
    attention: str | None,
    spectral_norm: bool,
    depth: int,
) -> keras.Model:
    """Images, and one-hot classes if there are any, to one score each.

    `depth` says how often they are halved.
    """
    h, w, _ = image_shape
    attended = attended_halvings(image_shape, depth)
    conv, dense = _kernel_layers(spectral_norm)
    images = keras.Input(image_shape, name="images")
    classes = [keras.Input((num_classes,), name="classes")] if num_classes else []

    def block(x, filters, first=False):
        # The first block sees pixels, which a ReLU would halve.
        y = x if first else layers.ReLU()(x)
        y = conv(filters, 3, padding="same")(y)
        y = conv(filters, 3, padding="same")(layers.ReLU()(y))
        return layers.Add()([conv(filters, 1)(x), y])

    x = layers.Rescaling(2.0, -1.0)(images)
    x = block(x, width, first=True)
    for halvings in range(1, depth + 1):
        x = layers.AveragePooling2D(2)(x)  # (h/2ʰ, w/2ʰ)
        if halvings == attended:
            x = attention_layer(
                None if attention == "gate" else attention,
                "attention",
                pool_size=2,
                spectral_norm=spectral_norm,
            )(x)
        x = block(x, OF_DISCRIMINATOR[halvings] * width)
    x = layers.GlobalAveragePooling2D(dtype="float32")(layers.ReLU()(x))
    # SAGAN sums over the places.
    x = layers.Rescaling((h >> depth) * (w >> depth), dtype="float32")(x)
    score = dense(1, dtype="float32")(x)
    if classes:
        embedding = dense(x.shape[-1], use_bias=False, dtype="float32")(*classes)
        projection = layers.Dot(1, dtype="float32")([embedding, x])
        score = layers.Add(dtype="float32")([score, projection])
    return keras.Model([images, *classes], score, name="discriminator")


def _kernel_layers(spectral_norm) -> tuple[Any, Any]:
    if spectral_norm:
        return SpectralConv2D, SpectralDense
    return layers.Conv2D, layers.Dense
