"""The moving average of a network's weights, in one place for all models."""

from typing import Any

import keras
from keras import ops

from tfattn._typing import Tensor


def averaged_copy(network: keras.Model, copy: keras.Model) -> keras.Model:
    """The copy with the network's weights, and never trained."""
    copy.set_weights(network.get_weights())
    copy.trainable = False
    return copy


def move_average(
    average: keras.Model, network: keras.Model, decay: float, step: Tensor
) -> None:
    """Moves an average toward a network: a ← w + d (a − w), for each weight.

    With s the number of steps before this one, d = min(decay, (1 + s)/(10 + s)): early
    on the average is shorter, so that it soon forgets the weights it started from. All
    weights are averaged, those that no gradient trains as well.

    Args:
        average, network: Models of the same weights; the average's of full precision.
        decay: The decay d of late steps, in [0, 1).
        step: The number s, a scalar.
    """
    step = ops.cast(step, "float32")
    Averaging()(step, average=average, network=network, decay=decay)


class Averaging(keras.layers.Layer):
    """`move_average` as a layer: Keras rounds no weight inside one without autocast.

    Inside a model's `call` under mixed precision, weights are read in half precision.
    An average that is rounded in each step stands still: its own steps are smaller.
    """

    def __init__(self) -> None:
        super().__init__(autocast=False, dtype="float32")

    def call(self, step: Tensor, *, average: Any, network: Any, decay: float) -> Tensor:
        decay = ops.minimum(decay, (1 + step) / (10 + step))
        for mean, weight in zip(average.weights, network.weights, strict=True):
            value = ops.cast(weight, mean.dtype)
            mean.assign(value + ops.cast(decay, mean.dtype) * (mean - value))
        return step
