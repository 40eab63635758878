"""A softmax with learned weights, and a gate made of it."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfattn._checks import is_integer
from tfattn._typing import Shape, Tensor
from tfattn.ops import masked_softmax


@keras.saving.register_keras_serializable(package="tfattn")
class AttentionModule(keras.layers.Layer):
    """Importance of each entry along an axis: softmax(w ⊙ x).

    With x of shape (batch, ..., features) and one learned weight per feature:

    1. attention scores s = w ⊙ x, the shape of x
    2. a = exp(s) / Σ exp(s), summed over `axis`, in float32

    `axis=-1` weighs the features of each vector against each other. On a feature map
    (batch, h, w, c), `axis=(1, 2)` weighs its positions, separately for each channel.

    The map sums to 1, so that its mean entry is one over the number of entries that
    compete; multiply it by that number before mixing it with features of unit scale.

    Args:
        axis: Axis, or tuple of axes, over which the map sums to 1. The batch axis
            may not be among them.
        weight_initializer: Initializer of w.

    Call arguments:
        inputs: Tensor of rank 2 or more whose last axis is known.
        mask: Boolean tensor; `True` where an entry may receive weight. It has the
            shape of the leading axes of `inputs`, such as the (batch, steps) that
            Keras passes along; every axis may also be 1. A slice without an
            admitted entry gives zeros.
        sharpness: Factor on the scores, an inverse temperature; 0 gives a uniform
            map.

    Output:
        Tensor of the shape of `inputs`.

    Raises:
        ValueError: If `axis` does not exist or names the batch, or if `mask` does not
            fit.

    Example:
        >>> tfattn.layers.AttentionModule()(keras.ops.zeros((1, 4)))
        [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        weight_initializer: str | keras.initializers.Initializer = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        axes: tuple[Any, ...] = (
            tuple(axis) if isinstance(axis, tuple | list) else (axis,)
        )
        if not axes or not all(map(is_integer, axes)):
            raise ValueError(
                "Expected `axis` to be an integer or a tuple of integers. "
                f"Received: axis={axis!r}"
            )
        numbers = tuple(int(a) for a in axes)
        several = isinstance(axis, tuple | list)
        self.axis: int | tuple[int, ...] = numbers if several else numbers[0]
        self.weight_initializer = keras.initializers.get(weight_initializer)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        rank = len(input_shape)
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        positive = [a + rank if a < 0 else a for a in axes]
        if len(set(positive)) < len(positive) or not all(
            0 < a < rank for a in positive
        ):
            raise ValueError(
                "Expected `axis` to name different axes of the input, the batch axis 0 "
                f"not among them. Received: axis={self.axis}, "
                f"input_shape={tuple(input_shape)}"
            )
        if input_shape[-1] is None:
            raise ValueError(
                "The last axis must be known when AttentionModule is built. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.weight = self.add_weight(
            shape=(input_shape[-1],),
            initializer=self.weight_initializer,
            name="weight",
        )
        self.input_spec = keras.InputSpec(ndim=rank, axes={-1: input_shape[-1]})

    def call(
        self, inputs: Tensor, mask: Tensor | None = None, sharpness: float = 1.0
    ) -> Tensor:
        if mask is not None:
            mask = self._expanded_mask(mask, inputs.shape)
        # float32 before the product, whose overflow a softmax could not undo.
        scores = ops.cast(inputs, "float32") * ops.cast(self.weight, "float32")
        scores = scores * sharpness
        return ops.cast(masked_softmax(scores, self.axis, mask), inputs.dtype)

    def _expanded_mask(self, mask, input_shape):
        mask = ops.convert_to_tensor(mask, dtype="bool")
        rank = len(input_shape)
        if len(mask.shape) > rank or any(
            None not in (size, known) and size not in (1, known)
            for size, known in zip(mask.shape, input_shape, strict=False)
        ):
            raise ValueError(
                "Expected `mask` to have the shape of the leading axes of the input, "
                f"{tuple(input_shape)}. Received: mask of shape {tuple(mask.shape)}"
            )
        missing = rank - len(mask.shape)
        return ops.reshape(mask, (*ops.shape(mask), *([1] * missing)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "weight_initializer": keras.initializers.serialize(self.weight_initializer),
        }


@keras.saving.register_keras_serializable(package="tfattn")
class PositionGate2D(keras.layers.Layer):
    """Emphasizes the positions of a feature map that `AttentionModule` points out.

    With x of shape (batch, h, w, c), n = h·w:

    1. a = AttentionModule over the positions, (batch, h, w, c)
    2. y = x + γ·(n·a − 1)·x, with γ learned from 0

    n·a has mean 1 at every size of map, so that a uniform map changes nothing.

    Call arguments:
        x: Tensor (batch, h, w, c).
        return_attention_scores: When `True`, a is returned as well.
        sharpness: As in `AttentionModule`.
        strength: Factor on γ; 0 switches the gate off.
        key_mask: Boolean tensor (h, w) or (batch, h, w); `True` where a position may
            receive weight.

    Output:
        Tensor (batch, h, w, c), and a of the same shape on request.
    """

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 4:
            raise ValueError(
                "PositionGate2D expects a 4-dimensional input (batch, height, width, "
                f"channels). Received: input_shape={tuple(input_shape)}"
            )
        self.attention_module = AttentionModule(axis=(1, 2), dtype=self.dtype_policy)
        self.attention_module.build(input_shape)
        self.gamma = self.add_weight(shape=(), initializer="zeros", name="gamma")

    def call(
        self,
        x: Tensor,
        return_attention_scores: bool = False,
        sharpness: float = 1.0,
        strength: float = 1.0,
        key_mask: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        if key_mask is not None:
            if len(key_mask.shape) not in (2, 3):
                raise ValueError(
                    "Expected `key_mask` of shape (h, w) or (batch, h, w). Received: "
                    f"key_mask of shape {tuple(key_mask.shape)}"
                )
            if len(key_mask.shape) == 2:
                key_mask = ops.expand_dims(key_mask, 0)
        weights = self.attention_module(x, mask=key_mask, sharpness=sharpness)
        _, h, w, _ = ops.shape(x)
        emphasis = ops.cast(h * w, x.dtype) * weights - 1
        y = x + strength * self.gamma * emphasis * x
        return (y, weights) if return_attention_scores else y

    def compute_output_spec(
        self, x: Tensor, return_attention_scores: bool = False, **kwargs: Any
    ) -> Tensor | tuple[Tensor, Tensor]:
        y = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        return (y, y) if return_attention_scores else y
