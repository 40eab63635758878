"""The classifier whose features the distances between sets of images are taken on."""

import keras
import numpy as np
from keras import layers, ops

from tfattn._checks import (
    check_image_shape,
    check_integer,
    checked_images,
    checked_labels,
)

MAX_SHIFT = 2  # pixels


@keras.saving.register_keras_serializable(package="tfattn")
class ImageClassifier(keras.Model):
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
    dropped. Batch normalisation and averages over positions would classify as well, but
    such features answer to noise that is too weak to see more than to a class that is
    missing. There is no softmax:

    ```python
    model = ImageClassifier()
    model.compile(
        classifier_optimizer(10 * 469),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x_train, y_train, batch_size=128, epochs=10)
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
        image_shape=(28, 28, 1),
        num_classes=10,
        width=16,
        num_features=128,
        flip=False,
        binarize=False,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_image_shape(image_shape, divisor=4)
        check_integer("num_classes", num_classes, least=2)
        check_integer("width", width, least=1)
        check_integer("num_features", num_features, least=1)
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.width = width
        self.num_features = num_features
        self.flip = flip
        self.binarize = binarize
        self.seed = seed

        h, w, _ = self.image_shape
        self.augmentation = [
            layers.RandomTranslation(
                MAX_SHIFT / h,
                MAX_SHIFT / w,
                fill_mode="constant",
                interpolation="nearest",
                seed=seed,
            )
        ]
        if flip:
            # With the seed of the shifts, an image's flip would follow its shift.
            self.augmentation.append(layers.RandomFlip("horizontal", seed=seed + 1))
        if binarize:
            self.seed_generator = keras.random.SeedGenerator(seed + 3)
        self.backbone = _build_backbone(self.image_shape, width, num_features, seed)
        self.dropout = layers.Dropout(0.5, seed=seed)
        self.head = layers.Dense(num_classes, dtype="float32", name="logits")
        self.head.build(self.backbone.output.shape)
        self.built = True

    def fit(self, x=None, y=None, *args, **kwargs):
        """`keras.Model.fit`; arrays are checked before training starts."""
        if isinstance(x, np.ndarray):
            checked_images(x, self.image_shape)
            checked_labels(y, len(x), self.num_classes)
        return super().fit(x, y, *args, **kwargs)

    def call(self, inputs, training=None):
        x = inputs
        for layer in self.augmentation:
            # Called without `training` they would take it to be True.
            x = layer(x, training=training)
        if training and self.binarize:
            white = keras.random.uniform(ops.shape(x), seed=self.seed_generator) < x
            x = ops.cast(white, x.dtype)
        features = self.backbone(x, training=training)
        return self.head(self.dropout(features, training=training))

    def features(self, x, batch_size=500):
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

    def classify(self, x, batch_size=500):
        """The most probable class of each image.

        Args:
            x: Images (n, h, w, c) in [0, 1].
            batch_size: Images at once.

        Returns:
            NumPy array (n,) of integers.

        Raises:
            ValueError: If x is not of the model's size or not in [0, 1].
        """
        x = checked_images(x, self.image_shape)
        return self.predict(x, batch_size=batch_size, verbose=0).argmax(axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "num_classes": self.num_classes,
            "width": self.width,
            "num_features": self.num_features,
            "flip": self.flip,
            "binarize": self.binarize,
            "seed": self.seed,
        }


def classifier_optimizer(num_steps):
    """Adam, its rate rising for a fifth of `num_steps` steps, then falling to 0."""
    check_integer("num_steps", num_steps, least=1)
    warmup_steps = max(1, num_steps // 5)
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(
            2e-4,
            max(1, num_steps - warmup_steps),
            warmup_target=4e-3,
            warmup_steps=warmup_steps,
        )
    )


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
