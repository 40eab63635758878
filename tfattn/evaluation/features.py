"""The features on which sets of images are compared."""

from collections.abc import Callable
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from tfattn._checks import check_choice

BATCH_SIZE = 100
INCEPTION_SIDE = 299


def feature_function(features: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images (n, h, w, c) in [0, 1] to features (n, d).

    Args:
        features: An object with such a method `features`, such as
            `tfattn.models.ImageClassifier`; a Keras model, whose output is flattened;
            any function; or `"inception"`: the last pooling of Keras's InceptionV3
            with the weights for ImageNet, which are downloaded once. Its distances are
            not those that the literature calls FID, whose network and resizing differ.

    Returns:
        The function.

    Raises:
        ValueError: If it is none of these, or if the weights cannot be downloaded.
    """
    if hasattr(features, "features"):
        return features.features
    if isinstance(features, keras.Model):
        return _in_batches(features)
    if callable(features):
        return cast(Callable[[np.ndarray], np.ndarray], features)
    check_choice("features", features, ("inception",))
    try:
        network = keras.applications.InceptionV3(include_top=False, pooling="avg")
    except Exception as error:  # Keras raises a bare one where the host is not reached
        raise ValueError(
            "Expected the weights of InceptionV3 in Keras's cache, or a network to "
            f"download them by. Received: {error}"
        ) from None

    def inception(images):
        images = ops.broadcast_to(images, (*images.shape[:3], 3))
        size = (INCEPTION_SIDE, INCEPTION_SIDE)
        return network(2 * ops.image.resize(images, size, antialias=True) - 1)

    return _in_batches(inception)


def _in_batches(network):
    """A function of arrays from one of tensors, a few images at once."""

    def features(images):
        parts = []
        for start in range(0, len(images), BATCH_SIZE):
            part = ops.convert_to_tensor(images[start : start + BATCH_SIZE])
            parts.append(ops.convert_to_numpy(network(part)))
        return np.concatenate(parts).reshape(len(images), -1)

    return features
