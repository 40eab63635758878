"""A spatial gate: how much each position of a feature map is amplified."""

from typing import Any

import keras
from keras import layers

from tfattn._checks import check_integer
from tfattn._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="tfattn")
class AttentionGate(layers.Layer):
    """Amplifies each position of a feature map by a factor between 1 and 2.

    1. h = relu(conv(x)) with `filters` channels; x itself without `filters`
    2. m = sigmoid(conv(h)), one channel: (batch, h, w, 1)
    3. y = x · (1 + m)

    Convolutions keep the size. Unlike in self-attention, the weight of a position
    depends on its neighborhood alone, and the map does not sum to 1.

    Source: Wang et al., *Residual Attention Network*, arXiv:1704.06904, equation 3;
    Woo et al., *CBAM*, arXiv:1807.06521, equation 3 (a 7×7 convolution).

    Args:
        filters: Channels of h, or `None` for a single convolution.
        kernel_size: Side of both convolutions' kernels.

    Call arguments:
        x: Tensor (batch, h, w, c). Batch, height and width may be unknown.
        return_attention_scores: When `True`, m is returned as well.

    Output:
        Tensor of the shape of `x`; with `return_attention_scores=True` also the map
        (batch, h, w, 1), each entry between 0 and 1.

    Raises:
        ValueError: For sizes below 1 or an input of another rank.

    Example:
        >>> layer = tfattn.layers.AttentionGate(kernel_size=3)
        >>> layer(keras.random.normal((2, 6, 10, 16))).shape
        (2, 6, 10, 16)
    """

    def __init__(
        self, filters: int | None = None, kernel_size: int = 7, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if filters is not None:
            filters = check_integer("filters", filters, least=1)
        kernel_size = check_integer("kernel_size", kernel_size, least=1)
        self.filters = filters
        self.kernel_size = kernel_size
        shared = {
            "kernel_size": kernel_size,
            "padding": "same",
            "data_format": "channels_last",
            "dtype": self.dtype_policy,
        }
        self.hidden = None
        if filters is not None:
            self.hidden = layers.Conv2D(
                filters, activation="relu", name="hidden", **shared
            )
        self.gate = layers.Conv2D(1, activation="sigmoid", name="gate", **shared)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 4 or not input_shape[-1]:
            raise ValueError(
                "AttentionGate expects a 4-dimensional input (batch, height, width, "
                "channels), the channels known. Received: "
                f"input_shape={tuple(input_shape)}"
            )
        if self.hidden:
            self.hidden.build(input_shape)
            input_shape = (*input_shape[:3], self.filters)
        self.gate.build(input_shape)

    def call(
        self, x: Tensor, return_attention_scores: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        scores = self.gate(self.hidden(x) if self.hidden else x)
        y = x * (1 + scores)
        return (y, scores) if return_attention_scores else y

    def compute_output_spec(
        self, x: Tensor, return_attention_scores: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        y = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return y
        scores = keras.KerasTensor((*x.shape[:3], 1), dtype=self.compute_dtype)
        return y, scores

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
        }
