"""How realistic generated images look by their features, and how varied they are."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfattn.evaluation.features import feature_function
from tfattn.evaluation.metrics import (
    frechet_distance,
    kernel_distance,
    precision_recall,
)

# With fewer images the Fréchet distance is mostly the bias of the estimate.
FEW_IMAGES = 2000
# Standard deviation of the noise that the measures are tested with.
NOISE = 0.1


class FewImagesWarning(UserWarning):
    """Distances of so few images are far from those of many."""


def generation_report(
    generated: np.ndarray,
    real: np.ndarray,
    *,
    features: Any,
    labels: ArrayLike | None = None,
    training: np.ndarray | None = None,
) -> dict[str, Any]:
    """All measures of generated images.

    * `frechet_distance`, `kernel_distance`: between the features of both sets; the
      latter on subsets of 1000 images, or of all images if there are fewer
    * `precision`, `recall`: see `precision_recall`, on the same features
    * `recognized`, with labels: share of the generated images that the classifier
      takes for the class that they were generated for
    * `real`, with training images: the first four of as many of these as were
      generated, or of all if there are fewer: what a perfect model would reach
    * `real_with_noise`, with training images: the same with Gaussian noise of standard
      deviation 0.1: measures that hardly differ from those of `real` see too little

    Args:
        generated: Generated images (m, h, w, c) in [0, 1].
        real: Real images (n, h, w, c) in [0, 1], best those that no training saw.
        features: What gives the features, see `feature_function`: a classifier, a Keras
            model, a function, or `"inception"`.
        labels: The classes (m,) that the images were generated for, or `None`. They
            need a classifier: an object with a method `classify` to classes (m,).
        training: Other real images (k, h, w, c), or `None`.

    Returns:
        Dictionary from a measure's name to its value.

    Raises:
        ValueError: If `features` gives no features, or no classes for the labels.
    """
    if labels is not None and not hasattr(features, "classify"):
        raise ValueError(
            "Expected features of a classifier, with a method `classify`, to compare "
            f"labels with. Received: features={features!r:.60}"
        )
    features_of = feature_function(features)
    fewest = min(len(real), len(generated))
    if fewest < FEW_IMAGES:
        warnings.warn(
            f"Distances of {fewest} images are far larger than those of many, and "
            "vary: compare them only with distances of as many images, such as those "
            "of real ones.",
            FewImagesWarning,
            stacklevel=2,
        )
    features_of_real = features_of(real)

    def measures(images):
        both = features_of_real, features_of(images)
        subset_size = min(1000, len(real), len(images))
        return {
            "frechet_distance": frechet_distance(*both),
            "kernel_distance": kernel_distance(*both, subset_size=subset_size).value,
            **precision_recall(*both)._asdict(),
        }

    found: dict[str, Any] = measures(generated)
    if labels is not None:
        found["recognized"] = float(np.mean(features.classify(generated) == labels))
    if training is not None:
        rng = np.random.default_rng(0)
        chosen = rng.permutation(len(training))[: len(generated)]
        floor = training[chosen]
        noise = rng.normal(0, NOISE, floor.shape).astype("float32")
        found["real"] = measures(floor)
        found["real_with_noise"] = measures(np.clip(floor + noise, 0, 1))
    return found
