"""A learned, invertible change of variables: the prior of a latent space."""

from typing import Any

import keras
from keras import ops

from tfattn._checks import check_integer
from tfattn._typing import Shape, Tensor
from tfattn.densities import bounded_features, standard_normal_log_density


@keras.saving.register_keras_serializable(package="tfattn")
class CouplingFlow(keras.layers.Layer):
    """Density of vectors through affine coupling layers (RealNVP).

    With z of shape (batch, d) and its halves (z_a, z_b), each coupling layer does

    1. (s, t) = network(z_a, condition), each of the size of z_b
    2. z_b ← z_b · exp(s) + t, with |s| < 2

    and the next one exchanges the roles of the halves. After all of them z has become
    u, and log p(z) = log N(u; 0, I) + Σ s. With no coupling layer p is the standard
    normal; with any number it is so at the start, because the networks' last layers
    start at zero.

    Source: Dinh et al., *Density estimation using Real NVP*, arXiv:1605.08803,
    equations 7 and 8 (their s and t are ours).

    Args:
        num_layers: Number of coupling layers, 0 or more.
        units: Width of the two hidden layers of each network.

    Call arguments:
        z: Tensor (batch, d), d at least 2.
        condition: Optional tensor (batch, k) on which the density depends.

    Output:
        u of shape (batch, d) and log p(z) of shape (batch,), in nats.

    Example:
        >>> u, log_density = tfattn.layers.CouplingFlow(4)(keras.ops.zeros((2, 6)))
        >>> log_density.shape
        (2,)
    """

    def __init__(self, num_layers: int, units: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_layers = check_integer("num_layers", num_layers, least=0)
        self.units = check_integer("units", units, least=1)
        self.networks = []

    def build(self, z_shape: Shape, condition_shape: Shape | None = None) -> None:
        size = z_shape[-1] if len(z_shape) == 2 else None
        if size is None or size < 2:
            raise ValueError(
                "CouplingFlow divides its vectors in two and expects at least 2 "
                f"entries. Received: z_shape={tuple(z_shape)}"
            )
        for index in range(self.num_layers):
            fixed, moved = self._halves(index, size)
            conditioned = fixed + (0 if condition_shape is None else condition_shape[1])
            network = [
                keras.Input((conditioned,)),
                self._dense(self.units, activation="silu"),
                self._dense(self.units, activation="silu"),
                self._dense(2 * moved, kernel_initializer="zeros"),
            ]
            self.networks.append(keras.Sequential(network, name=f"network_{index}"))

    def _dense(self, units, **arguments):
        return keras.layers.Dense(units, dtype=self.dtype_policy, **arguments)

    @staticmethod
    def _halves(index, size):
        """Numbers of entries that coupling layer `index` keeps and changes."""
        first = size // 2
        return (first, size - first) if index % 2 == 0 else (size - first, first)

    def _scale_and_shift(self, index, fixed, condition):
        if condition is not None:
            fixed = ops.concatenate([fixed, condition], axis=-1)
        outputs = self.networks[index](bounded_features(fixed))
        scale, shift = ops.split(outputs, 2, axis=-1)
        return 2 * ops.tanh(scale / 2), bounded_features(shift)

    def call(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # Even layers keep the front half and change the back half; swapping the
        # halves after each layer makes every layer look even.
        log_determinant = 0.0
        for index in range(self.num_layers):
            size = self._halves(index, z.shape[-1])[0]
            fixed, moved = z[:, :size], z[:, size:]
            scale, shift = self._scale_and_shift(index, fixed, condition)
            moved = moved * ops.exp(scale) + shift
            log_determinant = log_determinant + ops.sum(scale, axis=-1)
            z = ops.concatenate([moved, fixed], axis=-1)
        return z, standard_normal_log_density(z) + log_determinant

    def inverse(self, u: Tensor, condition: Tensor | None = None) -> Tensor:
        """The z whose image is u: turns standard normal noise into samples of p.

        Args:
            u: Tensor (batch, d).
            condition: As for the call.

        Returns:
            Tensor (batch, d).
        """
        for index in reversed(range(self.num_layers)):
            size = self._halves(index, u.shape[-1])[1]
            moved, fixed = u[:, :size], u[:, size:]
            scale, shift = self._scale_and_shift(index, fixed, condition)
            moved = (moved - shift) * ops.exp(-scale)
            u = ops.concatenate([fixed, moved], axis=-1)
        return u

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "units": self.units,
        }
