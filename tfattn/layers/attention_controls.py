"""What self-attention is compared with: layers as large that cannot choose a place.

Both have the weights of `SelfAttention2D` with c channels, key_ratio 8 and
value_ratio 2: four matrices of 2·c·(c/8) + 2·c·(c/2) = 1.25·c² entries in all, and γ.
"""

from typing import Any

import keras
from keras import ops

from tfattn._typing import Shape, Tensor
from tfattn.layers.spectral_layers import SpectralDense


class _Control2D(keras.layers.Layer):
    """y = x + γ·f(x)·W_o with f of 5c/8 channels, γ learned from 0."""

    def __init__(self, spectral_norm: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spectral_norm = spectral_norm

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 4 or not input_shape[-1]:
            raise ValueError(
                f"{type(self).__name__} expects a 4-dimensional input (batch, height, "
                "width, channels), the channels known. Received: "
                f"input_shape={tuple(input_shape)}"
            )
        channels = input_shape[-1]
        hidden = max(1, 5 * channels // 8)
        self.value_dense = self._projection("value", channels, hidden)
        self.output_dense = self._projection("output", hidden, channels)
        self.gamma = self.add_weight(shape=(), initializer="zeros", name="gamma")

    def _projection(self, name, inputs, outputs):
        dense = SpectralDense if self.spectral_norm else keras.layers.Dense
        projection = dense(outputs, use_bias=False, dtype=self.dtype_policy, name=name)
        projection.build((None, inputs))
        return projection

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        hidden = self.transform(self.value_dense(x, training=training))
        return x + self.gamma * self.output_dense(hidden, training=training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
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

    def transform(self, value: Tensor) -> Tensor:
        """silu at each position."""
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

    def transform(self, value: Tensor) -> Tensor:
        """The mean of all positions."""
        return ops.mean(value, axis=(1, 2), keepdims=True)
