"""Measurements in nats: the levels of pixels, how images get them, and words."""

from typing import Any

import numpy as np

from tfattn import data
from tfattn.data import Dataset
from tfattn.evaluation import Estimate, metrics

# Black and white in the literature, too.
BINARY_SETS = ("mnist", "binarized_mnist", "digits")
TEST_DRAW_SEED = 0


def is_binary(dataset: Dataset) -> bool:
    """Whether the images of a data set are taken as black and white."""
    if dataset.name in BINARY_SETS:
        return True
    x = dataset.x_train
    return bool(np.all((x == 0) | (x == 1)))


def pixels_in_words(dataset: Dataset, levels: int) -> str:
    """How the images of a data set become images of some levels."""
    if levels > 2:
        words = f"{levels} levels in each channel of a pixel"
        if levels < 256:
            error = with_levels(dataset.x_test, levels) - dataset.x_test
            error = 255 * float(np.sqrt(np.mean(np.square(error))))
            words += f", rounded from 256 by {error:.1f} of them on average (RMS)"
        return words
    if dataset.name == "binarized_mnist":
        return "static binarization (Larochelle), 50 000 training images"
    return (
        "dynamic binarization: training images drawn anew in each step, test images "
        f"drawn once with seed {TEST_DRAW_SEED}"
    )


def with_levels(x: np.ndarray, levels: int) -> np.ndarray:
    """Images in [0, 1] with so many levels: drawn for two, otherwise rounded."""
    if levels == 2:
        return data.binarize(x, TEST_DRAW_SEED)
    return np.rint((levels - 1) * x) / np.float32(levels - 1)


def nats_of_independent_pixels(dataset: Dataset, levels: int = 2) -> float:
    """What a model needs that only knows how often each pixel has each level.

    Args:
        dataset: A `tfattn.data.Dataset`.
        levels: Number of levels.

    Returns:
        Its mean negative log-likelihood of the test images, in nats. With more than
        two levels each counts as seen once more than it was.
    """
    x = with_levels(dataset.x_test, levels)
    if levels == 2:
        white = dataset.x_train.mean(axis=0, dtype="float64").clip(1e-3, 1 - 1e-3)
        x = x.mean(axis=0, dtype="float64")
        return float(-np.sum(x * np.log(white) + (1 - x) * np.log(1 - white)))
    size = dataset.x_train[0].size
    counts = np.ones(size * levels)
    for image in dataset.x_train:
        counts[_places(image, levels)] += 1
    nats = -np.log(counts / (len(dataset.x_train) + levels))
    return float(np.mean([nats[_places(image, levels)].sum() for image in x]))


def _places(image, levels):
    """Where in a flat table of pixels and levels an image's are."""
    levels_of_image = np.rint((levels - 1) * image.ravel()).astype(int)
    return np.arange(image.size) * levels + levels_of_image


def nats_in_words(nats: float, levels: int, image_shape: tuple[int, int, int]) -> str:
    """Nats of an image in words: also as bits, which more readers know.

    With more than two levels as bits per dimension, which is how they are published.
    """
    if levels == 2:
        return f"{nats:.1f} nats ({nats / np.log(2):.0f} bits)"
    bits = metrics.bits_per_dimension(nats, image_shape)
    return f"{bits:.3f} bits for each channel of a pixel ({nats:.0f} nats)"


def exact_measures(
    estimate: Estimate, dataset: Dataset, levels: int, image_shape: tuple[int, int, int]
) -> dict[str, Any]:
    """For metrics.json: an exact likelihood, and what makes it comparable.

    Args:
        estimate: Mean of −log p of test images, in nats.
        dataset: Their data set.
        levels: Levels of a pixel.
        image_shape: (h, w, c), w that of several images of the data side by side.
    """
    num_images = image_shape[1] // dataset.x_test.shape[2]
    return {
        "levels": levels,
        "image_shape": image_shape,
        "negative_log_likelihood": estimate._asdict(),
        "nats_of_independent_pixels": num_images
        * nats_of_independent_pixels(dataset, levels),
        "bits_per_dimension": metrics.bits_per_dimension(estimate.value, image_shape),
    }


def exact_in_words(result: dict[str, Any], image: str = "a test image") -> str:
    """What `exact_measures` mean."""
    nats, levels = result["negative_log_likelihood"]["value"], result["levels"]
    return (
        "On average, the model needs "
        f"{nats_in_words(nats, levels, result['image_shape'])} to encode {image}. "
        "Fewer is better. A model that knows only how often each pixel "
        f"{'is white' if levels == 2 else 'has each level'} needs "
        f"{result['nats_of_independent_pixels']:.1f} nats."
    )


def print_estimate(name: str, estimate: Estimate) -> None:
    """Prints a mean over the test images with its interval."""
    print(
        f"test {name}: {estimate.value:.2f} nats per image "
        f"(95 % interval {estimate.low:.2f} to {estimate.high:.2f}, "
        f"{estimate.num_images} images)",
        flush=True,
    )
