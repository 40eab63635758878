"""How the networks of `AttentionFlow` get the time, and give it to their layers."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from tfattn._typing import Tensor

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


def seen_by_network(
    inputs: list[Tensor], pixels: tuple[float, float] | None, completes: bool
) -> Tensor:
    """Images, beside them waves of their pixels and what is visible, if asked for.

    Args:
        inputs: A network's inputs, images and times first. With `completes` another
            one is appended: what is visible (n, h, w, c + 1), see `visible_part`.
        pixels: Mean and standard deviation by which pixels were standardized, for
            waves of them, or `None`.
        completes: Whether the network is trained to complete images.
    """
    images, times, *_ = inputs
    channels = [images]
    if pixels is not None:
        channels.append(PixelWaves(*pixels, dtype="float32")(images, times))
    if completes:
        *size, c = images.shape[1:]
        inputs.append(keras.Input((*size, c + 1)))
        channels.append(inputs[-1])
    if len(channels) == 1:
        return images
    return layers.Concatenate(dtype="float32")(channels)


def visible_part(pixels: Tensor, visible: Tensor) -> Tensor:
    """What a network sees of the images that it completes: tensor (n, h, w, c + 1).

    Args:
        pixels: Standardized images (n, h, w, c); hidden pixels are ignored, but have to
            be finite.
        visible: Tensor (n, h, w, 1), 1 where visible, otherwise 0.

    Returns:
        The visible pixels, zeros for the others, and `visible` as the last channel.
    """
    return ops.concatenate([pixels * visible, visible], axis=-1)


@keras.saving.register_keras_serializable(package="tfattn")
class PixelWaves(layers.Layer):
    """Waves as short as the levels of a pixel, which standardized pixels hide.

    With k = 256 (mean + deviation · x_t/t), on the scale of the levels 0 to 255, each
    channel becomes cos(πk), sin(πk), cos(2πk) and sin(2πk). Without them a network
    hardly sees where in its level of width 1 a dequantized pixel is.

    Source: Kingma et al., *Variational Diffusion Models*, arXiv:2107.00630, appendix C
    (Fourier features).

    Args:
        mean, deviation: By which pixels were standardized.

    Call arguments:
        x: Images x_t (n, h, w, c) on their path.
        t: The times (n,).

    Output:
        Tensor (n, h, w, 4c).
    """

    def __init__(self, mean: float, deviation: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.deviation = mean, deviation

    def call(self, x: Tensor, t: Tensor) -> Tensor:
        # At t = 0 there is noise alone, and any wave of it will do.
        t = ops.reshape(ops.maximum(t, 1e-3), (-1, 1, 1, 1))
        level = 256 * (self.mean + self.deviation * x / t)
        angles = [math.pi * level, 2 * math.pi * level]
        waves = [wave(angle) for angle in angles for wave in (ops.cos, ops.sin)]
        return ops.concatenate(waves, axis=-1)

    def compute_output_shape(self, x_shape: tuple, t_shape: tuple) -> tuple:
        return (*x_shape[:-1], 4 * x_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "deviation": self.deviation}


def conditioning_vector(inputs: Sequence[Tensor], channels: int) -> Tensor:
    """The vector of a time and a class that a network's layers are modulated by.

    silu(W₂·silu(W₁·embedding of t) + the class's row of a table). A class of zeros
    only adds nothing, and stands for no class.

    Args:
        inputs: A network's inputs after the images: times (n,) and, if it has classes,
            one-hot classes (n, num_classes).
        channels: Channels of the vector.

    Returns:
        Tensor (n, channels).
    """
    times, *classes = inputs
    vector = layers.Dense(channels, activation="silu")(
        TimeEmbedding(dtype="float32")(times)
    )
    vector = layers.Dense(channels)(vector)
    if classes:
        of_class = layers.Dense(channels, use_bias=False, name="class_embedding")
        vector = layers.Add()([vector, of_class(*classes)])
    return layers.Activation("silu")(vector)


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
