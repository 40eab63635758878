import checks
import keras
import numpy as np
import pytest

from tfattn.layers import CouplingFlow

pytestmark = pytest.mark.backend


def built(num_layers, size, condition_size=None):
    flow = CouplingFlow(num_layers, units=8)
    flow.build((None, size), None if condition_size is None else (None, condition_size))
    rng = np.random.default_rng(1)
    for variable in flow.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return flow


def test_starts_as_the_standard_normal():
    flow = CouplingFlow(4)
    z = checks.images((7, 5))
    u, log_density = flow(z)
    np.testing.assert_allclose(np.sort(checks.numpy_of(u)), np.sort(z), atol=1e-6)
    expected = -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=1)
    np.testing.assert_allclose(checks.numpy_of(log_density), expected, rtol=1e-5)


@pytest.mark.parametrize("size", [2, 5, 6])
@pytest.mark.parametrize("num_layers", [0, 1, 3, 4])
def test_equals_the_equations(num_layers, size):
    """Layers change the back half and the front half in turn, by the other one."""
    flow = built(num_layers, size, condition_size=3)
    z, condition = checks.images((7, size)), checks.images((7, 3), seed=1)
    halves, log_density = [z[:, : size // 2], z[:, size // 2 :]], 0.0
    for index, network in enumerate(flow.networks):
        moved = 1 - index % 2
        x = np.concatenate([halves[1 - moved], condition], axis=1)
        for number, layer in enumerate(network.layers):
            kernel, bias = (checks.numpy_of(w) for w in layer.weights)
            x = x @ kernel + bias
            x = x / (1 + np.exp(-x)) if number < 2 else x
        scale, shift = np.split(x, 2, axis=1)
        scale = 2 * np.tanh(scale / 2)
        halves[moved] = halves[moved] * np.exp(scale) + shift
        log_density = log_density + scale.sum(axis=1)
    expected = np.concatenate(halves if num_layers % 2 == 0 else halves[::-1], axis=1)
    log_density -= 0.5 * (expected**2 + np.log(2 * np.pi)).sum(axis=1)
    u, found = flow(z, condition)
    np.testing.assert_allclose(checks.numpy_of(u), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(checks.numpy_of(found), log_density, rtol=1e-4)


@pytest.mark.parametrize("size", [2, 5, 6])
@pytest.mark.parametrize("num_layers", [0, 1, 3, 4])
def test_inverse_undoes_the_flow(size, num_layers):
    flow = built(num_layers, size, condition_size=3)
    z, condition = checks.images((7, size)), checks.images((7, 3), seed=1)
    u, _ = flow(z, condition)
    back = checks.numpy_of(flow.inverse(u, condition))
    np.testing.assert_allclose(back, z, atol=1e-4)


def test_log_density_is_the_change_of_variables():
    """log |det du/dz| by finite differences of all five coordinates."""
    flow = built(3, 5)
    z = checks.images((1, 5))
    step = 1e-2
    columns = [
        (
            checks.numpy_of(flow(z + step * unit)[0])
            - checks.numpy_of(flow(z - step * unit)[0])
        )[0]
        / (2 * step)
        for unit in np.eye(5, dtype="float32")
    ]
    u, log_density = flow(z)
    base = -0.5 * (checks.numpy_of(u) ** 2 + np.log(2 * np.pi)).sum()
    expected = base + np.log(abs(np.linalg.det(np.array(columns))))
    np.testing.assert_allclose(checks.numpy_of(log_density)[0], expected, atol=2e-3)


def test_density_integrates_to_one():
    flow = built(4, 2)
    grid = np.linspace(-12, 12, 481)
    z = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2).astype("float32")
    density = np.exp(checks.numpy_of(flow(z)[1]))
    np.testing.assert_allclose(density.sum() * (grid[1] - grid[0]) ** 2, 1, atol=0.02)


def test_condition_changes_the_density():
    flow = built(2, 4, condition_size=3)
    z = checks.images((1, 4))
    first, second = (flow(z, np.eye(3, dtype="float32")[i : i + 1])[1] for i in (0, 1))
    assert abs(float(first[0]) - float(second[0])) > 1e-3


def test_large_vectors_and_weights_have_finite_densities_and_gradients():
    flow = built(4, 5)
    for variable in flow.trainable_variables:
        variable.assign(20 * variable)
    z = keras.ops.convert_to_tensor(1e6 * checks.images((7, 5)))
    gradients = checks.gradients_of(lambda z: keras.ops.sum(flow(z)[1]))
    assert np.all(np.isfinite(checks.numpy_of(flow(z)[1])))
    assert np.all(np.isfinite(checks.numpy_of(gradients(z)[0])))


def test_bad_arguments():
    with pytest.raises(ValueError, match="num_layers=-1"):
        CouplingFlow(-1)
    with pytest.raises(ValueError, match=r"at least 2.*\(None, 1\)"):
        CouplingFlow(2).build((None, 1))
    with pytest.raises(ValueError, match="units=0"):
        CouplingFlow(2, units=0)
    CouplingFlow(2, units=1).build((None, 2))
    for shape in ((4,), (None, 3, 4)):
        with pytest.raises(ValueError, match="divides its vectors in two"):
            CouplingFlow(2).build(shape)
