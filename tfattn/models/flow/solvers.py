"""Explicit Runge-Kutta methods for ordinary differential equations, in one loop."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from tfattn._typing import Tensor


class Solver(NamedTuple):
    """An explicit Runge-Kutta method by its Butcher tableau.

    With step size h, stage i evaluates k_i = f(x + h Σ_j a_ij k_j, t + c_i h), j < i,
    and the step is x ← x + h Σ_i b_i k_i. The error of a solution falls with the power
    `order` of h.

    Source: Hairer, Nørsett & Wanner, *Solving Ordinary Differential Equations I*,
    section II.1.

    Attributes:
        a: For each stage its weights of the stages before.
        b: The weight of each stage.
        order: Order of the method.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int


SOLVERS = {
    "euler": Solver(((),), (1.0,), 1),
    "midpoint": Solver(((), (1 / 2,)), (0.0, 1.0), 2),
    "heun": Solver(((), (1.0,)), (1 / 2, 1 / 2), 2),
    "rk4": Solver(
        ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), 4
    ),
}


def integrate(
    derivative: Callable[[Any, Tensor], Any],
    state: Any,
    solver: str,
    num_steps: int | Tensor,
    start: float | Tensor = 0.0,
    end: float | Tensor = 1.0,
) -> Any:
    """Solves dx/dt = derivative(x, t) by steps of equal size.

    Args:
        derivative: Function of a state and a time, a scalar tensor; returns a structure
            like the state.
        state: The state at `start`, a nested structure of float32 tensors.
        solver: A name in `SOLVERS`.
        num_steps: Number of steps.
        start, end: The times; `end` may be before `start`.

    Returns:
        The state at `end`.
    """
    a, b, _ = SOLVERS[solver]
    start, end = (ops.convert_to_tensor(time, "float32") for time in (start, end))
    h = (end - start) / ops.cast(num_steps, "float32")

    def step(i, state):
        t = start + h * ops.cast(i, "float32")
        slopes = []
        for weights in a:
            there = _moved(state, slopes, weights, h)
            slopes.append(derivative(there, t + sum(weights) * h))
        return _moved(state, slopes, b, h)

    return ops.fori_loop(0, num_steps, step, state)


def _moved(state, slopes, weights, h):
    """state + h Σ weight · slope, over those weights that are not 0."""
    terms = [(w, k) for w, k in zip(weights, slopes, strict=True) if w]
    for weight, slope in terms:
        state = keras.tree.map_structure(
            lambda x, k, weight=weight: x + weight * h * k, state, slope
        )
    return state
