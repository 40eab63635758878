"""Models for programs without this package: `export` of one function at a time."""

import os
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


class ExportableModel(keras.Model):
    """A model with several functions that can be exported, by name.

    A subclass defines `_exported_functions()`, a dictionary of `ExportedFunction`, and
    describes them under "Exported functions" in its docstring.
    """

    # Those that draw random numbers, or write into a cache in a loop.
    NOT_IN_ONNX: Sequence[str] = ()

    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str = "tf_saved_model",
        *,
        function: str = "call",
        **kwargs: Any,
    ) -> None:
        """`keras.Model.export`: one function of the model, for other programs.

        On TensorFlow, and as a SavedModel on JAX.

        The exported function takes its inputs as float32, any number n of images at
        once: those of `call`, or those that the class lists under "Exported functions".
        Classes (n,) are int32, and so are words as numbers (n, max_words), see
        `WordTokenizer.tokenize`.

        Args:
            filepath: Folder or file to write, for ONNX `.onnx`, for LiteRT `.tflite`.
            format: `"tf_saved_model"`, `"onnx"` (needs tf2onnx), `"litert"` or another
                one that Keras knows.
            function: Name of the exported function.
            **kwargs: As for `keras.Model.export`.

        Raises:
            ValueError: For a function that the class does not list, or that ONNX
                cannot express; on torch, whose exporters do not take these models.
        """
        if keras.backend.backend() == "torch":
            raise ValueError(
                "Expected KERAS_BACKEND=tensorflow, or jax for a SavedModel, to export "
                "a model; one that was saved can be loaded there. Received: torch"
            )
        exported = self._exported_functions()
        if function not in exported:
            raise ValueError(
                f"Expected function in {sorted(exported)}. Received: "
                f"function={function!r}"
            )
        if format == "onnx" and function in self.NOT_IN_ONNX:
            others = sorted(set(exported) - set(self.NOT_IN_ONNX))
            raise ValueError(
                "ONNX has no random numbers, and no cache that a loop writes to. "
                f"Expected function in {others}. Received: function={function!r}"
            )
        model = exported[function]
        # One argument, a list where there are several inputs, as for `call`.
        inputs = list(model.signature)
        kwargs.setdefault("input_signature", inputs if len(inputs) == 1 else [inputs])
        model.export(filepath, format, **kwargs)

    def _exported_functions(self) -> dict[str, ExportedFunction]:
        """What `export` can write, by name."""
        raise NotImplementedError
