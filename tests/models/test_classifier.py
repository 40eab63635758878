import checks
import keras
import numpy as np
import pytest
from conftest import on_tensorflow

from tfattn import data
from tfattn.models import ImageClassifier
from tfattn.training import recipe


def small(image_shape=(8, 12, 2), num_classes=3, width=5, **arguments):
    """A model for images that are not square, whose biases are not 0."""
    model = ImageClassifier(
        image_shape, num_classes, width, num_features=16, **arguments
    )
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        if variable.name == "bias":
            variable.assign(rng.normal(0, 0.3, variable.shape))
    return model


def images(n=7, shape=(8, 12, 2), seed=0):
    return np.random.default_rng(seed).random((n, *shape)).astype("float32")


@pytest.mark.ci
def test_learns_digits():
    """Within seconds. `classify`, `features` and `evaluate` speak of one model."""
    digits = data.load("digits")
    model = ImageClassifier(width=8)
    recipe(model).compile(model, 4 * 47)
    model.fit(digits.x_train, digits.y_train, batch_size=32, epochs=4, verbose=0)
    found = model.classify(digits.x_test)
    accuracy = np.mean(found == digits.y_test)
    assert found.shape == digits.y_test.shape and accuracy > 0.8
    kernel, bias = (checks.numpy_of(w) for w in model.head.weights)
    logits = model.features(digits.x_test) @ kernel + bias
    np.testing.assert_array_equal(logits.argmax(axis=1), found)
    measured = model.evaluate(digits.x_test, digits.y_test, verbose=0, return_dict=True)
    np.testing.assert_allclose(measured["accuracy"], accuracy, rtol=1e-5)


@pytest.mark.parametrize("flip", [False, True])
def test_serialization(tmp_path, flip):
    model = small(flip=flip, binarize=flip, seed=3, name="judge")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for argument in (
        "image_shape",
        "num_classes",
        "width",
        "num_features",
        "flip",
        "binarize",
        "seed",
        "name",
    ):
        assert getattr(loaded, argument) == getattr(model, argument)
    assert len(loaded.augmentation) == 1 + flip
    for function in ("features", "classify", "predict"):
        np.testing.assert_array_equal(
            getattr(loaded, function)(images()), getattr(model, function)(images())
        )


def test_weights_fit_in_a_megabyte():
    model = ImageClassifier()
    assert 4 * model.count_params() < 1e6
    assert model.features(images(2, (28, 28, 1))).shape == (2, 128)


def test_features_do_not_depend_on_the_batch():
    model = small()
    x = images(7)
    together = model.features(x)
    assert together.shape == (7, 16) and together.dtype == "float32"
    assert np.all(together >= 0) and np.ptp(together, axis=0).max() > 0.01
    for other in (
        model.features(x, batch_size=3),
        model.features(x[::-1], batch_size=1)[::-1],
        model.features(x.astype("float64")),
    ):
        np.testing.assert_allclose(other, together, atol=1e-6)


def test_no_augmentation_outside_of_training():
    model = small(flip=True, binarize=True)
    x = images()
    y = checks.numpy_of(model(x))
    for again in (model(x), model(x, training=False), model.predict(x, verbose=0)):
        np.testing.assert_allclose(checks.numpy_of(again), y, atol=1e-6)
    kernel, bias = (checks.numpy_of(w) for w in model.head.weights)
    np.testing.assert_allclose(model.features(x) @ kernel + bias, y, atol=1e-5)


def augmented(model, x):
    """What the first convolution sees in training."""
    seen = []
    call = model.backbone.call

    def watch(x, **arguments):
        seen.append(checks.numpy_of(x))
        return call(x, **arguments)

    model.backbone.call = watch
    model(x, training=True)
    return seen[0]


def shifted(image, rows, columns):
    """The image moved down and to the right, zeros moving in."""
    h, w, _ = image.shape
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    return padded[2 - rows : 2 - rows + h, 2 - columns : 2 - columns + w]


def test_binarization_draws_each_pixel_by_its_value():
    model, x = small(binarize=True), np.empty((600, 8, 12, 2), "float32")
    x[..., :6, :], x[..., 6:, :] = 0.2, 0.7
    first, second = augmented(model, x), augmented(model, x)
    assert set(np.unique(first)) == {0, 1} and np.any(first != second)
    # Shifts move the middle, and zeros in from the edges.
    dark, light = first[:, 2:6, 2:4], first[:, 2:6, 8:10]
    np.testing.assert_allclose([dark.mean(), light.mean()], [0.2, 0.7], atol=0.03)
    # Pixels of one image are drawn one by one.
    assert abs(light.reshape(600, -1).var(axis=1, ddof=1).mean() - 0.21) < 0.01


@pytest.mark.parametrize("flip", [False, True])
def test_augmentation_is_a_shift_and_a_flip(flip):
    """One of 25 shifts of each image, half of them mirrored."""
    x = images(400)
    shifts = [(r, c) for r in range(-2, 3) for c in range(-2, 3)]
    counts = np.zeros((2, len(shifts)), "int")
    for image, seen in zip(x, augmented(small(flip=flip), x), strict=True):
        moved = [shifted(image, *s) for s in shifts]
        matches = [
            [np.allclose(seen, m) for m in moved],
            [np.allclose(seen, m[:, ::-1]) for m in moved],
        ]
        assert np.sum(matches) == 1
        counts += np.array(matches)
    assert np.all(counts.sum(axis=0) > 0)
    if flip:
        assert 160 <= counts[1].sum() <= 240
        # A flip does not follow from its shift.
        inner = counts[:, [shifts.index(s) for s in ((-1, 0), (0, -1), (0, 1), (1, 0))]]
        assert np.all(inner > 0)
    else:
        assert counts[1].sum() == 0


def test_augmentation_depends_on_the_seed():
    x = images()
    first, again = augmented(small(seed=3), x), augmented(small(seed=3), x)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, augmented(small(seed=4), x))


@on_tensorflow
@pytest.mark.parametrize("dtype_policy", ["float32", "mixed_bfloat16"], indirect=True)
def test_gradient_reaches_all_weights(dtype_policy):
    """With a random cotangent: the sum of a softmax would have none."""
    import tensorflow as tf

    model = small()
    cotangent = np.random.default_rng(2).normal(size=(7, 3))
    with tf.GradientTape() as tape:
        y = model(images(), training=True)
        assert y.dtype == "float32"
        scalar = tf.reduce_sum(y * cotangent)
    weights = model.trainable_variables
    assert len(weights) == 2 * (4 + 1 + 1)
    for variable, gradient in zip(
        weights, tape.gradient(scalar, [w.value for w in weights]), strict=True
    ):
        assert np.abs(gradient).max() > 1e-4, variable.path


def test_neurons_are_dropped_in_training_alone():
    model = small()
    x = images(400)
    backbone, whole = model.backbone, checks.numpy_of(model.backbone(images(400)))
    dropped = checks.numpy_of(backbone(x, training=True))
    assert np.mean(np.abs(dropped - whole)[whole > 0] > 1e-6) > 0.9
    seen = checks.numpy_of(model.dropout(np.ones((400, 16)), training=True))
    assert abs(np.mean(seen == 0) - 0.5) < 0.05
    np.testing.assert_array_equal(model.dropout(np.ones((4, 16))), 1)


def test_bad_arguments():
    for arguments, message in (
        ({"image_shape": (28, 28)}, "height, width, channels"),
        ({"image_shape": (28, 27, 1)}, "divisible by 4"),
        ({"num_classes": 1}, "`num_classes` to be an integer >= 2"),
        ({"width": 0}, "`width` to be an integer >= 1"),
        ({"num_features": 0}, "`num_features` to be an integer >= 1"),
    ):
        with pytest.raises(ValueError, match=message):
            ImageClassifier(**arguments)


def test_bad_images_and_labels():
    """Refused before the first step."""
    model = small()
    recipe(model).compile(model, 1)
    x, labels = images(), np.array([0, 1, 2, 2, 1, 0, 0])
    broken = x.copy()
    broken[3, 2, 1, 0] = np.nan
    for bad, message in (
        (x[..., :1], r"\(n, 8, 12, 2\).*\(7, 8, 12, 1\)"),
        (x[0], r"\(n, 8, 12, 2\).*\(8, 12, 2\)"),
        (255 * x, r"\[0, 1\] and no NaN"),
        (broken, r"\[0, 1\] and no NaN"),
    ):
        for function in (
            model.features,
            model.classify,
            lambda x: model.fit(x, labels),
        ):
            with pytest.raises(ValueError, match=message):
                function(bad)
    for bad, message in (
        (labels + 1, "7 labels from 0 to 2"),
        (labels - 1, "7 labels from 0 to 2"),
        (labels[:6], "7 labels from 0 to 2"),
        (labels / 2, "integer labels"),
        (None, "class of each image"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(x, bad)
    assert int(model.optimizer.iterations) == 0
