"""The classifier whose features measure distances between sets of images."""

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import ArrayLike

from tfattn._checks import check_integer, checked_images
from tfattn._typing import Tensor
from tfattn.models.base import ImageModel, binary_draw
from tfattn.models.training_data import is_data_set

MAX_SHIFT = 2  # pixels


@keras.saving.register_keras_serializable(package="tfattn")
class ImageClassifier(ImageModel):
    """Small convolutional classifier, trained for its features.

    1. in training only: shift by up to 2 pixels each way, zeros moving in, and, with
       `flip`, a horizontal flip of every second image; with `binarize`, each pixel
       white with probability its value, otherwise black
    2. two 3×3 convolutions (h, w, width), max-pooling to (h/2, w/2)
    3. two 3×3 convolutions (h/2, w/2, 2·width), max-pooling to (h/4, w/4)
    4. features (num_features,): an affine map of all positions
    5. logits (num_classes,): an affine map of the features

    Convolutions and features are followed by a rectifier, so that the features are not
    negative; in training a quarter of the inputs of 4 and half of those of 5 are
    dropped. Batch normalization and averages over positions would classify as well, but
    such features react more to noise that is too weak to be seen than to a missing
    class. There is no softmax:

    ```python
    model = ImageClassifier()
    recipe = tfattn.training.recipe(model)
    steps = math.ceil(len(x_train) / recipe.batch_size)
    recipe.compile(model, recipe.epochs * steps)
    model.fit(x_train, y_train, batch_size=recipe.batch_size, epochs=recipe.epochs)
    ```

    Source: Simonyan & Zisserman, *Very Deep Convolutional Networks for Large-Scale
    Image Recognition*, arXiv:1409.1556, section 2.1, for the pairs of convolutions.

    Args:
        image_shape: (h, w, c), h and w divisible by 4.
        num_classes: Number of classes, at least 2.
        width: Channels at (h, w), half of those at (h/2, w/2).
        num_features: Number of features.
        flip: Whether an image and its mirror image are of one class.
        binarize: Whether the images to be judged are black and white.
        seed: Seed of the shifts, flips and draws of black and white. The initial
            weights follow `keras.utils.set_random_seed`.

    Call arguments:
        inputs: Images (n, h, w, c) in [0, 1].

    Output:
        Logits (n, num_classes).

    Raises:
        ValueError: For an argument outside the ranges above.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        num_classes: int = 10,
        width: int = 16,
        num_features: int = 128,
        flip: bool = False,
        binarize: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        num_classes = check_integer("num_classes", num_classes, least=2)
        super().__init__(image_shape, num_classes, seed, divisor=4, **kwargs)
        width = check_integer("width", width, least=1)
        num_features = check_integer("num_features", num_features, least=1)
        self.width = width
        self.num_features = num_features
        self.flip = flip
        self.binarize = binarize

        with self._settings(self.dtype_policy):
            h, w, _ = self.image_shape
            self.augmentation = [
                layers.RandomTranslation(
                    MAX_SHIFT / h,
                    MAX_SHIFT / w,
                    fill_mode="constant",
                    interpolation="nearest",
                    seed=self.seed,
                )
            ]
            if flip:
                # With the seed of the shifts, an image's flip would follow its shift.
                self.augmentation.append(
                    layers.RandomFlip("horizontal", seed=self.seed + 1)
                )
            if binarize:
                self.pixel_seed = keras.random.SeedGenerator(self.seed + 3)
            self.backbone = _build_backbone(
                self.image_shape, width, num_features, self.seed
            )
            self.dropout = layers.Dropout(0.5, seed=self.seed)
        self.head = layers.Dense(num_classes, dtype="float32", name="logits")
        self.head.build(self.backbone.output.shape)
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = inputs
        for layer in self.augmentation:
            # Called without `training` they would take it to be True.
            x = layer(x, training=training)
        if training and self.binarize:
            x = binary_draw(x, self.pixel_seed)
        features = self.backbone(x, training=training)
        return self.head(self.dropout(features, training=training))

    def _inputs(self, x):
        # Images without their classes, which `fit` would ask for.
        return x if is_data_set(x) else checked_images(x, self.image_shape)

    def features(self, x: ArrayLike, batch_size: int = 500) -> np.ndarray:
        """What the classifier sees in images, before it decides.

        Args:
            x: Images (n, h, w, c) in [0, 1].
            batch_size: Images at once; the features do not depend on it.

        Returns:
            NumPy array (n, num_features), float32, not negative.

        Raises:
            ValueError: If x is not of the model's size or not in [0, 1].
        """
        x = checked_images(x, self.image_shape)
        features = self.backbone.predict(x, batch_size=batch_size, verbose=0)
        return features.astype("float32")

    def classify(self, x: ArrayLike, batch_size: int = 500) -> np.ndarray:
        """The most probable class of each image.

        Args:
            x: Images (n, h, w, c) in [0, 1].
            batch_size: Images at once.

        Returns:
            NumPy array (n,) of integers.

        Raises:
            ValueError: If x is not of the model's size or not in [0, 1].
        """
        return self.predict(x, batch_size=batch_size, verbose=0).argmax(axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "num_features": self.num_features,
            "flip": self.flip,
            "binarize": self.binarize,
        }


def _build_backbone(image_shape, width, num_features, seed):
    """Images to features (num_features,)."""
    images = keras.Input(image_shape)
    x = images
    for filters in (width, 2 * width):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dropout(0.25, seed=seed + 2)(layers.Flatten()(x))
    features = layers.Dense(num_features, activation="relu")(x)
    return keras.Model(images, features, name="backbone")
