"""The network of `AttentionFlow`: the velocity of an image at a time."""

import math
from typing import Any

import keras
from keras import layers, ops

from tfattn._typing import Tensor
from tfattn.layers.patches import images_to_patches, patches_to_images
from tfattn.models.attention import attention_layer

PATCH_SIZE = (2, 2)
# Of the time's sinusoids: their number, and the ratio of the longest to the shortest.
TIME_CHANNELS, PERIOD = 64, 10_000.0
# The time in [0, 1] is stretched to the range for which the sinusoids were made.
TIME_SCALE = 1000.0


@keras.saving.register_keras_serializable(package="tfattn")
class TimeEmbedding(layers.Layer):
    """Sinusoids of a time in [0, 1].

    With s = 1000·t and d channels, channel i < d/2 is cos(s/10000^(2i/d)) and channel
    d/2 + i is sin(s/10000^(2i/d)). Without the factor 1000, all but a few of the waves
    would be constant.

    Source: Vaswani et al., arXiv:1706.03762, section 3.5; the factor as in diffusion
    models with 1000 steps, Ho et al., arXiv:2006.11239, appendix B.

    Call arguments:
        t: Tensor (n,) or (n, 1).

    Output:
        Tensor (n, 64).
    """

    def call(self, t: Tensor) -> Tensor:
        half = TIME_CHANNELS // 2
        rates = ops.exp(-math.log(PERIOD) * ops.arange(half, dtype="float32") / half)
        angles = TIME_SCALE * ops.reshape(ops.cast(t, "float32"), (-1, 1)) * rates
        waves = ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)
        return ops.cast(waves, self.compute_dtype)

    def compute_output_shape(self, t_shape: tuple) -> tuple:
        return (t_shape[0], TIME_CHANNELS)


@keras.saving.register_keras_serializable(package="tfattn")
class ModulatedNormalization(layers.Layer):
    """Normalizes groups of channels, then scales and shifts them by a vector.

    1. x̂ = group normalization of x, without weights of its own
    2. (s, b) = an affine map of the vector, which starts at zero
    3. y = x̂ · (1 + s) + b

    Source: Dhariwal & Nichol, *Diffusion Models Beat GANs on Image Synthesis*,
    arXiv:2105.05233, section 3.1 (adaptive group normalization).

    Args:
        groups: Number of groups; divides the channels.

    Call arguments:
        x: Tensor (n, h, w, c).
        vector: Tensor (n, d).

    Output:
        Tensor (n, h, w, c).
    """

    def __init__(self, groups: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.normalize = layers.GroupNormalization(
            groups, center=False, scale=False, dtype=self.dtype_policy
        )

    def build(self, x_shape: tuple, vector_shape: tuple) -> None:
        self.normalize.build(x_shape)
        self.modulation = layers.Dense(
            2 * x_shape[-1], kernel_initializer="zeros", dtype=self.dtype_policy
        )
        self.modulation.build(vector_shape)

    def call(self, x: Tensor, vector: Tensor) -> Tensor:
        scale, shift = ops.split(self.modulation(vector)[:, None, None], 2, axis=-1)
        return self.normalize(x) * (1 + scale) + shift

    def compute_output_shape(self, x_shape: tuple, vector_shape: tuple) -> tuple:
        return x_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups}


def build_unet(
    image_shape: tuple[int, int, int],
    num_classes: int | None,
    width: int,
    attention: str | None,
    name: str,
) -> keras.Model:
    """Images, times and one-hot classes, if any, to velocities.

    A U-Net on 2×2 patches: blocks at (h/2, w/2), blocks with attention at (h/4, w/4),
    and blocks at (h/2, w/2) again, which also see what the first ones gave. The last
    layer starts at zero. A class of zeros only stands for no class.
    """
    inputs = [keras.Input(image_shape), keras.Input(())]
    vector = layers.Dense(4 * width, activation="silu")(TimeEmbedding()(inputs[1]))
    vector = layers.Dense(4 * width)(vector)
    if num_classes:
        inputs.append(keras.Input((num_classes,)))
        of_class = layers.Dense(4 * width, use_bias=False, name="class_embedding")
        vector = layers.Add()([vector, of_class(inputs[2])])
    vector = layers.Activation("silu")(vector)

    x = _Patches()(inputs[0])
    x = layers.Conv2D(width, 3, padding="same")(x)
    fine = x = _block(x, vector, width)
    x = layers.Conv2D(2 * width, 3, strides=2, padding="same")(x)
    x = _block(x, vector, 2 * width)
    x = attention_layer(attention, "attention")(x)
    x = _block(x, vector, 2 * width)
    x = layers.UpSampling2D()(x)
    x = layers.Concatenate()([x, fine])
    x = _block(x, vector, width)
    x = _block(x, vector, width)
    x = layers.Activation("silu")(ModulatedNormalization()(x, vector))
    last = layers.Conv2D(
        math.prod(PATCH_SIZE) * image_shape[-1],
        3,
        padding="same",
        kernel_initializer="zeros",
        dtype="float32",
        name="velocity",
    )
    return keras.Model(inputs, _Images(dtype="float32")(last(x)), name=name)


def _block(x, vector, channels):
    """x + conv(silu(norm(conv(silu(norm(x)))))), the last convolution from zero."""
    y = layers.Activation("silu")(ModulatedNormalization()(x, vector))
    y = layers.Conv2D(channels, 3, padding="same")(y)
    y = layers.Activation("silu")(ModulatedNormalization()(y, vector))
    y = layers.Conv2D(channels, 3, padding="same", kernel_initializer="zeros")(y)
    if x.shape[-1] != channels:
        x = layers.Conv2D(channels, 1)(x)
    return layers.Add()([x, y])


@keras.saving.register_keras_serializable(package="tfattn")
class _Patches(layers.Layer):
    """`images_to_patches` as a layer."""

    def call(self, x):
        return images_to_patches(x, PATCH_SIZE)


@keras.saving.register_keras_serializable(package="tfattn")
class _Images(layers.Layer):
    """`patches_to_images` as a layer."""

    def call(self, x):
        return patches_to_images(x, PATCH_SIZE)
