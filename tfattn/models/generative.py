"""What generative models share: a loss of their own, and metrics of what they make."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from numpy.typing import ArrayLike

from tfattn._typing import Tensor
from tfattn.models.base import ImageModel
from tfattn.models.exporting import ExportedFunction, tensor_input


class GenerativeModel(ImageModel):
    """An `ImageModel` with a loss of its own; its condition is an input of `call`.

    Each metric of `compile(metrics=…)` compares what the model is trained on, images
    unless its class says otherwise, with what it makes of them: its `update_state` gets
    both and the sample weights.

    A subclass names in `LOSS_TERMS` the outputs (n,) whose sum is the loss of an image,
    lists in `trackers` the means of these terms and of its other losses, and defines
    `_compared(outputs)`, which returns the two.
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
        for name in ("loss", "loss_weights", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"{type(self).__name__} has a loss of its own. Expected no {name}. "
                    f"Received: {name}={kwargs[name]!r}"
                )
        if metrics is not None and not isinstance(metrics, list | tuple):
            raise ValueError(
                "Expected metrics as a list, each of two sets of images. Received: "
                f"metrics={metrics!r}"
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
        """`keras.Model.fit`, with the data described in `DataModel`."""
        if class_weight is not None:
            raise ValueError(
                "Expected the weight of each image as sample_weight. Received: "
                f"class_weight={class_weight!r}"
            )
        return super().fit(x, y, *args, **kwargs)

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        if not config:  # not compiled
            return config
        metrics = keras.saving.serialize_keras_object(self.image_metrics)
        return {**config, "metrics": metrics}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def _mean_loss(self, y, outputs, sample_weight=None):
        terms = [outputs[name] for name in self.LOSS_TERMS]
        for tracker, term in zip(self.trackers, terms, strict=False):
            tracker.update_state(term, sample_weight)
        total = sum(terms)
        if sample_weight is not None:
            total = total * sample_weight
        return ops.mean(total) + sum(self.losses)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Tensor | None = None
    ) -> dict[str, Any]:
        compared = self._compared(y_pred)
        for metric in self.image_metrics:
            metric.update_state(*compared, sample_weight)
        return self.get_metrics_result()

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        loss = [metric for metric in super().metrics if metric.name == "loss"]
        return [*loss, *self.trackers, *self.image_metrics]

    # --- conditions -----------------------------------------------------------

    def _condition(self, condition, n):
        """The checked condition as the networks take it, in a list; empty for none."""
        condition = self._checked_condition(condition, n)
        return [] if condition is None else [self._encoded(condition)]

    def _split(self, inputs):
        """The inputs without their condition, and this encoded in a list, if any."""
        if not isinstance(inputs, list | tuple):
            return inputs, []
        x, condition = inputs
        return x, [self._encoded(condition)]

    def _encoded(self, condition):
        """Classes (n,) one-hot, (n, num_classes)."""
        return ops.one_hot(
            ops.cast(condition, "int32"), self.num_classes, dtype="float32"
        )

    def _condition_inputs(self):
        """The condition as an input of an exported function, in a list, if any."""
        if self.num_classes is None:
            return []
        return [tensor_input("condition", dtype="int32")]

    def _exported_functions(self) -> dict[str, ExportedFunction]:
        return self._exported_call(tensor_input("images", *self.image_shape))

    def _exported_call(self, first_input):
        inputs = [first_input, *self._condition_inputs()]
        function = self if len(inputs) == 1 else lambda *inputs: self(inputs)
        return {"call": ExportedFunction(self, function, inputs)}

    # --- one way in -----------------------------------------------------------

    def _packed(self, x, y, sample_weight):
        # Keras drops weights that stand beside no y; nothing else reads this one.
        return (x if y is None else (x, y)), sample_weight, sample_weight


def _metric(metric):
    """A metric from itself, a function of two sets of images, or the name of either."""
    metric = keras.metrics.get(metric)
    if isinstance(metric, keras.metrics.Metric):
        return metric
    return keras.metrics.MeanMetricWrapper(metric, name=metric.__name__)
