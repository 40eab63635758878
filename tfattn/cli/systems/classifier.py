"""The command's classifier."""

from pathlib import Path
from typing import Any

import numpy as np

from tfattn import plots
from tfattn.cli.options import ClassifierOptions
from tfattn.cli.systems.base import System, labels_of, num_classes_of
from tfattn.cli.systems.likelihood import pixels_in_words, with_levels
from tfattn.data import Dataset
from tfattn.models import ImageClassifier
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure


class ClassifierSystem(ClassifierOptions, System[ImageClassifier]):
    """See `ClassifierOptions`."""

    recipe = RECIPES[ImageClassifier]
    pictures = (
        ("errors.png", "misclassified test images: true class → predicted class"),
    )

    def build(self, dataset: Dataset, *, seed: int, binarize: bool) -> ImageClassifier:
        return ImageClassifier(
            dataset.x_train.shape[1:],
            num_classes=num_classes_of(dataset),
            # Clothes and objects have no left and right, digits have.
            flip=dataset.name in ("fashion_mnist", "cifar10"),
            binarize=binarize,
            seed=seed,
        )

    def describe(self, logs: dict[str, float]) -> str:
        return (
            f"cross-entropy {logs['loss']:.4f}, "
            f"training accuracy {logs['accuracy']:.2%}"
        )

    def measure(self, model: ImageClassifier, dataset: Dataset) -> dict[str, Any]:
        found = model.classify(_judged(model, dataset))
        accuracy = float(np.mean(found == dataset.y_test))
        print(f"test accuracy: {accuracy:.2%}", flush=True)
        protocol = f"all {len(dataset.x_test)} test images, once, after training"
        if model.binarize:
            protocol += f"; {pixels_in_words(dataset, 2)}"
        return {"protocol": protocol, "accuracy": accuracy}

    def in_words(self, result: dict[str, Any]) -> str:
        return (
            f"The classifier gives {result['accuracy']:.2%} of the test images their "
            "true class."
        )

    def draw(self, model: ImageClassifier, dataset: Dataset, run: Path) -> None:
        x = _judged(model, dataset)
        found = model.classify(x)
        _, labels = labels_of(dataset)
        wrong = np.flatnonzero(found != labels)[:40]
        images = np.ones((4, 10, *model.image_shape), "float32")
        images.reshape(40, *model.image_shape)[: len(wrong)] = x[wrong]
        titles = [
            " ".join(f"{labels[i]}→{found[i]}" for i in wrong[start : start + 10])
            for start in range(0, 40, 10)
        ]
        figure = plots.image_grid(images, titles, "test images that it gets wrong")
        write_figure(run / "errors.png", figure)

    def generate(
        self, model: ImageClassifier, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        raise ValueError(
            "A classifier draws no images. Expected the run of another system."
        )

    def next_commands(self, run: Path) -> list[tuple[list[str], str]]:
        return []


def _judged(model, dataset):
    """The test images as the classifier takes them."""
    x = dataset.x_test
    return with_levels(x, 2) if model.binarize else x
