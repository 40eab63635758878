"""Spectral normalization of a weight: W/σ inside the forward pass."""

import keras
from keras import ops

from tfattn._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="tfattn")
class SpectralNorm(keras.layers.Layer):
    """Divides a kernel by an estimate of its largest singular value.

    With the kernel reshaped to a matrix W of shape (inputs, outputs), and the layer's
    state u, an estimate of W's leading right singular vector:

    1. v = W u / |W u|, the left singular vector, shape (inputs,)
    2. u' = Wᵀ v / |Wᵀ v|, shape (outputs,)
    3. σ = |Wᵀ v| = vᵀ W u'
    4. the result is W / σ; when training, u' replaces u

    A kernel of zeros stays zero, and u keeps its value.

    u and v are constants to the gradient, σ is not, so d(W/σ)/dW contains the term
    that `keras.layers.SpectralNormalization` leaves out. The kernel itself is never
    overwritten: two passes of one training step see the same weights.

    Source: Miyato et al., *Spectral Normalization for Generative Adversarial
    Networks*, arXiv:1802.05957, algorithm 1. Their W is our Wᵀ, so u is a left
    singular vector of theirs.

    Call arguments:
        kernel: Tensor or variable of shape (..., outputs).
        training: When `True`, the estimate u advances by the power iteration.

    Output:
        Tensor of the shape of `kernel`.

    Example:
        >>> norm = tfattn.layers.SpectralNorm()
        >>> norm(keras.ops.ones((3, 5)), training=True).shape
        (3, 5)
    """

    def build(self, kernel_shape: Shape) -> None:
        self.right_singular_vector = self.add_weight(
            shape=(kernel_shape[-1],),
            initializer=keras.initializers.RandomNormal(),
            trainable=False,
            # A half-precision estimate stops converging at its rounding error.
            dtype="float32",
            autocast=False,
            name="right_singular_vector",
        )

    def call(self, kernel: Tensor, training: bool | None = None) -> Tensor:
        matrix = ops.cast(ops.reshape(kernel, (-1, kernel.shape[-1])), "float32")
        u = ops.reshape(self.right_singular_vector, (-1, 1))  # (out, 1)
        v = ops.matmul(matrix, u)  # (in, 1)
        v = ops.stop_gradient(v / _length(v)[0])
        product = ops.matmul(ops.transpose(matrix), v)  # (out, 1)
        # With v constant its gradient is v u'ᵀ, that of vᵀ W u'.
        sigma, is_positive = _length(product)
        if training:
            # The power iteration would never leave 0 again.
            u = ops.where(is_positive, product / sigma, u)
            self.right_singular_vector.assign(ops.reshape(u, (-1,)))
        return ops.cast(ops.cast(kernel, "float32") / sigma, kernel.dtype)

    def compute_output_shape(self, kernel_shape: Shape) -> Shape:
        return kernel_shape


def _length(vector):
    """|vector|, or 1 in place of 0, and whether it was above 0."""
    squared = ops.sum(ops.square(vector))
    is_positive = squared > 0
    return ops.sqrt(ops.where(is_positive, squared, 1.0)), is_positive
