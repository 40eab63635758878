"""One way in for the data that a model is trained and measured on."""

from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from tfattn._checks import check_integer


class DataModel(keras.Model):
    """A Keras model of images, with one way in for its data.

    Training and measuring take the same data, with `y` the condition of each image, if
    the model has one, or its class, for a classifier:

    * `fit(x)` or `fit(x, y)` with arrays,
    * `fit(dataset)` with a `tf.data.Dataset` or a `keras.utils.PyDataset` whose batches
      are x, (x,), (x, y) or (x, y, sample_weight),

    and `evaluate`, `validation_data`, `train_on_batch` and `test_on_batch` likewise.
    Arrays and the first batch of a data set are checked before the work starts.
    `sample_weight` (n,) weights the loss of each image.

    A model made and compiled in the scope of a `tf.distribute.MirroredStrategy` trains
    as on one device, to rounding, also where the last batch is uneven; each replica
    must have an image of it. Keras's own dropout and shifts of images are alike in all
    replicas.

    A subclass defines `_checked(x, y, sample_weight)`, which returns arrays as they are
    trained on, or raises `ValueError`.
    """

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
        """`keras.Model.fit`, with the data described in `DataModel`."""
        if batch_size is not None:
            batch_size = check_integer("batch_size", batch_size, least=1)
        if hasattr(x, "shape"):
            _check_last_batch(self, len(x), batch_size or 32)
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

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.predict`: what `call` returns, for data as for `fit`.

        With a condition the images and it are a pair, (x, y).
        """
        return super().predict(self._inputs(x), *args, **kwargs)

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

    def _inputs(self, x):
        """Inputs of `call`, or a data set of them, checked."""
        pair = x if isinstance(x, tuple | list) else (x, None)
        return self._way_in(*pair)[0]

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
        raise NotImplementedError

    def _packed(self, x, y, sample_weight):
        """The same as Keras's own training is to see them."""
        return x, y, sample_weight

    def _converted_in_graph(self, y):
        """The condition of a batch of a `tf.data.Dataset`."""
        return y


def is_data_set(x: Any) -> bool:
    """Whether x gives batches."""
    return isinstance(x, keras.utils.PyDataset) or hasattr(x, "element_spec")


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


def _check_last_batch(model, n, batch_size):
    """ValueError if some of the replicas would get no image of the last batch.

    There TensorFlow's convolutions fail, and a mean is NaN.
    """
    if keras.backend.backend() != "tensorflow":
        return
    num_replicas = model.distribute_strategy.num_replicas_in_sync
    last = n % batch_size
    if 0 < last < num_replicas:
        raise ValueError(
            f"Expected in the last batch an image for each of {num_replicas} replicas. "
            f"Received: {n} images with batch_size={batch_size}, so that it has {last}"
        )


def _batch(x, y, sample_weight):
    """What `keras.utils.unpack_x_y_sample_weight` takes apart again."""
    return tuple(part for part in (x, y, sample_weight) if part is not None)


def _refuse_beside_a_data_set(y, sample_weight):
    if y is not None or sample_weight is not None:
        raise ValueError(
            "Expected a data set alone, with the condition and weights in its batches. "
            "Received: y or sample_weight beside it"
        )
