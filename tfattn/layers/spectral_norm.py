"""Spectral normalisation of a weight: W/σ inside the forward pass."""

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
    3. σ = vᵀ W u'
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
        constant = ops.stop_gradient(matrix)
        u = ops.convert_to_tensor(self.right_singular_vector)
        u = ops.expand_dims(u, 1)  # (out, 1)
        v = _unit(ops.matmul(constant, u))  # (in, 1)
        new = _unit(ops.matmul(ops.transpose(constant), v))  # (out, 1)
        if training:
            # The power iteration would never leave 0 again.
            u = ops.where(ops.any(new != 0), new, u)
            self.right_singular_vector.assign(u[:, 0])
        sigma = ops.sum(ops.matmul(matrix, new) * v)
        sigma = ops.where(sigma > 0, sigma, 1.0)
        return ops.cast(ops.cast(kernel, "float32") / sigma, kernel.dtype)

    def compute_output_shape(self, kernel_shape: Shape) -> Shape:
        return kernel_shape


def _unit(vector):
    """The vector at length 1, but 0 where it is 0."""
    length = ops.norm(vector)
    return vector / ops.where(length > 0, length, 1.0)
