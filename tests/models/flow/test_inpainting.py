"""Inpainting: each step by loops, and the exact conditional of a Gaussian.

Data x₁ ~ N(μ, Σ). With C = (1 − t)² I + t² Σ, the mean velocity through x at t is
u(x, t) = μ + [tΣ − (1 − t) I] C⁻¹ (x − tμ), and the hidden pixels given the visible
ones are Gaussian: what `inpaint` has to sample is known in closed form.
"""

import itertools

import numpy as np
import pytest
from keras import ops

from tfattn.models import AttentionFlow
from tfattn.models.flow.inpainting import inpaint, num_passes

SHAPE = (8, 12, 1)
# A smooth field of 3 × 4 pixels.
H, W = 3, 4
PLACES = np.stack(np.mgrid[:H, :W], axis=-1).reshape(-1, 2)
DISTANCES = ((PLACES[:, None] - PLACES[None]) ** 2).sum(axis=-1)
COVARIANCE = np.exp(-DISTANCES / 4) + 0.1 * np.eye(H * W)
MEAN = np.linspace(-1, 1, H * W)
VALUES, VECTORS = (a.astype("float32") for a in np.linalg.eigh(COVARIANCE))
MASKS = {
    "upper rows": PLACES[:, 0] < 1,
    "each second pixel": np.all(PLACES % 2 == 0, axis=1),
}


def to_numpy(x):
    return ops.convert_to_numpy(x)


def gaussian_velocity(x, t):
    """u(x, t) of the module's docstring, for x (n, H, W, 1)."""
    values, vectors, mean = map(
        ops.convert_to_tensor, (VALUES, VECTORS, MEAN.astype("float32"))
    )
    gain = (t * values - (1 - t)) / ((1 - t) ** 2 + t**2 * values)
    along = ops.matmul(ops.reshape(x, (-1, H * W)) - t * mean, vectors)
    u = mean + ops.matmul(gain * along, ops.transpose(vectors))
    return ops.reshape(u, (-1, H, W, 1))


def errors(mask, num_steps, num_resamplings, n, temperature=1.0):
    """Of `inpaint`, with 1 for the deviation and the variance of the exact conditional.

    Returns:
        Root mean square error of the mean, and the least and the greatest ratio of
        variances in any direction.
    """
    known = MASKS[mask]
    between = COVARIANCE[np.ix_(~known, known)]
    gain = between @ np.linalg.inv(COVARIANCE[np.ix_(known, known)])
    covariance = COVARIANCE[np.ix_(~known, ~known)] - gain @ between.T
    # Two deviations from the mean, so that what is seen matters.
    values = MEAN + 2 * np.sqrt(1.1) * np.cos(3 * np.arange(H * W))
    mean = MEAN[~known] + gain @ (values - MEAN)[known]

    rng = np.random.default_rng(0)
    size = (n, 1 + num_passes(num_steps, num_resamplings), H, W, 1)
    noise = rng.standard_normal(size, "float32")
    noise *= np.where(known, 1, temperature).astype("float32").reshape(H, W, 1)
    image = np.where(known, values, 1e6).astype("float32").reshape(1, H, W, 1)
    found = inpaint(
        gaussian_velocity,
        ops.convert_to_tensor(np.repeat(image, n, axis=0)),
        ops.convert_to_tensor(np.repeat(known.reshape(1, H, W, 1), n, axis=0)),
        ops.convert_to_tensor(noise),
        num_steps,
        num_resamplings,
    )
    found = to_numpy(found).reshape(n, H * W)
    np.testing.assert_array_equal(
        found[:, known], np.tile(image.ravel()[known], (n, 1))
    )
    hidden = found[:, ~known].astype("float64")
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))
    ratios = np.linalg.eigvalsh(whiten @ np.cov(hidden.T) @ whiten.T)
    deviation = whiten @ (hidden.mean(axis=0) - mean)
    return np.sqrt(np.mean(deviation**2)), ratios[0], ratios[-1]


@pytest.mark.parametrize("mask", MASKS)
def test_bias_falls_to_0_with_resampling(mask):
    """The last mean and covariance are within a few standard errors of the exact.

    With 1500 samples these are 0.03 for a mean, and for the extreme variances in 9
    directions 0.16.
    """
    (none, *_), (some, *_) = (errors(mask, 8, repeats, 500) for repeats in (0, 2))
    assert none > 0.35 and some < 0.6 * none, (none, some)
    last, least, greatest = errors(mask, 8, 16, 1500)
    assert last < 0.08
    assert least > 0.8 and greatest < 1.25, (least, greatest)


def test_temperature_is_the_deviation_of_hidden_pixels():
    error, least, greatest = errors("upper rows", 8, 8, 1000, temperature=0.5)
    assert error < 0.15
    assert least > 0.25 * 0.75 and greatest < 0.25 * 1.3, (least, greatest)


def curved_velocity(x, t):
    """Neither linear nor the same for all pixels of 3 × 5."""
    x = ops.convert_to_tensor(x)
    places = ops.reshape(ops.arange(15, dtype="float32"), (1, 3, 5, 1))
    return ops.sin(x + places) - t * x + 0.2 * t * places


@pytest.mark.backend
@pytest.mark.parametrize("num_resamplings", [0, 2])
def test_steps_by_loops(num_resamplings):
    """The noise's Markov kernel and the posterior of Gaussians, with precisions."""
    rng = np.random.default_rng(0)
    n, num_steps = 2, 3
    shape = (n, 3, 5, 1)
    images = rng.normal(size=shape).astype("float32")
    visible = rng.random(shape) < 0.5
    count = 1 + num_passes(num_steps, num_resamplings)
    noise = rng.normal(size=(n, count, 3, 5, 1)).astype("float32")

    draws = iter(np.moveaxis(noise.astype("float64"), 1, 0))
    times = [1 - (1 - i / num_steps) ** 2 for i in range(num_steps + 1)]
    x = next(draws)
    for t, later in itertools.pairwise(times):
        added = (1 - t) ** 2 - (t / later * (1 - later)) ** 2
        for repeat in range(1 + num_resamplings if later < 1 else 1):
            z = next(draws)
            state = x if repeat == 0 else t / later * x + np.sqrt(added) * z
            velocity = to_numpy(curved_velocity(state.astype("float32"), t))
            estimate = np.where(visible, images, state + (1 - t) * velocity)
            # x_later has mean later · estimate; state has mean t/later · x_later.
            gain = (1 - later) ** 2 * (t / later) / (1 - t) ** 2
            mean = later * estimate + gain * (state - t * estimate)
            variance = (1 - later) ** 2 * (1 - gain * t / later)
            # The same distance from the mean, on its other side.
            x = mean + np.sqrt(variance) * z if repeat == 0 else mean - (x - mean)
    assert next(draws, None) is None

    arguments = map(ops.convert_to_tensor, (images, visible, noise))
    found = to_numpy(inpaint(curved_velocity, *arguments, num_steps, num_resamplings))
    np.testing.assert_allclose(found, x, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(found[visible], images[visible])


# --- the model ----------------------------------------------------------------


def flow(**arguments):
    """With random weights in the network that completes."""
    model = AttentionFlow(SHAPE, width=8, **arguments)
    rng = np.random.default_rng(0)
    model.average_network.set_weights(
        [
            rng.normal(scale=0.2, size=w.shape).astype("float32")
            for w in model.average_network.get_weights()
        ]
    )
    return model


def pairs(n=3):
    """Images, and masks that differ from one to the next."""
    rng = np.random.default_rng(1)
    images = rng.random((n, *SHAPE), "float32")
    return images, rng.random((n, *SHAPE[:2])) < 0.4


SHORT = {"num_steps": 3, "num_resamplings": 1}


def test_completions_keep_what_is_visible_and_ignore_the_rest():
    model, (images, visible) = flow(), pairs()
    found = model.complete(images, visible, num_samples=2, seed=0, **SHORT)
    assert found.shape == (3, 2, *SHAPE) and found.dtype == "float32"
    assert found.min() >= 0 and found.max() <= 1
    for i in range(3):
        for j in range(2):
            np.testing.assert_array_equal(
                found[i, j][visible[i]], images[i][visible[i]]
            )
    assert np.abs(found[:, 0] - found[:, 1])[~visible].max() > 0.05
    other = np.where(visible[..., None], images, 1 - images)
    again = model.complete(other, visible, num_samples=2, seed=0, **SHORT)
    np.testing.assert_array_equal(again, found)
    # What is visible matters to the hidden pixels.
    other = np.where(visible[..., None], 1 - images, images)
    again = model.complete(other, visible, num_samples=2, seed=0, **SHORT)
    assert np.abs(again - found)[:, 0][~visible].max() > 1e-3


@pytest.mark.backend
def test_completions_depend_on_the_seed_and_not_on_the_batch():
    model, (images, visible) = flow(num_classes=3), pairs()
    arguments = {"condition": [0, 1, 2], "num_samples": 2, **SHORT}
    found = model.complete(images, visible, seed=0, **arguments)
    apart = model.complete(images, visible, seed=0, batch_size=4, **arguments)
    np.testing.assert_allclose(apart, found, atol=1e-4)
    other = model.complete(images, visible, seed=1, **arguments)
    assert np.abs(other - found).max() > 0.05
    # One mask for all, and each image with its own class.
    same = model.complete(images, visible[0], seed=0, **arguments)
    one = model.complete(
        images[:1], visible[0], seed=0, **{**arguments, "condition": [0]}
    )
    np.testing.assert_allclose(same[:1], one, atol=1e-4)
    np.testing.assert_allclose(found[:1], one, atol=1e-4)


@pytest.mark.backend
def test_completions_where_the_class_is_not_known():
    """A class of zeros, which the network was trained for, or else an error."""
    model, (images, visible) = flow(num_classes=3), pairs()
    found = model.complete(images, visible, seed=0, **SHORT)
    told = model.complete(images, visible, condition=[0, 1, 2], seed=0, **SHORT)
    assert np.abs(found - told).max() > 1e-3
    embedding = model.average_network.get_layer("class_embedding")
    embedding.kernel.assign(np.zeros(embedding.kernel.shape))
    alike = model.complete(images, visible, condition=[0, 1, 2], seed=0, **SHORT)
    np.testing.assert_allclose(alike, found, atol=1e-4)
    with pytest.raises(ValueError, match=r"Expected the class.*Received: none"):
        flow(num_classes=3, label_dropout=0.0).complete(images, visible)


@pytest.mark.backend
def test_class_and_guidance_of_completions():
    model, (images, visible) = flow(num_classes=3), pairs()

    def complete(classes, **arguments):
        return model.complete(
            images, visible, condition=classes, seed=0, **SHORT, **arguments
        )

    plain = complete([0, 1, 2])
    assert np.abs(complete([1, 2, 0]) - plain).max() > 1e-3
    guided = complete([0, 1, 2], guidance=3.0)
    assert np.abs(guided - plain).max() > 1e-3
    # The last step starts at t = 8/9: from there on guidance changes nothing.
    late = complete([0, 1, 2], guidance=3.0, guidance_interval=(0.95, 1.0))
    np.testing.assert_allclose(late, plain, atol=1e-4)


def test_temperature_and_standardization_of_completions():
    """By `inpaint` itself, from the noise of the seed, and with pixels standardized."""
    model = flow(pixel_mean=0.3, pixel_deviation=0.2)
    images, visible = pairs(2)
    found = model.complete(images, visible, temperature=0.5, seed=7, **SHORT)
    noise = np.random.default_rng(7).standard_normal((2, 6, *SHAPE), "float32")
    mask = visible[..., None]
    arrays = (
        ((255 * images + 0.5) / 256 - 0.3) / 0.2,
        mask,
        np.where(mask, np.float32(1), np.float32(0.5))[:, None] * noise,
    )
    expected = inpaint(model.velocity, *map(ops.convert_to_tensor, arrays), 3, 1)
    expected = np.clip((256 * (0.3 + 0.2 * to_numpy(expected)) - 0.5) / 255, 0, 1)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "num_samples"),
        ({"num_steps": 0}, "num_steps"),
        ({"num_resamplings": -1}, "num_resamplings"),
        ({"temperature": 0.0}, "temperature"),
        ({"batch_size": 0}, "batch_size"),
        ({"guidance": 2.0}, "Expected a condition"),
        ({"condition": [0]}, "no condition, because the model has no classes"),
        ({"images": np.full((1, *SHAPE), np.nan)}, "no NaN"),
        ({"visible": np.ones(SHAPE[:2], bool)}, "one visible and one hidden pixel"),
        ({"visible": np.ones(SHAPE[:2])}, "Expected boolean `visible`"),
    ],
)
def test_bad_arguments_of_complete(arguments, message):
    images, visible = pairs(1)
    arguments = {"images": images, "visible": visible, **arguments}
    with pytest.raises(ValueError, match=message):
        AttentionFlow(SHAPE, width=8).complete(**arguments)
