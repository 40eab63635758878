"""Densities in the log signal-to-noise ratio, the bound, and the objective for them."""

import keras
import numpy as np
import pytest
from conftest import on_tensorflow
from keras import ops
from oracle import GAUSSIAN, D, velocity

from tfattn.models import AttentionFlow
from tfattn.models.flow.conditioning import PixelWaves
from tfattn.models.flow.densities import (
    LOG_SNR,
    log_density,
    log_density_bound,
    time_at,
)

SHAPE = (4, 8, 1)


def to_numpy(x):
    return ops.convert_to_numpy(x)


def images(n=3, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (n, *SHAPE)) / 255).astype("float32")


def test_steps_even_in_log_snr_have_the_order_of_their_solver():
    x = GAUSSIAN.rvs(16, random_state=2).astype("float32")

    def error(num_steps):
        found = log_density(
            velocity,
            ops.convert_to_tensor(x),
            ops.convert_to_tensor(x),
            solver="heun",
            divergence="exact",
            num_steps=num_steps,
            even_in_log_snr=True,
        )
        return np.abs(to_numpy(found) - GAUSSIAN.logpdf(x)).mean()

    few, many = error(12), error(24)
    assert many < 0.05
    assert few / many > 2.8, (few, many)  # order 2: 4, less what the two ends leave


@pytest.mark.backend
def test_the_bound_of_a_gaussian_is_its_density():
    """The process backwards is exact there: no term of the bound is lost."""
    n = 20_000
    rng = np.random.default_rng(0)
    for x in GAUSSIAN.rvs(3, random_state=1).astype("float32"):
        log_snr = LOG_SNR[0] + (LOG_SNR[1] - LOG_SNR[0]) * rng.random(n, "float32")
        draws = (
            ops.convert_to_tensor(rng.standard_normal((n, D), "float32")),
            ops.convert_to_tensor(log_snr),
        )
        many = ops.convert_to_tensor(np.broadcast_to(x, (n, D)).copy())
        found = to_numpy(log_density_bound(velocity, many, *draws))
        error = found.std() / np.sqrt(n)
        assert error < 0.3
        # Outside of LOG_SNR some hundredths of a nat are left.
        difference = found.mean() - GAUSSIAN.logpdf(x)
        assert abs(difference) < 4 * error + 0.03, (difference, error)


def test_a_wrong_velocity_lowers_the_bound():
    n, rng = 20_000, np.random.default_rng(0)
    x = np.broadcast_to(GAUSSIAN.rvs(1, random_state=1), (n, D)).astype("float32")
    log_snr = LOG_SNR[0] + (LOG_SNR[1] - LOG_SNR[0]) * rng.random(n, "float32")
    draws = tuple(
        map(ops.convert_to_tensor, (rng.standard_normal((n, D), "float32"), log_snr))
    )
    right, wrong = (
        to_numpy(log_density_bound(field, ops.convert_to_tensor(x), *draws)).mean()
        for field in (velocity, lambda x, t: velocity(x, t) + 0.3)
    )
    assert wrong < right - 0.1


@pytest.mark.backend
def test_pixel_waves_by_loops():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 2, 2)).astype("float32")
    t = np.array([0.9, 0.999], "float32")
    found = to_numpy(PixelWaves(0.3, 0.2)(x, t))
    for n, i, j, c in np.ndindex(x.shape):
        level = 256 * (0.3 + 0.2 * x[n, i, j, c] / t[n])
        waves = [f(a * np.pi * level) for a in (1, 2) for f in (np.cos, np.sin)]
        np.testing.assert_allclose(found[n, i, j, c::2], waves, atol=2e-3)
    assert np.isfinite(to_numpy(PixelWaves(0.3, 0.2)(x, np.zeros(2, "float32")))).all()


@pytest.mark.backend
def test_the_loss_of_a_likelihood_is_the_error_of_the_noise(monkeypatch):
    """By the formulas, with chosen draws: times even in λ, the error of ε̂ = x − t v."""
    model = AttentionFlow(
        SHAPE, width=8, objective="likelihood", pixel_mean=0.3, pixel_deviation=0.2
    )
    rng = np.random.default_rng(1)
    model.average_network.set_weights(
        [
            rng.normal(scale=0.1, size=w.shape).astype("float32")
            for w in model.average_network.get_weights()
        ]
    )
    x = images(3)
    noise = rng.normal(size=x.shape).astype("float32")
    first = np.array([0.4], "float32")
    draws = iter([np.full(x.shape, 0.5, "float32"), noise, first])
    module = "tfattn.models.flow.model.drawn"
    monkeypatch.setattr(module, lambda *_, **__: ops.convert_to_tensor(next(draws)))
    outputs = model(x, training=False)
    log_snr = LOG_SNR[0] + (LOG_SNR[1] - LOG_SNR[0]) * np.array(
        [0.4, 0.4 + 1 / 3, 1 / 15]
    )
    t = (1 / (1 + np.exp(-log_snr / 2))).astype("float32")
    target = ((255 * x + 0.5) / 256 - 0.3) / 0.2
    wide = t[:, None, None, None]
    on_path = ((1 - wide) * noise + wide * target).astype("float32")
    velocity = to_numpy(model.average_network([on_path, t]))
    error = ((noise - (on_path - wide * velocity)) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(to_numpy(outputs["noise_error"]), error, rtol=2e-2)
    np.testing.assert_allclose(to_numpy(time_at(log_snr)), t, rtol=1e-5)


@on_tensorflow
def test_likelihood_and_bound_of_a_flow_that_stands_still():
    """Without a velocity pixels are Gaussian, and the bound is below their density."""
    model = AttentionFlow(
        SHAPE, width=8, objective="likelihood", pixel_mean=0.4, pixel_deviation=0.3
    )
    x = images(2)
    found = model.log_likelihood(x, num_steps=1, num_samples=50, seed=0)
    rng = np.random.default_rng(1)
    z = ((np.rint(255 * x) + rng.random((400, *x.shape))) / 256 - 0.4) / 0.3
    density = (-0.5 * z**2 - 0.5 * np.log(2 * np.pi)).sum(axis=(2, 3, 4)).mean(axis=0)
    expected = density - x[0].size * np.log(256 * 0.3)
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    assert (model.log_likelihood_bound(x, num_samples=64) < expected).all()


@pytest.mark.backend
def test_a_likelihood_trains_in_a_file(tmp_path):
    model = AttentionFlow(
        SHAPE, width=8, objective="likelihood", dtype="mixed_bfloat16"
    )
    model.compile(keras.optimizers.Adam(1e-3))
    history = model.fit(images(8), batch_size=4, verbose=0).history
    assert np.isfinite(history["noise_error"]).all()
    model.save(tmp_path / "flow.keras")
    again = keras.saving.load_model(tmp_path / "flow.keras")
    expected = model.log_likelihood_bound(images(2), num_samples=4)
    np.testing.assert_allclose(
        again.log_likelihood_bound(images(2), num_samples=4), expected, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "num_samples"),
        ({"seed": -1}, "seed"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_bad_arguments_of_the_bound(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttentionFlow(SHAPE, width=8).log_likelihood_bound(images(), **arguments)


def test_bad_objective():
    with pytest.raises(ValueError, match="Expected objective in"):
        AttentionFlow(SHAPE, width=8, objective="bits")
