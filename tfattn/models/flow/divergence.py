"""The divergence of a velocity field, by differentiation, on each backend."""

from collections.abc import Callable

import keras
from keras import ops

from tfattn._typing import Tensor


def hutchinson(
    velocity: Callable[[Tensor], Tensor], x: Tensor, probe: Tensor
) -> tuple[Tensor, Tensor]:
    """A velocity, and an unbiased estimate of its divergence.

    The estimate is εᵀ J ε with J the Jacobian and ε the probe, whose entries are
    independent of mean 0 and variance 1.

    Source: Grathwohl et al., *FFJORD*, arXiv:1810.01367, equation 7.

    Args:
        velocity: Function of x that treats each of the n entries by itself.
        x: Tensor (n, ...).
        probe: Tensor of the shape of x.

    Returns:
        The velocity, of the shape of x, and the estimate (n,).
    """
    value, product = _vector_jacobian_product(velocity, x, probe)
    axes = tuple(range(1, len(x.shape)))
    return value, ops.sum(product * probe, axis=axes)


def exact(velocity: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """A velocity, and its divergence: the sum of ∂v_i/∂x_i.

    It takes one pass through the network for each entry of an image.

    Args:
        velocity: Function of x that treats each of the n entries by itself.
        x: Tensor (n, ...), its sizes but n known.

    Returns:
        The velocity, of the shape of x, and the divergence (n,).
    """
    n, *sizes = ops.shape(x)
    size = 1
    for known in sizes:
        size *= known

    def add(i, total):
        unit = ops.cast(ops.arange(size) == i, "float32")
        probe = ops.broadcast_to(ops.reshape(unit, (1, *sizes)), ops.shape(x))
        return total + hutchinson(velocity, x, probe)[1]

    return velocity(x), ops.fori_loop(0, size, add, ops.zeros((n,)))


def _vector_jacobian_product(function, x, cotangent):
    """function(x), and the gradient of Σ function(x) · cotangent with respect to x."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return value, tape.gradient(value, x, output_gradients=cotangent)
    if backend == "jax":
        import jax  # pyright: ignore[reportMissingImports]

        value, gradient = jax.vjp(function, x)
        return value, gradient(cotangent)[0]
    import torch  # pyright: ignore[reportMissingImports]

    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        value = function(x)
        (product,) = torch.autograd.grad(value, x, cotangent)
    return value.detach(), product
