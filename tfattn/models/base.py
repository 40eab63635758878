"""What all image models share: conditions, checks, and one way in for data."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from tfattn._checks import (
    check_image_shape,
    check_integer,
    checked_images,
    checked_labels,
)
from tfattn._typing import Tensor
from tfattn.models.exporting import ExportedFunction, tensor_input


class ImageModel(keras.Model):
    """A model of images, with one way in for its data.

    Training and measuring take the same data, with `y` the condition of each image, if
    the model has one, or its class, for a classifier:

    * `fit(x)` or `fit(x, y)` with arrays,
    * `fit(dataset)` with a `tf.data.Dataset` or a `keras.utils.PyDataset` whose batches
      are x, (x,), (x, y) or (x, y, sample_weight),

    and `evaluate`, `validation_data`, `train_on_batch` and `test_on_batch` likewise.
    Arrays and the first batch of a data set are checked before the work starts.
    `sample_weight` (n,) weights the loss of each image.

    Args:
        image_shape: (h, w, c).
        num_classes: Number of classes, or `None` for no class condition.
        seed: Seed of the random numbers in training.
        divisor: A number that divides h and w.

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    # Exported functions that draw random numbers or write into a cache in a loop.
    NOT_IN_ONNX: Sequence[str] = ()

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int | None,
        seed: int,
        divisor: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_image_shape(image_shape, divisor)
        if num_classes is not None:
            num_classes = check_integer("num_classes", num_classes, least=2)
        seed = check_integer("seed", seed, least=0)
        h, w, c = map(int, image_shape)
        self.image_shape = (h, w, c)
        self.num_classes = num_classes
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @contextlib.contextmanager
    def _settings(self, policy: Any) -> Iterator[None]:
        """Layers made inside compute as `policy` says, with channels last.

        They would follow the global settings, which are others when a model is loaded,
        or made with a `dtype`.
        """
        of_others = keras.config.dtype_policy(), keras.config.image_data_format()
        keras.config.set_dtype_policy(policy)
        keras.config.set_image_data_format("channels_last")
        try:
            yield
        finally:
            keras.config.set_dtype_policy(of_others[0])
            keras.config.set_image_data_format(of_others[1])

    # --- one way in -----------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        *,
        validation_data: Any = None,
        sample_weight: ArrayLike | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """`keras.Model.fit`, with the data described in `ImageModel`."""
        if batch_size is not None:
            batch_size = check_integer("batch_size", batch_size, least=1)
        x, y, sample_weight = self._way_in(x, y, sample_weight)
        if validation_data is not None:
            if not isinstance(validation_data, tuple | list):
                validation_data = (validation_data,)
            validation_data = self._way_in(*validation_data)
        # TensorFlow traces a step twice if its first trace makes variables.
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().fit(
            x,
            y,
            batch_size,
            epochs,
            validation_data=validation_data,
            sample_weight=sample_weight,
            **kwargs,
        )

    def evaluate(
        self,
        x: Any = None,
        y: ArrayLike | None = None,
        *args: Any,
        sample_weight: ArrayLike | None = None,
        **kwargs: Any,
    ) -> Any:
        """`keras.Model.evaluate`, with data as for `fit`."""
        # `fit` has prepared its validation data already.
        if not kwargs.get("_use_cached_eval_dataset"):
            x, y, sample_weight = self._way_in(x, y, sample_weight)
        return super().evaluate(x, y, *args, sample_weight=sample_weight, **kwargs)

    def train_on_batch(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        **kwargs: Any,
    ) -> Any:
        """`keras.Model.train_on_batch`, with data as for `fit`."""
        return super().train_on_batch(*self._way_in(x, y, sample_weight), **kwargs)

    def test_on_batch(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        **kwargs: Any,
    ) -> Any:
        """`keras.Model.test_on_batch`, with data as for `fit`."""
        return super().test_on_batch(*self._way_in(x, y, sample_weight), **kwargs)

    def _way_in(self, x, y=None, sample_weight=None):
        """x, y and sample weights as Keras's own methods are to get them."""
        if isinstance(x, keras.utils.PyDataset):
            _refuse_beside_a_data_set(y, sample_weight)
            self._checked_batch(x[0])
            return _PreparedDataset(x, self._checked_batch), None, None
        if hasattr(x, "element_spec"):
            _refuse_beside_a_data_set(y, sample_weight)
            return self._prepared_tf_dataset(x), None, None
        if isinstance(x, tuple | list) or not hasattr(x, "shape"):
            raise ValueError(
                "Expected images as an array or tensor, with their condition, if any, "
                "as the second argument, or a tf.data.Dataset or "
                f"keras.utils.PyDataset. Received: x of type {type(x).__name__}"
            )
        return self._packed(*self._checked(x, y, sample_weight))

    def _prepared_tf_dataset(self, dataset):
        for batch in dataset.take(1):
            arrays = keras.tree.map_structure(np.asarray, batch)
            self._checked_batch(arrays)

        def prepare(*batch):
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
            return _batch(*self._packed(x, self._converted_in_graph(y), sample_weight))

        return dataset.map(prepare)

    def _checked_batch(self, batch):
        """A batch of arrays, x or (x, y, sample_weight), checked and packed."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        return _batch(*self._packed(*self._checked(x, y, sample_weight)))

    def _checked(self, x, y, sample_weight):
        """Arrays as they are trained on; ValueError for what is none."""
        x = checked_images(x, self.image_shape)
        y = self._checked_condition(y, len(x))
        if sample_weight is not None:
            sample_weight = np.asarray(sample_weight, "float32")
            if sample_weight.shape != (len(x),):
                raise ValueError(
                    f"Expected sample_weight of shape ({len(x)},). "
                    f"Received: sample_weight of shape {sample_weight.shape}"
                )
        return x, y, sample_weight

    def _packed(self, x, y, sample_weight):
        """The same as Keras's own training is to see them."""
        return x, y, sample_weight

    def _converted_in_graph(self, y):
        """The condition of a batch of a `tf.data.Dataset`."""
        return y

    # --- conditions -----------------------------------------------------------

    def _checked_condition(self, condition, n):
        """What `call` gets beside n images, or `None` for a model without classes."""
        if (condition is None) != (self.num_classes is None):
            found = "none" if condition is None else f"{condition!r:.60}"
            raise ValueError(
                f"Expected {self._words_on_condition()}. Received: {found}"
            )
        if condition is None or self.num_classes is None:
            return None
        return checked_labels(condition, n, self.num_classes).astype("int32")

    def _words_on_condition(self):
        if self.num_classes is None:
            return "no condition, because the model has no classes"
        return f"the class of each image, 0 to {self.num_classes - 1}, as the condition"

    def _condition(self, condition, n):
        """The checked condition as the networks take it, in a list; empty for none."""
        condition = self._checked_condition(condition, n)
        return [] if condition is None else [self._encoded(condition)]

    def _split(self, inputs):
        """The inputs without their condition, and this encoded in a list, if any."""
        if self.num_classes is None:
            return inputs, []
        x, condition = inputs
        return x, [self._encoded(condition)]

    def _encoded(self, condition):
        """Classes (n,) one-hot, (n, num_classes)."""
        return ops.one_hot(
            ops.cast(condition, "int32"), self.num_classes, dtype="float32"
        )

    # --- files ----------------------------------------------------------------

    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str = "tf_saved_model",
        *,
        function: str = "call",
        **kwargs: Any,
    ) -> None:
        """`keras.Model.export`: one function of the model, for other programs.

        On TensorFlow, and as a SavedModel on JAX.

        The exported function takes its inputs as float32, any number n of images at
        once: those of `call`, or those that the class lists under "Exported functions".
        A condition is int32: classes (n,), or words as numbers (n, max_words), see
        `TextEncoder.tokenize`.

        Args:
            filepath: Folder or file to write, for ONNX `.onnx`, for LiteRT `.tflite`.
            format: `"tf_saved_model"`, `"onnx"` (needs tf2onnx), `"litert"` or another
                one that Keras knows.
            function: Name of the exported function.
            **kwargs: As for `keras.Model.export`.

        Raises:
            ValueError: For a function that the class does not list, or that ONNX
                cannot express; on torch, whose exporters do not take these models.
        """
        if keras.backend.backend() == "torch":
            raise ValueError(
                "Expected KERAS_BACKEND=tensorflow, or jax for a SavedModel, to export "
                "a model; one that was saved can be loaded there. Received: torch"
            )
        exported = self._exported_functions()
        if function not in exported:
            raise ValueError(
                f"Expected function in {sorted(exported)}. Received: "
                f"function={function!r}"
            )
        if format == "onnx" and function in self.NOT_IN_ONNX:
            others = sorted(set(exported) - set(self.NOT_IN_ONNX))
            raise ValueError(
                "ONNX has no random numbers, and no cache that a loop writes to. "
                f"Expected function in {others}. Received: function={function!r}"
            )
        model = exported[function]
        # One argument, a list where there are several inputs, as for `call`.
        inputs = list(model.signature)
        kwargs.setdefault("input_signature", inputs if len(inputs) == 1 else [inputs])
        model.export(filepath, format, **kwargs)

    def _exported_functions(self) -> dict[str, ExportedFunction]:
        """What `export` can write, by name."""
        images = tensor_input("images", *self.image_shape)
        return {"call": self._exported_call(images)}

    def _exported_call(self, first_input):
        inputs = [first_input, *self._condition_inputs()]
        function = self if len(inputs) == 1 else lambda *inputs: self(inputs)
        return ExportedFunction(self, function, inputs)

    def _condition_inputs(self):
        """The condition as an input of an exported function, in a list, if any."""
        if self.num_classes is None:
            return []
        return [tensor_input("condition", dtype="int32")]

    # A training that goes on from a file must go on with the same draws, its own and
    # those of its layers, which Keras does not save.
    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["seed_state"] = np.stack(
            [ops.convert_to_numpy(state) for state in self._seed_states()]
        )

    def load_own_variables(self, store: Any) -> None:
        found = np.array(store["seed_state"]).reshape(-1, 2)
        for state, value in zip(self._seed_states(), found, strict=True):
            state.assign(value)

    def _seed_states(self):
        return [v for v in self.variables if v.path.endswith("seed_generator_state")]

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "image_shape": self.image_shape,
            "num_classes": self.num_classes,
            "seed": self.seed,
        }
        frozen = [i for i, layer in enumerate(self._parts()) if not layer.trainable]
        return {**config, "frozen": frozen} if frozen else config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "ImageModel":
        # Set before `compile`, which makes the optimizer's variables.
        frozen = config.get("frozen", [])
        model = cls(**{k: v for k, v in config.items() if k != "frozen"})
        parts = model._parts()
        for index in frozen:
            parts[index].trainable = False
        return model

    def _parts(self):
        """The layers that may be trained, the outer ones before their own parts."""
        return list(self._flatten_layers(include_self=False))


class GenerativeModel(ImageModel):
    """An `ImageModel` that makes images; its condition is an input of `call`.

    Each metric of `compile(metrics=…)` compares the images with what the model makes of
    them: its `update_state` gets both and the sample weights.

    A subclass names in `LOSS_TERMS` the outputs (n,) whose sum is the loss of an image,
    lists in `trackers` the means of these terms and of its other losses, and defines
    `_compared(x, outputs)`, which returns the two sets of images.
    """

    LOSS_TERMS: Sequence[str] = ()
    image_metrics: Sequence[keras.metrics.Metric] = ()  # before `compile`

    def compile(
        self,
        optimizer: Any = "rmsprop",
        *,
        metrics: list | None = None,
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile`; the loss is the model's own.

        Args:
            optimizer: As for `keras.Model.compile`.
            metrics: List of metrics or functions of two sets of images.
            **kwargs: As for `keras.Model.compile`.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(
                f"{type(self).__name__} has a loss of its own. Expected no loss. "
                f"Received: loss={kwargs['loss']!r}"
            )
        super().compile(optimizer, **kwargs)
        self.image_metrics = [_metric(metric) for metric in metrics or []]

    def fit(
        self,
        x: Any = None,
        y: ArrayLike | None = None,
        *args: Any,
        class_weight: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """`keras.Model.fit`, with the data described in `ImageModel`."""
        if class_weight is not None:
            raise ValueError(
                "Expected the weight of each image as sample_weight. Received: "
                f"class_weight={class_weight!r}"
            )
        return super().fit(x, y, *args, **kwargs)

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        if config is None:  # not compiled
            return None
        metrics = keras.saving.serialize_keras_object(self.image_metrics)
        return {**config, "metrics": metrics}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        terms = [y_pred[name] for name in self.LOSS_TERMS]
        for tracker, term in zip(self.trackers, terms, strict=False):
            tracker.update_state(term, sample_weight)
        total = sum(terms)
        if sample_weight is not None:
            total = total * sample_weight
        return ops.mean(total) + sum(self.losses)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Tensor | None = None
    ) -> dict[str, Any]:
        compared = self._compared(x, y_pred)
        for metric in self.image_metrics:
            metric.update_state(*compared, sample_weight)
        return self.get_metrics_result()

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        loss = [metric for metric in super().metrics if metric.name == "loss"]
        return [*loss, *self.trackers, *self.image_metrics]

    def _packed(self, x, y, sample_weight):
        # Keras drops weights that stand beside no y; nothing else reads this one.
        return (x if y is None else (x, y)), sample_weight, sample_weight


class _PreparedDataset(keras.utils.PyDataset):
    """Another `PyDataset`, each batch of which is prepared."""

    def __init__(self, dataset, prepare):
        super().__init__(
            dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size
        )
        self.dataset = dataset
        self.prepare = prepare

    @property
    def num_batches(self) -> int | None:
        return self.dataset.num_batches

    def __getitem__(self, index):
        return self.prepare(self.dataset[index])

    def on_epoch_begin(self) -> None:
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.dataset.on_epoch_end()


def _batch(x, y, sample_weight):
    """What `keras.utils.unpack_x_y_sample_weight` takes apart again."""
    return tuple(part for part in (x, y, sample_weight) if part is not None)


def _metric(metric):
    """A metric from itself, a function of two sets of images, or the name of either."""
    metric = keras.metrics.get(metric)
    if isinstance(metric, keras.metrics.Metric):
        return metric
    return keras.metrics.MeanMetricWrapper(metric, name=metric.__name__)


def binary_draw(x: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
    """Pixels that are white with a probability, as float32 zeros and ones.

    Zeros and ones stay as they are, because uniform numbers lie in [0, 1).

    Args:
        x: Probabilities in [0, 1], of any shape.
        seed: `keras.random.SeedGenerator`.
    """
    draw = keras.random.uniform(ops.shape(x), seed=seed)
    return ops.cast(draw < ops.cast(x, "float32"), "float32")


def _refuse_beside_a_data_set(y, sample_weight):
    if y is not None or sample_weight is not None:
        raise ValueError(
            "Expected a data set alone, with the condition and weights in its batches. "
            "Received: y or sample_weight beside it"
        )
