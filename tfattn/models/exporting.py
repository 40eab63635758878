"""Functions of a model, as Keras models whose `export` other programs can run."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfattn._typing import Tensor


class ExportedFunction(keras.Model):
    """A function of a model, as a model of its own with the same weights.

    Args:
        model: The model whose weights the function reads.
        function: Takes a tensor for each input.
        signature: A `keras.InputSpec` for each input.
    """

    def __init__(
        self,
        model: keras.Model,
        function: Callable[..., Any],
        signature: Sequence[keras.layers.InputSpec],
    ) -> None:
        super().__init__()
        self.model = model
        self.function = function
        self.signature = signature
        self.built = True

    def call(self, inputs: Tensor | Sequence[Tensor]) -> Any:
        if not isinstance(inputs, list | tuple):
            inputs = [inputs]
        return self.function(*inputs)


def tensor_input(
    name: str, *sizes: int, dtype: str = "float32"
) -> keras.layers.InputSpec:
    """An input (n, *sizes), for any n."""
    return keras.layers.InputSpec(dtype=dtype, shape=(None, *sizes), name=name)
