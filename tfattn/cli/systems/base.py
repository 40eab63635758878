"""What the command `tfattn` does with every kind of model."""

import argparse
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from keras.callbacks import LambdaCallback
from matplotlib.figure import Figure

from tfattn.cli.progress import ProgressBar
from tfattn.data import Dataset
from tfattn.models.base import ImageModel
from tfattn.training import Recipe, RunFolder, ShuffledBatches
from tfattn.training.runs import write_figure

ModelT = TypeVar("ModelT", bound=ImageModel)


class System(ABC, Generic[ModelT]):
    """One kind of model: how it is built, trained, measured, sampled and drawn.

    The docstring of a subclass is its help in `tfattn train`.

    Attributes:
        recipe: The model's `tfattn.training.Recipe`.
        data: Names of the data sets that it takes, the default first.
        pictures: Pairs of the name of a file that `draw` may write and what it shows.
    """

    recipe: Recipe
    data: tuple[str, ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()

    @abstractmethod
    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Adds the options of `tfattn train` that only this system has."""

    @abstractmethod
    def build(self, dataset: Dataset, *_: Any, **options: Any) -> ModelT:
        """A model for a data set, with a `seed` and the values of `add_options`."""

    def training_arrays(
        self, dataset: Dataset, model: ModelT
    ) -> tuple[np.ndarray, ...]:
        """The images to train on and, for a model with a condition, the condition."""
        return (dataset.x_train,)

    def batches(self, model: ModelT, dataset: Dataset, seed: int) -> ShuffledBatches:
        """What the model is trained on."""
        arrays = self.training_arrays(dataset, model)
        return ShuffledBatches(arrays, self.recipe.batch_size, seed)

    def fit(
        self, model: ModelT, folder: RunFolder, epochs: int
    ) -> list[dict[str, Any]]:
        """Trains from the last epoch in the run folder on: the rows of its history."""
        self.recipe.compile(model, epochs * len(folder.batches))
        first_epoch = folder.restore(model)
        if folder.is_finished and first_epoch >= epochs:
            print("training had finished", flush=True)
            return folder.rows
        if first_epoch:
            print(f"going on after epoch {first_epoch}", flush=True)
        run = folder.path

        def measure(epoch, logs):
            logs.update(self.epoch_measurements(model))

        def draw(epoch, logs):
            figure = self.epoch_figure(model, epoch + 1)
            if figure is not None:
                (run / "samples").mkdir(exist_ok=True)
                write_figure(run / "samples" / f"epoch_{epoch + 1:03}.png", figure)

        model.fit(
            folder.batches,
            shuffle=False,
            initial_epoch=first_epoch,
            epochs=epochs,
            callbacks=[
                LambdaCallback(on_epoch_end=measure),
                folder,
                LambdaCallback(on_epoch_end=draw),
                ProgressBar(self.describe),
            ],
            verbose=0,
        )
        return folder.rows

    def epoch_measurements(self, model: ModelT) -> dict[str, float]:
        """Numbers for the history beside the losses, by name."""
        return {}

    def epoch_figure(self, model: ModelT, epoch: int) -> Figure | None:
        """A figure of the model after an epoch, counted from 1, or `None`."""
        return None

    @abstractmethod
    def describe(self, logs: dict[str, float]) -> str:
        """Words for the logs of an epoch."""

    @abstractmethod
    def measure(self, model: ModelT, dataset: Dataset) -> dict[str, Any]:
        """The measures of a trained model for metrics.json."""

    def evaluate(
        self, model: ModelT, dataset: Dataset, *_: Any, **options: Any
    ) -> dict[str, Any]:
        """The longer measurement of `tfattn evaluate`, with its options."""
        return self.measure(model, dataset)

    @abstractmethod
    def in_words(self, result: dict[str, Any]) -> str:
        """What the main number of metrics.json means, and what to compare it with."""

    @abstractmethod
    def draw(self, model: ModelT, dataset: Dataset, run: Path) -> None:
        """Writes pictures of a trained model into the run folder."""

    @abstractmethod
    def sample(self, model: ModelT, n: int, seed: int) -> np.ndarray:
        """Images (n, h, w, c) for `tfattn sample`; ValueError if there are none."""

    def next_commands(self, run: Path) -> list[tuple[list[str], str]]:
        """Commands to try with a trained model, each with what it does."""
        return [(["sample", str(run), "--seed", "1"], "another sheet of new images")]


def num_classes_of(dataset: Dataset) -> int:
    """Number of classes; ValueError for a data set without labels."""
    return int(labels_of(dataset)[0].max()) + 1


def labels_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Training and test labels; ValueError for a data set without labels."""
    if dataset.y_train is None or dataset.y_test is None:
        raise ValueError(f"Expected a data set with labels. Received: {dataset.name}")
    return dataset.y_train, dataset.y_test


def add_attention(parser: argparse.ArgumentParser, model_class: Any) -> None:
    """The option `--attention`; `attention_of` takes its value."""
    kinds = [kind or "none" for kind in model_class.ATTENTIONS]
    parser.add_argument("--attention", choices=kinds, default="self")


def attention_of(attention: str) -> Any:
    """The `attention` of a model."""
    return None if attention == "none" else attention


def add_mixed_precision(parser: argparse.ArgumentParser) -> None:
    """The option `--mixed-precision`; `dtype_of` takes its value."""
    parser.add_argument(
        "--mixed-precision",
        action="store_true",
        help="bfloat16 computations, for processors and GPUs that have them",
    )


def dtype_of(mixed_precision: bool) -> str | None:
    """The `dtype` of a model."""
    return "mixed_bfloat16" if mixed_precision else None
