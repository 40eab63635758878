"""Upsampling by unfolding channels."""

import keras
from keras import ops

from tfattn._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="tfattn")
class DepthToSpace(keras.layers.Layer):
    """Doubles height and width by unfolding four channels into a 2×2 block.

    Source: Shi et al., *Real-Time Single Image and Video Super-Resolution Using an
    Efficient Sub-Pixel Convolutional Neural Network*, arXiv:1609.05158, equation 4.

    Call arguments:
        x: Tensor (batch, h, w, 4·c) of known height, width and channels.

    Output:
        Tensor (batch, 2·h, 2·w, c).
    """

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 4 or None in input_shape[1:] or input_shape[3] % 4:
            raise ValueError(
                "Expected (batch, h, w, 4·c), all known but the batch. Received: "
                f"input_shape={tuple(input_shape)}"
            )

    def call(self, x: Tensor) -> Tensor:
        _, h, w, c = x.shape
        x = ops.reshape(x, (-1, h, w, 2, 2, c // 4))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, 2 * h, 2 * w, c // 4))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        b, h, w, c = input_shape
        return (b, 2 * h, 2 * w, c // 4)
