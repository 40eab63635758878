"""What self-attention is compared with: layers as large that cannot choose a place.

Both have the weights of `SelfAttention2D` with c channels, key_ratio 8 and
value_ratio 2: four matrices of 2·c·(c/8) + 2·c·(c/2) = 1.25·c² entries in all, and γ.
"""

import keras
from keras import ops

from tfattn.layers.spectral_norm import SpectralNorm


class _Control2D(keras.layers.Layer):
    """y = x + γ·f(x)·W_o with f of 5c/8 channels, γ learned from 0."""

    def __init__(self, spectral_norm=False, **kwargs):
        super().__init__(**kwargs)
        self.spectral_norm = spectral_norm

    def build(self, input_shape):
        if len(input_shape) != 4:
            raise ValueError(
                f"{type(self).__name__} expects a 4-dimensional input (batch, height, "
                f"width, channels). Received: input_shape={tuple(input_shape)}"
            )
        channels = input_shape[-1]
        hidden = max(1, 5 * channels // 8)
        self.value_kernel = self.add_weight(
            shape=(channels, hidden), initializer="glorot_uniform", name="value_kernel"
        )
        self.output_kernel = self.add_weight(
            shape=(hidden, channels), initializer="glorot_uniform", name="output_kernel"
        )
        self.gamma = self.add_weight(shape=(), initializer="zeros", name="gamma")
        if self.spectral_norm:
            self.value_norm = SpectralNorm(name="value_norm")
            self.value_norm.build(self.value_kernel.shape)
            self.output_norm = SpectralNorm(name="output_norm")
            self.output_norm.build(self.output_kernel.shape)

    def call(self, x, training=None):
        value_kernel, output_kernel = self.value_kernel, self.output_kernel
        if self.spectral_norm:
            value_kernel = self.value_norm(value_kernel, training=training)
            output_kernel = self.output_norm(output_kernel, training=training)
        hidden = self.transform(ops.matmul(x, value_kernel))
        return x + self.gamma * ops.matmul(hidden, output_kernel)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "spectral_norm": self.spectral_norm}


@keras.saving.register_keras_serializable(package="tfattn")
class ResidualBlock2D(_Control2D):
    """A residual block of 1×1 convolutions: y = x + γ·silu(x·W_v)·W_o.

    Each position sees itself alone.

    Args:
        spectral_norm: Whether both kernels are divided by their largest singular
            value, see `SpectralNorm`.

    Call arguments:
        x: Tensor (batch, h, w, c).

    Output:
        Tensor (batch, h, w, c).
    """

    def transform(self, value):
        return ops.silu(value)


@keras.saving.register_keras_serializable(package="tfattn")
class UniformAttention2D(_Control2D):
    """Attention that weighs all positions alike: y = x + γ·mean(x·W_v)·W_o.

    Each position sees all others, and cannot prefer any.

    Args:
        spectral_norm: Whether both kernels are divided by their largest singular
            value, see `SpectralNorm`.

    Call arguments:
        x: Tensor (batch, h, w, c).

    Output:
        Tensor (batch, h, w, c).
    """

    def transform(self, value):
        return ops.mean(value, axis=(1, 2), keepdims=True)
