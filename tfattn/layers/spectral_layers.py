"""Keras's convolution and dense layer with a spectrally normalized kernel."""

import keras

from tfattn._typing import Shape, Tensor
from tfattn.layers.spectral_norm import SpectralNorm


class _SpectralKernel(keras.layers.Layer):
    """Puts `SpectralNorm` between a layer's kernel and its use."""

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.norm = SpectralNorm(dtype=self.dtype_policy, name="norm")
        self.norm.build(self.kernel.shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        kernel = self.norm(self.kernel, training=training)
        outputs = self.apply_kernel(inputs, kernel)
        if self.use_bias:
            outputs = outputs + keras.ops.cast(self.bias, outputs.dtype)
        return self.activation(outputs)


@keras.saving.register_keras_serializable(package="tfattn")
class SpectralConv2D(_SpectralKernel, keras.layers.Conv2D):
    """`keras.layers.Conv2D` that uses W/σ in place of its kernel W.

    The kernel (height, width, inputs, outputs) is normalized as a matrix
    (height·width·inputs, outputs), see `SpectralNorm`. Arguments, input and output
    are those of `keras.layers.Conv2D`, with `channels_last` images.

    Source: Miyato et al., arXiv:1802.05957, section 3.
    """

    def apply_kernel(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The convolution of the inputs with this kernel."""
        return self.convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable(package="tfattn")
class SpectralDense(_SpectralKernel, keras.layers.Dense):
    """`keras.layers.Dense` that uses W/σ in place of its kernel W, see `SpectralNorm`.

    Arguments, input and output are those of `keras.layers.Dense`. Keras quantizes no
    subclass of its layers: after `quantize` of a model, this one computes as before.

    Source: Miyato et al., arXiv:1802.05957, section 3.
    """

    def apply_kernel(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """The product of the inputs with this kernel."""
        return keras.ops.matmul(inputs, kernel)
