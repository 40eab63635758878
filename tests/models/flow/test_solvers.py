"""Solvers and divergences against a flow that is known in closed form."""

import keras
import numpy as np
import pytest
from keras import ops
from oracle import COVARIANCE, GAUSSIAN, MEAN, D, velocity

from tfattn.models.flow.densities import log_density
from tfattn.models.flow.divergence import exact, hutchinson
from tfattn.models.flow.solvers import SOLVERS, integrate

pytestmark = pytest.mark.backend


def density(x, solver, num_steps):
    """log p(x) by the flow backwards and the exact divergence."""
    x = ops.convert_to_tensor(x, "float32")
    return ops.convert_to_numpy(
        log_density(
            velocity,
            x,
            x,
            solver=solver,
            divergence="exact",
            num_steps=num_steps,
            even_in_log_snr=False,
        )
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_error_falls_with_the_order_of_the_solver(solver):
    """By 2^order with twice as many steps, in values and in log-densities."""
    order = SOLVERS[solver].order
    noise = np.random.default_rng(1).normal(size=(16, D)).astype("float32")
    truth = MEAN + noise @ _flow_matrix().T

    def error(num_steps):
        end = integrate(
            velocity, ops.convert_to_tensor(noise), solver, num_steps, 0.0, 1.0
        )
        return np.abs(ops.convert_to_numpy(end) - truth).max()

    # float32 ends the fall of the fourth order early.
    few = 4 if order == 4 else 16
    ratio = error(few) / error(2 * few)
    assert 0.7 * 2**order < ratio < 3 * 2**order, ratio

    x = GAUSSIAN.rvs(16, random_state=2)
    errors = [
        np.abs(density(x, solver, n) - GAUSSIAN.logpdf(x)).mean()
        for n in (few, 2 * few)
    ]
    assert 0.5 * 2**order < errors[0] / errors[1] < 2.0 * 2**order, errors


def _flow_matrix():
    """The flow's end is μ + Σ^½ x(0): each eigenvector grows by its deviation."""
    values, vectors = np.linalg.eigh(COVARIANCE)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T


def test_log_density_of_a_gaussian_is_exact():
    x = GAUSSIAN.rvs(16, random_state=3)
    np.testing.assert_allclose(density(x, "rk4", 32), GAUSSIAN.logpdf(x), atol=2e-4)


def test_backwards_is_the_inverse():
    noise = np.random.default_rng(4).normal(size=(5, D)).astype("float32")
    there = integrate(velocity, ops.convert_to_tensor(noise), "rk4", 16, 0.0, 1.0)
    back = integrate(velocity, there, "rk4", 16, 1.0, 0.0)
    np.testing.assert_allclose(ops.convert_to_numpy(back), noise, atol=1e-3)


def test_divergence_where_the_jacobian_is_not_symmetric():
    """f(x) = (x₁ x₂, x₂² x₃, sin x₁ + x₃³): J is neither symmetric nor constant."""

    def field(x):
        a, b, c = (x[:, i] for i in range(3))
        return ops.stack([a * b, b**2 * c, ops.sin(a) + c**3], axis=1)

    x = np.random.default_rng(5).normal(size=(7, 3)).astype("float32")
    a, b, c = x.T
    truth = b + 2 * b * c + 3 * c**2
    value, found = exact(field, ops.convert_to_tensor(x))
    np.testing.assert_allclose(ops.convert_to_numpy(found), truth, rtol=1e-4)
    np.testing.assert_allclose(
        ops.convert_to_numpy(value)[:, 2], np.sin(a) + c**3, rtol=1e-5
    )
    # The mean over all eight vectors of signs is exact.
    probes = np.stack(np.meshgrid(*3 * [[-1.0, 1.0]]), axis=-1).reshape(-1, 3)
    estimates = [
        ops.convert_to_numpy(
            hutchinson(
                field,
                ops.convert_to_tensor(x),
                ops.convert_to_tensor(np.tile(probe, (7, 1)).astype("float32")),
            )[1]
        )
        for probe in probes
    ]
    np.testing.assert_allclose(np.mean(estimates, axis=0), truth, rtol=1e-4, atol=1e-5)
    assert np.std(estimates, axis=0).min() > 0.01


def test_a_step_backwards_and_forwards_of_a_pair():
    """A state of several tensors, each with its own derivative."""

    def derivative(state, t):
        return {"a": ops.ones_like(state["a"]) * 2 * t, "b": -state["b"]}

    state = {"a": ops.zeros((2,)), "b": ops.ones((3,))}
    end = integrate(derivative, state, "rk4", 8, 0.0, 1.0)
    np.testing.assert_allclose(ops.convert_to_numpy(end["a"]), 1.0, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(end["b"]), np.exp(-1), atol=1e-5)
    assert keras.tree.flatten(end)[0].shape == (2,)
