"""What tells a Transformer the positions of a sequence or a grid."""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from tfattn._checks import check_choice
from tfattn._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="tfattn")
class PositionalEncoding(keras.layers.Layer):
    """Adds to each vector of a sequence or a grid what tells its position.

    * `"learned"`: one table for each axis, of which each position adds its row: on a
      grid, that of its row and that of its column.
    * `"sinusoidal"`: of k axes each has 1/k of the channels. With d of them, position
      p has sin(p/10000^(2i/d)) in channel 2i and cos(p/10000^(2i/d)) in channel 2i+1.

    Source: Vaswani et al., *Attention Is All You Need*, arXiv:1706.03762, section 3.5;
    two axes as in Parmar et al., *Image Transformer*, arXiv:1802.05751, section 3.1.

    Args:
        kind: `"learned"` or `"sinusoidal"`.

    Call arguments:
        x: Tensor (batch, n, channels) or (batch, rows, columns, channels); sizes other
            than the batch's must be known.
        start: Position of the first vector of a sequence (batch, n, channels), which
            then may be shorter than the one that the layer was built for.

    Output:
        Tensor of the shape of `x`.

    Raises:
        ValueError: For an unknown kind, unknown sizes or others than those it was built
            for, or, if sinusoidal, channels that two for each axis do not divide.
    """

    def __init__(
        self, kind: Literal["learned", "sinusoidal"] = "learned", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_choice("kind", kind, ["learned", "sinusoidal"])
        self.kind = kind
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        _, *sizes, channels = input_shape
        if not sizes or None in (*sizes, channels):
            raise ValueError(
                "Expected (batch, positions…, channels), all known but the batch. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.sizes = tuple(sizes)
        if self.kind == "learned":
            self.tables = [
                self.add_weight(
                    shape=(size, channels),
                    initializer=keras.initializers.RandomNormal(stddev=0.02),
                    name=f"axis_{axis}",
                )
                for axis, size in enumerate(sizes)
            ]
        elif channels % (2 * len(sizes)):
            raise ValueError(
                f"Expected channels divisible by {2 * len(sizes)}, two for each axis. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        else:
            self.fixed = _sinusoids(sizes, channels)

    def encodings(self) -> Tensor:
        """What is added: tensor (positions…, channels)."""
        if self.kind == "sinusoidal":
            return ops.cast(self.fixed, self.compute_dtype)
        rank = len(self.sizes)
        found = 0.0
        for axis, table in enumerate(self.tables):
            others = [i for i in range(rank) if i != axis]
            found = found + ops.expand_dims(ops.cast(table, self.compute_dtype), others)
        return found

    def call(self, x: Tensor, start: int | Tensor | None = None) -> Tensor:
        sizes = x.shape[1:-1]
        if start is not None:
            return x + self._from(start, x)
        if len(sizes) != len(self.sizes) or any(
            found not in (None, size)
            for found, size in zip(sizes, self.sizes, strict=True)
        ):
            raise ValueError(
                f"Expected the positions that the layer was built for, {self.sizes}. "
                f"Received: x of shape {tuple(x.shape)}"
            )
        return x + self.encodings()

    def _from(self, start, x):
        """What is added to a part of a sequence."""
        shape = tuple(x.shape)
        if len(self.sizes) != 1 or len(shape) != 3 or shape[1] is None:
            raise ValueError(
                "Expected a part of a sequence, (batch, n, channels), n known, where "
                f"there is a start. Received: x of shape {shape}, start={start}"
            )
        (length,), n = self.sizes, shape[1]
        if isinstance(start, int) and not 0 <= start <= length - n:
            raise ValueError(
                f"Expected {n} of the positions 0 to {length - 1} from start on. "
                f"Received: start={start}"
            )
        return ops.slice(self.encodings(), (start, 0), (n, shape[2]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}


def _sinusoids(sizes, channels):
    """NumPy array (*sizes, channels), see `PositionalEncoding`."""
    d = channels // len(sizes)
    parts = []
    for axis, size in enumerate(sizes):
        angles = np.arange(size)[:, None] / 10000 ** (np.arange(0, d, 2) / d)
        waves = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(size, d)
        shape = [1] * len(sizes) + [d]
        shape[axis] = size
        parts.append(np.broadcast_to(waves.reshape(shape), (*sizes, d)))
    return np.concatenate(parts, axis=-1).astype("float32")
