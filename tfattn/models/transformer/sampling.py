"""Drawing sequences of tokens, one after the other, in one compiled loop."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from keras import ops

from tfattn._checks import check_integer
from tfattn._typing import Tensor


def draw_tokens(
    next_logits: Callable[[Tensor, Tensor, Any], tuple[Tensor, Any]],
    state: Any,
    uniform: Tensor,
    temperature: Tensor,
    start: int,
    given: Sequence[Tensor] | None,
    pixels: Tensor,
    possible: Tensor | None = None,
) -> Tensor:
    """A sequence in which each token is drawn by its uniform number.

    Of the values of a token, numbered from 0, that one is drawn in whose part of [0, 1)
    the number falls, the parts being as long as the values are probable. So the same
    numbers give the same sequence, however the logits are computed.

    Args:
        next_logits: Function of a step, the sequence so far (n, 1 + tokens) and a
            state; returns the logits (n, values) of the next token and the new state.
        state: The state before the first step, a nested structure of tensors.
        uniform: Tensor (n, tokens) in [0, 1).
        temperature: Scalar that divides the logits.
        start: First number of the sequence.
        given: `None`, or [pixels (n, tokens, p), their visibility (n, tokens, p)]: a
            token may only take values whose visible pixels are the given ones.
        pixels: Pixels of each value of a token, (values, p).
        possible: Whether a token can have a value, (tokens, values); `None` if all can.

    Returns:
        Integer tensor (n, tokens).
    """
    n, length = ops.shape(uniform)

    def body(step, carried):
        sequence, state = carried
        logits, state = next_logits(step, sequence, state)
        logits = logits / temperature
        if possible is not None:  # after a temperature that may be large
            of_step = ops.slice(possible, (step, 0), (1, len(pixels)))
            logits = ops.where(of_step, logits, -np.inf)
        if given is not None:
            of_step = (ops.slice(g, (0, step, 0), (n, 1, g.shape[2])) for g in given)
            fits = fitting_values(pixels, *of_step)[:, 0]
            logits = ops.where(fits, logits, -np.inf)
        cumulative = ops.cumsum(ops.softmax(logits), axis=-1)
        threshold = ops.slice(uniform, (0, step), (n, 1)) * cumulative[:, -1:]
        # As many values as end before the threshold come before the drawn one.
        drawn = ops.sum(
            ops.cast(cumulative <= threshold, "int32"), axis=-1, keepdims=True
        )
        return ops.slice_update(sequence, (0, step + 1), drawn), state

    sequence = ops.full((n, 1 + length), start, dtype="int32")
    sequence, _ = ops.fori_loop(0, length, body, (sequence, state))
    return sequence[:, 1:]


def fitting_values(pixels: Tensor, levels: Tensor, shown: Tensor) -> Tensor:
    """Which values of tokens have the visible pixels that are given.

    Args:
        pixels: Pixels of each value of a token, (values, p).
        levels: Tensor (n, tokens, p): pixels of images.
        shown: Boolean tensor (n, tokens, p): whether they are visible.

    Returns:
        Boolean tensor (n, tokens, values).
    """
    levels, shown = (ops.expand_dims(a, 2) for a in (levels, shown))
    return ops.all(
        ops.logical_or(ops.equal(pixels, levels), ops.logical_not(shown)), axis=-1
    )


def batches(
    arrays: Sequence[Tensor], n: int, batch_size: int
) -> Iterator[list[Tensor]]:
    """Cuts arrays into parts that all have the same number of rows.

    That number is `batch_size`, or for few rows a power of 4: a function is compiled
    for each number anew, which takes seconds. The last row of the last part is repeated
    until the part is full.

    Args:
        arrays: Arrays or tensors (n, ...).
        n: Their number of rows.
        batch_size: Most rows of a part.

    Yields:
        A list of tensors, a part of each array.
    """
    batch_size = check_integer("batch_size", batch_size, least=1)
    size = 1
    while size < n:
        size *= 4
    size = min(size, batch_size)
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        yield [ops.take(array, rows, axis=0) for array in arrays]
