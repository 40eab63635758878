"""What all image models share: image size, condition, and what files hold of them."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfattn._checks import (
    check_image_shape,
    check_integer,
    checked_images,
    checked_labels,
    checked_numbers,
)
from tfattn._typing import Tensor
from tfattn.models.exporting import ExportableModel, ExportedFunction, tensor_input
from tfattn.models.replicas import drawn, num_replicas, replica_loss
from tfattn.models.training_data import DataModel

IMAGES_AT_ONCE = 250


class ImageModel(DataModel, ExportableModel):
    """A model of images of one size, with classes or without.

    Args:
        image_shape: (h, w, c).
        num_classes: Number of classes, or `None` for no class condition.
        seed: Seed of the random numbers in training.
        divisor: A number that divides h and w.

    Raises:
        ValueError: For an argument outside the ranges above.
    """

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

    def _in_batches(self, function, batch_size, *arrays) -> np.ndarray:
        """What a function makes of arrays, of so many of their rows at once.

        The device holds one batch, whatever their number.
        """
        check_integer("batch_size", batch_size, least=1)
        parts = [
            ops.convert_to_numpy(
                function(
                    *(ops.convert_to_tensor(a[i : i + batch_size]) for a in arrays)
                )
            )
            for i in range(0, len(arrays[0]), batch_size)
        ]
        return np.concatenate(parts)

    @contextlib.contextmanager
    def _settings(self, policy: Any) -> Iterator[None]:
        """Layers made inside compute as `policy` says, with channels last.

        Without this, layers would follow the global settings, which may differ when a
        model is loaded or given a `dtype`.
        """
        previous = keras.config.dtype_policy(), keras.config.image_data_format()
        keras.config.set_dtype_policy(policy)
        keras.config.set_image_data_format("channels_last")
        try:
            yield
        finally:
            keras.config.set_dtype_policy(previous[0])
            keras.config.set_image_data_format(previous[1])

    def _checked(self, x, y, sample_weight):
        """Arrays as they are trained on; ValueError for what is none."""
        x = checked_images(x, self.image_shape)
        y = self._checked_condition(y, len(x))
        if sample_weight is not None:
            sample_weight = checked_numbers("sample_weight", sample_weight)
            sample_weight = sample_weight.astype("float32")
            if sample_weight.shape != (len(x),):
                raise ValueError(
                    f"Expected sample_weight of shape ({len(x)},). "
                    f"Received: sample_weight of shape {sample_weight.shape}"
                )
        return x, y, sample_weight

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

    # --- the loss -------------------------------------------------------------

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        n = ops.shape(keras.tree.flatten(y_pred)[0])[0]
        return replica_loss(self._mean_loss(y, y_pred, sample_weight), n)

    def _mean_loss(self, y, outputs, sample_weight=None):
        """Of the images of this replica, the loss that `compile` was given."""
        # Keras has divided it by the number of replicas.
        return num_replicas() * super().compute_loss(None, y, outputs, sample_weight)

    # --- export and files -----------------------------------------------------

    def _exported_functions(self) -> dict[str, ExportedFunction]:
        images = tensor_input("images", *self.image_shape)
        return {"call": ExportedFunction(self, self, [images])}

    # A training that goes on from a file must go on with the same draws, its own and
    # those of its layers, which Keras does not save.
    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["seed_state"] = np.stack(
            [ops.convert_to_numpy(state) for state in self._seed_states()]
        )

    def load_own_variables(self, store: Any) -> None:
        own = self._trainable_variables + self._non_trainable_variables
        for index, variable in enumerate(own):
            variable.assign(store[str(index)])
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
        layers = [*self._flatten_layers(include_self=False)]
        changes = {
            "frozen": [i for i, x in enumerate(self._parts()) if not x.trainable],
            "quantized": [
                [i, x.quantization_mode]
                for i, x in enumerate(layers)
                if getattr(x, "quantization_mode", None)
            ],
            "lora": [
                [i, x.lora_rank]
                for i, x in enumerate(layers)
                if getattr(x, "lora_enabled", False)
            ],
        }
        return config | {name: found for name, found in changes.items() if found}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "ImageModel":
        config = dict(config)
        frozen, quantized, lora = (
            config.pop(name, []) for name in ("frozen", "quantized", "lora")
        )
        model = cls(**config)
        layers = [*model._flatten_layers(include_self=False)]
        for index, mode in quantized:
            layers[index].quantize(mode)
        for index, rank in lora:
            layers[index].enable_lora(rank)
        # Set before `compile`, which makes the optimizer's variables.
        parts = model._parts()
        for index in frozen:
            parts[index].trainable = False
        return model

    @property
    def _full_precision(self) -> str:
        """The type of what is never in half precision, whatever the policy."""
        half = self.variable_dtype in ("float16", "bfloat16")
        return "float32" if half else self.variable_dtype

    def _averages(self) -> Sequence[keras.Model]:
        """Moving averages of other parts, which are never trained."""
        return []

    def _parts(self):
        """The layers that may be trained, the outer ones before their own parts."""
        never = {
            id(part)
            for average in self._averages()
            for part in average._flatten_layers()
        }
        parts = self._flatten_layers(include_self=False)
        return [part for part in parts if id(part) not in never]


def binary_draw(x: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
    """Pixels that are white with a probability, as float32 zeros and ones.

    Zeros and ones stay as they are, because uniform numbers lie in [0, 1).

    Args:
        x: Probabilities in [0, 1], of any shape.
        seed: `keras.random.SeedGenerator`.
    """
    draw = drawn(keras.random.uniform, ops.shape(x), seed)
    return ops.cast(draw < ops.cast(x, "float32"), "float32")
