import keras
import numpy as np
import pytest
from keras import ops

from tfattn.models.completion import augmentation
from tfattn.models.completion.augmentation import augmented

pytestmark = pytest.mark.backend

N, H, W = 3, 20, 40
NAMES = (
    *("mirrored", "angle", "zoom", "right", "down"),
    *("contrast", "brightness", "mixture"),
)


@pytest.fixture
def changed(monkeypatch):
    """Images changed by chosen numbers, each from -1 to 1; nothing by default."""

    def change(x, **chosen):
        numbers = np.zeros((8, N), "float32")
        numbers[0] = 1
        for name, number in chosen.items():
            numbers[NAMES.index(name)] = number
        monkeypatch.setattr(
            keras.random, "uniform", lambda *a, **k: ops.convert_to_tensor(numbers)
        )
        return ops.convert_to_numpy(augmented(x, None))

    return change


@pytest.fixture
def x():
    return np.random.default_rng(0).random((N, H, W, 2)).astype("float32")


def test_nothing(changed, x):
    np.testing.assert_allclose(changed(x), x, atol=1e-5)


def test_mirrored(changed, x):
    np.testing.assert_allclose(changed(x, mirrored=-0.1), x[:, :, ::-1], atol=1e-4)


def test_moved(changed, x):
    """Half of the largest shift is 1 column of 40; the largest is 1 row of 20."""
    right = changed(x, right=0.5)
    np.testing.assert_allclose(right[:, :, :-1], x[:, :, 1:], atol=1e-4)
    np.testing.assert_allclose(right[:, :, -1], x[:, :, -1], atol=1e-4)
    down = changed(x, down=-1.0)
    np.testing.assert_allclose(down[:, 1:], x[:, :-1], atol=1e-4)


def test_turned_and_zoomed_about_the_middle(changed):
    """Where a smooth image is looked up, it has the value of its formula."""
    rows, columns = np.indices((H, W)) - np.array([[[9.5]], [[19.5]]])

    def smooth(rows, columns):
        return 0.5 + 0.01 * rows + 0.008 * columns

    x = np.repeat(smooth(rows, columns)[None, :, :, None], N, 0).astype("float32")
    inside = np.s_[:, 4:-4, 4:-4, 0]
    angle = augmentation.ROTATION
    turned = smooth(
        np.cos(angle) * rows + np.sin(angle) * columns,
        np.cos(angle) * columns - np.sin(angle) * rows,
    )
    np.testing.assert_allclose(
        changed(x, angle=1.0)[inside],
        np.repeat(turned[None], N, 0)[inside[:3]],
        atol=1e-4,
    )
    factor = np.exp(-augmentation.LOG_ZOOM)
    zoomed = smooth(factor * rows, factor * columns)
    np.testing.assert_allclose(
        changed(x, zoom=-1.0)[inside],
        np.repeat(zoomed[None], N, 0)[inside[:3]],
        atol=1e-4,
    )


def test_lit(changed, x):
    expected = np.clip(0.5 + np.exp(0.1) * (x - 0.5) - 0.025, 0, 1)
    np.testing.assert_allclose(
        changed(x, contrast=1.0, brightness=-0.5), expected, atol=1e-4
    )
    assert expected.min() == 0 and expected.max() == 1


def test_mixed_with_the_batch_from_its_end(changed, x):
    share = augmentation.MIXTURE * 0.4
    np.testing.assert_allclose(
        changed(x, mixture=0.4), (1 - share) * x + share * x[::-1], atol=1e-4
    )
    np.testing.assert_allclose(changed(x, mixture=-0.4), x, atol=1e-4)


def test_each_image_changes_by_itself_and_anew(x):
    same = np.repeat(x[:1], 16, axis=0)
    seeds = keras.random.SeedGenerator(0)
    first, second = (ops.convert_to_numpy(augmented(same, seeds)) for _ in range(2))
    assert np.abs(first - second).max() > 0.1
    assert np.abs(first[0] - first[1]).max() > 0.1
    assert first.min() >= 0 and first.max() <= 1
