"""Measurements in nats on binary images: how the images are drawn, and words."""

import numpy as np

from tfattn import data
from tfattn.data import Dataset
from tfattn.evaluation import Estimate

TEST_DRAW_SEED = 0


def binarisation(name: str) -> str:
    """Words on how the images of a data set become binary."""
    if name == "binarized_mnist":
        return "static binarisation (Larochelle), 50 000 training images"
    return (
        "dynamic binarisation: training images drawn anew in each step, test images "
        f"drawn once with seed {TEST_DRAW_SEED}"
    )


def nats_of_independent_pixels(dataset: Dataset) -> float:
    """What a model needs that only knows how often each pixel is white.

    Args:
        dataset: A `tfattn.data.Dataset`.

    Returns:
        Its mean negative log-likelihood of the binary test images, in nats.
    """
    white = dataset.x_train.mean(axis=0, dtype="float64").clip(1e-3, 1 - 1e-3)
    x = data.binarize(dataset.x_test, TEST_DRAW_SEED).mean(axis=0, dtype="float64")
    return float(-np.sum(x * np.log(white) + (1 - x) * np.log(1 - white)))


def nats_and_bits(nats: float) -> str:
    """A number of nats in words, with the bits, which more readers know."""
    return f"{nats:.1f} nats ({nats / np.log(2):.0f} bits)"


def print_estimate(name: str, estimate: Estimate) -> None:
    """Prints a mean over the test images with its interval."""
    print(
        f"test {name}: {estimate.value:.2f} nats per image "
        f"(95 % interval {estimate.low:.2f} to {estimate.high:.2f}, "
        f"{estimate.num_images} images)",
        flush=True,
    )
