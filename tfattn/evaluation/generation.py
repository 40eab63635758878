"""How realistic generated images look to a classifier, and how varied they are."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfattn.evaluation.metrics import (
    frechet_distance,
    kernel_distance,
    precision_recall,
)


def generation_report(
    classifier: Any,
    real: np.ndarray,
    generated: np.ndarray,
    labels: ArrayLike | None = None,
) -> dict[str, float]:
    """Every number by which generated images are judged.

    * `frechet_distance`, `kernel_distance`: between the features of both sets; the
      latter on subsets of 1000 images, or of all images if there are fewer
    * `precision`, `recall`: see `precision_recall`, on the same features
    * `recognised`, with labels: share of the generated images that the classifier
      takes for the class that they were generated for

    Args:
        classifier: An object with the method `features` from images (n, h, w, c) to an
            array (n, d) and, for labels, `classify` to classes (n,), such as
            `tfattn.models.ImageClassifier`.
        real: Real images (n, h, w, c).
        generated: Generated images (m, h, w, c).
        labels: The classes (m,) that the images were generated for, or `None`.

    Returns:
        Dictionary from a measure's name to its value.
    """
    features = classifier.features(real), classifier.features(generated)
    subset_size = min(1000, len(real), len(generated))
    found = {
        "frechet_distance": frechet_distance(*features),
        "kernel_distance": kernel_distance(*features, subset_size=subset_size).value,
        **precision_recall(*features)._asdict(),
    }
    if labels is not None:
        found["recognised"] = float(np.mean(classifier.classify(generated) == labels))
    return found
