import checks
import keras
import numpy as np
import pytest

from tfattn.layers import ConditionalBatchNormalization

pytestmark = pytest.mark.backend

CLASSES = np.eye(3, dtype="float32")[[2, 0, 0, 1, 2]]


@pytest.mark.parametrize("shape", [(5, 3, 2, 4), (5, 4)])
def test_by_definition(shape):
    x = 3 + 2 * checks.images(shape)
    layer = ConditionalBatchNormalization()
    layer([x, CLASSES])
    rng = np.random.default_rng(1)
    scale, shift = (rng.normal(size=(3, 4)).astype("float32") for _ in range(2))
    layer.scale.kernel.assign(scale)
    layer.shift.kernel.assign(shift)
    axes = tuple(range(len(shape) - 1))
    mean, variance = x.mean(axis=axes), x.var(axis=axes)

    def expected(mean, variance):
        normalized = (x - mean) / np.sqrt(variance + layer.norm.epsilon)
        y = np.zeros_like(x)
        for i, one_hot in enumerate(CLASSES):
            k = one_hot.argmax()
            y[i] = (1 + scale[k]) * normalized[i] + shift[k]
        return y

    y = layer([x, CLASSES])
    np.testing.assert_allclose(checks.numpy_of(y), expected(0.0, 1.0), atol=1e-4)
    y = layer([x, CLASSES], training=True)
    np.testing.assert_allclose(checks.numpy_of(y), expected(mean, variance), atol=1e-3)
    moved = 0.01 * mean, 0.99 + 0.01 * variance
    y = layer([x, CLASSES])
    np.testing.assert_allclose(checks.numpy_of(y), expected(*moved), atol=1e-3)


def test_only_scales_and_shifts_of_the_classes_are_trained():
    layer = ConditionalBatchNormalization()
    shapes = [(None, 3, 2, 4), (None, 7)]
    layer.build(shapes)
    assert [tuple(w.shape) for w in layer.trainable_weights] == [(7, 4), (7, 4)]
    assert layer.compute_output_shape(shapes) == (None, 3, 2, 4)


def test_shifts_start_as_asked():
    """By default every class is normalized alike."""
    x = checks.images((5, 3, 2, 4))
    plain, random = (
        checks.numpy_of(ConditionalBatchNormalization(initializer)([x, CLASSES]))
        for initializer in ("zeros", keras.initializers.RandomNormal(stddev=0.5))
    )
    np.testing.assert_allclose(plain, x / np.sqrt(1.001), rtol=1e-4)
    shifts = random - plain  # moving statistics are still 0 and 1
    np.testing.assert_allclose(shifts, shifts[:, :1, :1] + 0 * x, atol=1e-5)
    shifts = shifts[:, 0, 0]
    np.testing.assert_allclose(shifts[0], shifts[4], atol=1e-5)
    assert 0.1 < shifts[[0, 1, 3]].std() < 1.5
    assert np.abs(shifts[0] - shifts[1]).max() > 0.1


def test_save_and_load(tmp_path):
    inputs = [keras.Input((3, 2, 4)), keras.Input((3,))]
    shifts = keras.initializers.RandomNormal(stddev=0.5)
    model = keras.Model(inputs, ConditionalBatchNormalization(shifts)(inputs))
    model.layers[-1].scale.kernel.assign(np.arange(12.0).reshape(3, 4))
    x = [checks.images((5, 3, 2, 4)), CLASSES]
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(checks.numpy_of(loaded(x)), checks.numpy_of(model(x)))
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()
    assert loaded.layers[-1].shift_initializer.stddev == 0.5


@pytest.mark.parametrize("dtype_policy", ["mixed_float16"], indirect=True)
def test_mixed_precision(dtype_policy):
    y = ConditionalBatchNormalization()([checks.images((5, 3, 2, 4)), CLASSES])
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
