"""What models of images have in common: classes, checked data, repeatable draws."""

import contextlib

import keras
import numpy as np
from keras import ops

from tfattn._checks import (
    check_image_shape,
    check_integer,
    checked_images,
    checked_labels,
)


class ConditionalImageModel(keras.Model):
    """A model of images, with or without classes.

    Args:
        image_shape: (h, w, c).
        num_classes: Number of classes, or `None` for no class condition.
        seed: Seed of the draws in training.
        divisor: What h and w are divisible by.

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    def __init__(self, image_shape, num_classes, seed, divisor, **kwargs):
        super().__init__(**kwargs)
        check_image_shape(image_shape, divisor)
        if num_classes is not None:
            check_integer("num_classes", num_classes, least=2)
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @contextlib.contextmanager
    def _precision(self, policy):
        """Layers made inside compute as `policy` says, mostly the model's own.

        They would follow the global policy, which is another one when a model is
        loaded, or made with a `dtype`.
        """
        of_others = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            yield
        finally:
            keras.config.set_dtype_policy(of_others)

    def fit(self, x=None, *args, **kwargs):
        """`keras.Model.fit`; arrays are checked before training starts."""
        if isinstance(x, np.ndarray):
            x = self._training_inputs(x, None)
        elif isinstance(x, tuple | list) and len(x) == 2:
            x = self._training_inputs(*x)
        # TensorFlow traces a step twice if its first trace makes variables.
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().fit(x, *args, **kwargs)

    def _training_inputs(self, x, labels):
        """What `fit` trains on, checked."""
        checked_images(x, self.image_shape)
        self._condition(labels, len(x))
        return x if labels is None else (x, labels)

    def _split(self, inputs):
        """The inputs without their labels, and these one-hot in a list, if any."""
        if not self.num_classes:
            return inputs, []
        x, labels = inputs
        return x, [ops.one_hot(ops.cast(labels, "int32"), self.num_classes)]

    def _condition(self, labels, n):
        """Checked labels, one-hot in a list, empty for a model without classes."""
        labels = self._checked_labels(labels, n)
        if labels is None:
            return []
        return [ops.one_hot(labels, self.num_classes, dtype="float32")]

    def _checked_labels(self, labels, n):
        """Labels as an array, or `None` for a model without classes."""
        if (labels is None) != (self.num_classes is None):
            raise ValueError(
                "Expected labels exactly where the model has classes. Received: "
                f"labels={labels!r} for a model with num_classes={self.num_classes}"
            )
        if labels is None:
            return None
        return checked_labels(labels, n, self.num_classes)

    # A training that goes on from a file must go on with the same draws, its own and
    # those of its layers, which Keras does not save.
    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["seed_state"] = np.stack(
            [ops.convert_to_numpy(state) for state in self._seed_states()]
        )

    def load_own_variables(self, store):
        found = np.array(store["seed_state"]).reshape(-1, 2)
        for state, value in zip(self._seed_states(), found, strict=True):
            state.assign(value)

    def _seed_states(self):
        return [v for v in self.variables if v.path.endswith("seed_generator_state")]

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "num_classes": self.num_classes,
            "seed": self.seed,
        }
