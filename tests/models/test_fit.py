"""One way in for the data of all models, and what Keras promises of `fit`."""

import functools

import keras
import numpy as np
import pytest
import small
from conftest import on_tensorflow

pytestmark = pytest.mark.backend

BACKEND = keras.backend.backend()
TRAINABLE = list(small.MAKERS)
if BACKEND != "tensorflow":
    # One of each kind: JAX compiles every step for long.
    TRAINABLE = ["vae", "gan_by_class", "transformer_by_text", "completion_by_mask"]
if BACKEND == "torch":
    TRAINABLE.remove("gan_by_class")
# Without being asked for, one of each way to take a step.
QUICK = ("gan_by_class", "completion_by_mask", "classifier")
MEASURABLE = [name for name in TRAINABLE if name != "gan_by_class"]


def models(*without, of=TRAINABLE):
    """Parametrizes a test by the kinds of models, the slowest on request."""
    names = [name for name in of if name not in without]
    params = [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.ci)
        for name in names
    ]
    return pytest.mark.parametrize("name", params)


class Level(keras.metrics.Metric):
    """Sum of the images that others are compared with."""

    def __init__(self, name="level", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(keras.ops.sum(y_true))

    def result(self):
        return 1.0 * self.total


class Difference(keras.metrics.Metric):
    """Mean difference of two sets of images, and how many there were."""

    def __init__(self, name="difference", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        # Of the captioner these are words.
        assert tuple(y_true.shape[1:]) == tuple(y_pred.shape[1:])
        assert tuple(y_true.shape[1:]) in (small.SHAPE, (2, 5))
        self.total.assign_add(keras.ops.sum(keras.ops.abs(y_true - y_pred)))
        self.count.assign_add(keras.ops.cast(keras.ops.shape(y_true)[0], "float32"))

    def result(self):
        return self.total / self.count

    def reset_state(self):
        self.total.assign(0.0)
        self.count.assign(0.0)


@functools.cache
def _model(name):
    """A compiled model, and all that training changes of it."""
    metrics = ["accuracy"] if name == "classifier" else [Difference(), "mse", Level()]
    # Without a graph: there are few steps. JAX has no other way.
    eager = BACKEND != "jax"
    model = small.compiled(name, metrics, run_eagerly=eager)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    changed = [*model.variables, *model.optimizer.variables]
    return model, [(v, keras.ops.convert_to_numpy(v) + 0) for v in changed]


def fresh(name):
    """A compiled model as it was made."""
    model, state = _model(name)
    for variable, value in state:
        variable.assign(value)
    return model


class Batches(keras.utils.PyDataset):
    """Two batches of three images and, if there is one, their condition."""

    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays
        self.num_epochs = 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return tuple(array[3 * index : 3 * index + 3] for array in self.arrays)

    def on_epoch_end(self):
        self.num_epochs += 1


def arrays(name):
    both = small.images(), small.condition(name)
    return both if both[1] is not None else both[:1]


def tf_dataset(*arrays):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(arrays).batch(3)


@pytest.mark.slow
@models()
def test_arrays_and_data_sets_train_alike(name):
    data = arrays(name)
    found = []
    for ways in (data, (tf_dataset(*data),), (Batches(*data),)):
        model = fresh(name)
        model.fit(
            *ways, batch_size=3 if ways is data else None, shuffle=False, verbose=0
        )
        found.append([keras.ops.convert_to_numpy(v) for v in model.trainable_variables])
    for expected, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_allclose(other, expected, atol=1e-6)


@pytest.mark.slow
@models(of=MEASURABLE)
def test_validation_and_callbacks(name):
    """Arrays and data sets validate; a callback may evaluate in between."""
    data = arrays(name)
    other = (small.images(seed=4), *data[1:])
    seen, unseen = (images.sum() for images in (data[0], other[0]))
    measured = []

    class Measure(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            measured.append(self.model.evaluate(*other, verbose=0, return_dict=True))

    for validation_data in (other, tf_dataset(*other), Batches(*other)):
        model = fresh(name)
        history = model.fit(
            *data, validation_data=validation_data, callbacks=[Measure()], verbose=0
        ).history
        # What VAEs and flows sample differs between two evaluations.
        drawn = name.startswith(("vae", "completion", "flow"))
        term = "velocity_error" if name.startswith("flow") else "reconstruction"
        for key in [term] if drawn else measured[-1]:
            expected = pytest.approx(measured[-1][key], rel=0.3 if drawn else 1e-4)
            assert history[f"val_{key}"][0] == expected
        if name == "captioner_by_text":  # whose metrics compare words
            assert history["level"][0] == history["val_level"][0] == 12
        elif name != "classifier":
            assert history["level"][0] == pytest.approx(seen)
            assert history["val_level"][0] == pytest.approx(unseen)
        assert {f"val_{k}" for k in history if k[:4] != "val_"} < set(history)


@pytest.mark.slow
@models("classifier")
def test_metrics_compare_images_with_what_the_model_makes_of_them(name):
    model = fresh(name)
    metric, *_ = model.image_metrics
    history = model.fit(*arrays(name), batch_size=3, verbose=0).history
    assert float(metric.count) == 6
    assert 0 < history["difference"][0] < np.prod(small.SHAPE)
    assert 0 < history["mean_squared_error"][0] < 1
    # Of the captioner 6 texts of 2 words, each 1 in the place of its number.
    level = 12 if name == "captioner_by_text" else small.images().sum()
    assert history["level"][0] == pytest.approx(level)
    if name in MEASURABLE:
        found = model.evaluate(*arrays(name), verbose=0, return_dict=True)
        assert found["difference"] > 0 and float(metric.count) == 6


@pytest.mark.slow
def test_metrics_of_a_perfect_reconstruction_are_zero():
    """What is compared are the images that the loss saw, not the gray ones given."""
    model, x = fresh("vae"), small.images()
    for variable in model.decoder_image.layers[-1].trainable_variables:
        variable.assign(np.zeros(variable.shape))
    model.decoder_image.layers[-1].bias.assign([-50.0])
    found = model.evaluate(0 * x, verbose=0, return_dict=True)
    assert found["difference"] == pytest.approx(0, abs=1e-9)
    found = model.evaluate(1 + 0 * x, verbose=0, return_dict=True)
    assert found["difference"] == pytest.approx(np.prod(small.SHAPE))


@pytest.mark.slow
@models("completion_adversarial", of=MEASURABLE)
def test_sample_weights_weight_the_loss_of_each_image(name):
    x, *y = (array[:2] for array in arrays(name))
    model, losses = fresh(name), []
    for weight in (1, 3):
        model.seed_generator.state.assign([0, 1])  # the same random numbers
        weights = np.array([weight], "float32")
        found = model.evaluate(
            x[:1], *(a[:1] for a in y), sample_weight=weights, verbose=0
        )
        losses.append(found[0])
    assert losses[1] == pytest.approx(3 * losses[0], rel=1e-5)

    # An image without weight has no influence, in arrays as in data sets.
    weights, found = np.array([1, 0], "float32"), []
    for second in (x[1], 1 - x[1]):
        x[1] = second
        model = fresh(name)
        model.fit(x, *y, sample_weight=weights, shuffle=False, verbose=0)
        found.append([keras.ops.convert_to_numpy(v) for v in model.trainable_variables])
        if y:
            model = fresh(name)
            model.fit(tf_dataset(x, *y, weights), verbose=0)
            found.append(
                [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
            )
    for expected, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_allclose(other, expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"shape \(2,\).*\(5,\)"):
        model.fit(x, *y, sample_weight=np.ones(5))


@models()
def test_bad_data_is_refused_before_training(name):
    model = fresh(name)
    x, *y = arrays(name)
    too_bright = (255 * x).astype("uint8")
    before = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    for data, words in (
        ((too_bright, *y), r"x\.astype\('float32'\) / 255"),
        ((x[:, :, :-1], *y), r"Expected images of shape \(n, 8, 12, 1\)"),
        ((np.where(x > 0, np.nan, x), *y), "no NaN"),
        ((tf_dataset(255 * x, *y),), r"pixels in \[0, 1\]"),
        ((Batches(255 * x, *y),), r"pixels in \[0, 1\]"),
        (((x, *y),), "Expected images as an array"),
        ((iter([x]),), "type list_iterator"),
        ((Batches(x, *y), y[0] if y else x), "a data set alone"),
    ):
        with pytest.raises(ValueError, match=words):
            model.fit(*data, verbose=0)
    if y:
        words = r"3 labels|3 texts|boolean `visible`|condition for each of 3"
        with pytest.raises(ValueError, match=words):
            model.fit(Batches(x, y[0][:2]), verbose=0)
        if name != "completion_by_mask":  # where a mask is not needed
            with pytest.raises(
                ValueError, match=r"as the condition|a condition|for each image"
            ):
                model.fit(x, verbose=0)
    elif not name.startswith("completion"):
        with pytest.raises(ValueError, match="no condition"):
            model.fit(x, np.arange(6))
        with pytest.raises(ValueError, match="no condition"):
            model.fit(tf_dataset(x, np.arange(6)))
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == before


def test_the_loss_is_the_models_own():
    with pytest.raises(ValueError, match="a loss of its own"):
        small.MAKERS["vae"]().compile("adam", loss="mse")
    model = fresh("vae")
    with pytest.raises(ValueError, match="weight of each image as sample_weight"):
        model.fit(small.images(), class_weight={0: 1.0})


@on_tensorflow
def test_words_outside_the_vocabulary_stop_a_data_set():
    """Also in a later batch, which was not checked beforehand."""
    import tensorflow as tf

    model = fresh("transformer_by_text")
    texts = np.array(["red"] * 3 + ["red", "purple", "red"])
    with pytest.raises(tf.errors.OpError, match="purple"):
        model.fit(tf_dataset(small.images(), texts), verbose=0)


@on_tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "transformer_by_class", "completion_by_mask"])
def test_a_step_is_traced_once(name, monkeypatch):
    """Tracing takes most of the time before the first step; by default it is twice."""
    model = small.MAKERS[name]()
    traced = []
    train_step = type(model).train_step
    monkeypatch.setattr(
        type(model),
        "train_step",
        lambda self, data: traced.append(1) or train_step(self, data),
    )
    model.compile()
    model.fit(*arrays(name), batch_size=3, verbose=0)
    assert len(traced) == 1


@pytest.mark.slow
def test_a_saved_model_keeps_its_metrics_and_its_optimizer(tmp_path):
    model = fresh("vae")
    model.fit(small.images(), verbose=0)
    model.save(tmp_path / "model.keras")
    custom = {"Difference": Difference, "Level": Level}
    loaded = keras.saving.load_model(tmp_path / "model.keras", custom)
    assert [m.name for m in loaded.image_metrics] == [
        m.name for m in model.image_metrics
    ]
    for one, other in zip(
        model.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(
            *(keras.ops.convert_to_numpy(v) for v in (one, other))
        )
    found = loaded.evaluate(small.images(), verbose=0, return_dict=True)
    assert 0 < found["mean_squared_error"] < 1 and found["difference"] > 0
