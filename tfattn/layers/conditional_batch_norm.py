"""Batch normalization whose scale and shift depend on the class."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from tfattn._checks import check_above_0, check_share
from tfattn._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="tfattn")
class ConditionalBatchNormalization(layers.Layer):
    """Normalizes each channel over the batch, then scales and shifts it by class.

    1. x̂ = (x − mean) / √(variance + ε), as `keras.layers.BatchNormalization`
    2. y = (1 + scale[class]) ⊙ x̂ + shift[class], both learned

    Source: de Vries et al., *Modulating early visual processing by language*,
    arXiv:1707.00683, section 3; Miyato & Koyama, arXiv:1802.05637, appendix A.

    Args:
        shift_initializer: Of the shifts; the scales start at 0. With random shifts
            classes differ from the first step on, where an optimizer like Adam would
            need thousands of steps to move them apart.
        epsilon: ε.
        momentum: Share of the old value that each moving average keeps in a step.
        synchronized: Whether the batch is that of all replicas of a
            `tf.distribute` strategy, on TensorFlow.

    Call arguments:
        inputs: Tensor (batch, ..., channels) and one-hot classes (batch, classes).
        training: Whether the statistics are the batch's or the moving averages.

    Output:
        Tensor of the shape of the first input.
    """

    def __init__(
        self,
        shift_initializer: str | keras.initializers.Initializer = "zeros",
        epsilon: float = 1e-3,
        momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_above_0("epsilon", epsilon)
        check_share("momentum", momentum)
        self.shift_initializer = keras.initializers.get(shift_initializer)
        # Its dtype is ours: a policy given to this layer must reach its parts.
        self.norm = layers.BatchNormalization(
            -1,
            momentum,
            epsilon,
            scale=False,
            center=False,
            synchronized=synchronized,
            dtype=self.dtype_policy,
            # Read by its `call`, and `False` here when such a layer is loaded.
            trainable=self.trainable,
            name="norm",
        )

    def build(self, input_shape: Sequence[Shape]) -> None:
        features, classes = input_shape
        self.norm.build(features)
        shared = {"units": features[-1], "use_bias": False, "dtype": self.dtype_policy}
        self.scale = layers.Dense(kernel_initializer="zeros", name="scale", **shared)
        self.shift = layers.Dense(
            kernel_initializer=self.shift_initializer, name="shift", **shared
        )
        self.scale.build(classes)
        self.shift.build(classes)

    def call(self, inputs: Sequence[Tensor], training: bool | None = None) -> Tensor:
        x, classes = inputs
        normalized = self.norm(x, training=training)
        # (batch, channels), between them one axis of size 1 for each of x's.
        between = tuple(range(1, len(x.shape) - 1))
        scale = ops.expand_dims(self.scale(classes), between)
        shift = ops.expand_dims(self.shift(classes), between)
        return (1 + scale) * normalized + shift

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.norm.epsilon,
            "momentum": self.norm.momentum,
            "synchronized": self.norm.synchronized,
            "shift_initializer": keras.initializers.serialize(self.shift_initializer),
        }
