import numpy as np
import pytest

from tfattn.data import masks
from tfattn.evaluation.completion import completion_quality, hidden_ssim

SHAPE = (4, 17, 23, 2)


def images(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).random(shape).astype("float32")


def ssim_of_windows(image, other):
    """Keras's SSIM with its window of 11×11 and σ = 1.5, window by window."""
    at = np.arange(11) - 5
    weights = np.exp(-(at[:, None] ** 2 + at**2) / (2 * 1.5**2))
    weights = (weights / weights.sum())[..., None]
    h, w, channels = image.shape
    values = np.zeros((h - 10, w - 10, channels))
    for row, column in np.ndindex(h - 10, w - 10):
        a, b = (x[row : row + 11, column : column + 11] for x in (image, other))
        mean_a, mean_b = ((weights * x).sum(axis=(0, 1)) for x in (a, b))
        var_a = (weights * a * a).sum(axis=(0, 1)) - mean_a**2
        var_b = (weights * b * b).sum(axis=(0, 1)) - mean_b**2
        covariance = (weights * a * b).sum(axis=(0, 1)) - mean_a * mean_b
        values[row, column] = (
            (2 * mean_a * mean_b + 0.01**2)
            * (2 * covariance + 0.03**2)
            / ((mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2))
        )
    return values


def test_ssim_of_the_windows_that_touch():
    x = images().astype("float64")
    hidden = np.zeros((*SHAPE[:3], 1), bool)
    hidden[0, 15:, 20:] = True  # few windows
    hidden[1, 3, 4] = True
    hidden[2, :, :8] = True
    hidden[3] = True
    completed = np.where(hidden, images(1), x)
    found = hidden_ssim(x.astype("float32"), completed.astype("float32"), hidden)
    for i in range(4):
        values = ssim_of_windows(x[i], completed[i])
        touching = np.array(
            [
                [hidden[i, r : r + 11, c : c + 11].any() for c in range(13)]
                for r in range(7)
            ]
        )
        assert found[i] == pytest.approx(values[touching].mean(), abs=1e-3)


def test_measures_by_hand():
    x = np.full(SHAPE, 0.5, "float32")
    visible = masks.draw("left_half", 1, SHAPE[1:3])[0]
    hidden = ~visible
    # Three answers for each image, wrong by 0.1, -0.3 and 0.35 where hidden.
    errors = np.array([0.1, -0.3, 0.35], "float32")
    completions = np.repeat(x[:, None], 3, axis=1)
    completions[:, :, hidden] += errors[:, None, None]
    found = completion_quality(x, visible, completions)
    assert all(values.shape == (4,) for values in found.values())
    share = hidden.mean()
    for name, error in (
        ("psnr_of_one", 0.1),
        ("best_psnr", 0.1),
        ("psnr_of_all", np.sqrt(share) * errors.mean()),
    ):
        np.testing.assert_allclose(found[name], -20 * np.log10(abs(error)), atol=0.02)
    np.testing.assert_allclose(found["diversity"], errors.std(), rtol=1e-5)


def test_the_mean_is_measured_not_the_mean_measured():
    x = images()
    visible = masks.draw("center", 1, SHAPE[1:3])[0]
    noise = np.random.default_rng(1).normal(0, 0.2, (1, 2, *SHAPE[1:]))
    noise[:, 1] = -noise[:, 0]  # no clipping: the mean of both is x
    x = 0.4 + 0.2 * x
    noise = np.clip(noise, -0.3, 0.3)
    completions = np.where(visible[..., None], x[:, None], x[:, None] + noise)
    found = completion_quality(x, visible, completions)
    assert found["psnr"].min() > 60 > 20 > found["best_psnr"].max()
    np.testing.assert_allclose(found["ssim"], 1, atol=1e-3)
    assert np.all(found["ssim_of_one"] <= found["best_ssim"])
    assert np.all(found["ssim_of_all"] > found["ssim"] - 1e-6)


def test_the_best_is_found_wherever_it_is():
    x = images()
    visible = masks.draw("strokes", 4, SHAPE[1:3])
    wrong = np.where(visible[..., None], x, 1 - x)
    half = np.where(visible[..., None], x, 0.5)
    found = completion_quality(x, visible, np.stack([wrong, half, wrong], axis=1))
    alone = completion_quality(x, visible, half[:, None])
    np.testing.assert_allclose(found["best_psnr"], alone["psnr"], rtol=1e-5)
    assert np.all(found["psnr_of_one"] < found["best_psnr"])
    np.testing.assert_allclose(alone["diversity"], 0)


@pytest.mark.parametrize(
    ("x", "visible", "completions", "words"),
    [
        (images(), np.ones((17, 23)), images()[:, None], "boolean"),
        (images(), np.ones((17, 23), bool), images()[:, None], "1 all visible of 1"),
        (images(), np.eye(17, 23) > 0, images(), "Received: shape"),
        (images() + 1, np.eye(17, 23) > 0, images()[:, None], r"\[0, 1\]"),
        (
            images(shape=(4, 9, 23, 1)),
            np.eye(9, 23) > 0,
            images(shape=(4, 1, 9, 23, 1)),
            "11×11",
        ),
    ],
)
def test_bad_input(x, visible, completions, words):
    with pytest.raises(ValueError, match=words):
        completion_quality(x, visible, completions)
