"""Compilation of a model's functions, where the backend has a compiler."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def compiled(
    model: keras.Model, function: Callable[..., Any], jit_compile: bool = False
) -> Callable[..., Any]:
    """A function of tensors, compiled once for each shape of its arguments.

    The weights of the model are read anew in each call. No gradient flows through it.

    Args:
        model: The model whose weights `function` reads.
        function: Takes and returns nested structures of tensors.
        jit_compile: Whether XLA compiles it on TensorFlow, too. In a loop it writes
            into a tensor in place, which TensorFlow copies.

    Returns:
        A function with the same arguments and results.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        graph: Any = None
        variables: list[keras.Variable] = []

        def current(*arguments):
            nonlocal graph, variables
            # Quantization and LoRA put others in the place of those in a graph.
            found = model.variables
            if [*map(id, found)] != [*map(id, variables)]:
                graph = tf.function(
                    function, reduce_retracing=True, jit_compile=jit_compile
                )
                variables = found
            return graph(*keras.tree.map_structure(_as_tensor, arguments))

        return current
    if backend == "jax":
        import jax  # pyright: ignore[reportMissingImports]

        # Weights that a function closes over would be constants of its program.
        def stateless(values, *arguments):
            mapping = zip(model.variables, values, strict=True)
            with keras.StatelessScope(state_mapping=list(mapping)):
                return function(*arguments)

        jitted = jax.jit(stateless)
        return lambda *arguments: jitted(
            [variable.value for variable in model.variables], *arguments
        )
    import torch  # pyright: ignore[reportMissingImports]

    return torch.no_grad()(function)


def _as_tensor(argument):
    """Python's numbers as tensors: for each new one TensorFlow would compile anew."""
    if isinstance(argument, int | float):
        return ops.convert_to_tensor(argument)
    return argument
