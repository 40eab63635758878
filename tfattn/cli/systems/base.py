"""What the command `tfattn` does with every kind of model."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from keras.callbacks import Callback, LambdaCallback
from matplotlib.figure import Figure

from tfattn import data
from tfattn.cli.early_stopping import EarlyStopping, hold_out, is_over
from tfattn.cli.options import Options
from tfattn.cli.progress import ProgressBar
from tfattn.data import Dataset
from tfattn.evaluation import avatar_report
from tfattn.evaluation.avatars import MOST_WRONG_PIXELS
from tfattn.models.base import ImageModel
from tfattn.models.tokenizer import words_of
from tfattn.training import Recipe, RunFolder, ShuffledBatches
from tfattn.training.runs import write_figure

AVATAR_SEED = 1
# Small sets are repeated until an epoch has about so many images.
EPOCH_SIZE = 9600
# Of held-out images in an epoch.
LEAST_EXAMPLES = 1000
ModelT = TypeVar("ModelT", bound=ImageModel)


class System(Options, Generic[ModelT]):
    """One kind of model: how it is built, trained, measured, sampled and drawn.

    Attributes:
        recipe: The model's `tfattn.training.Recipe`.
        pictures: Pairs of the name of a file that `draw` may write and what it shows.
    """

    recipe: Recipe
    pictures: tuple[tuple[str, str], ...] = ()

    @abstractmethod
    def build(self, dataset: Dataset, *_: Any, **options: Any) -> ModelT:
        """A model for a data set, with a `seed` and the values of `add_options`."""

    def training_arrays(
        self, dataset: Dataset, model: ModelT
    ) -> tuple[np.ndarray, ...]:
        """The images to train on and, for a model with a condition, the condition."""
        if model.num_classes is None:
            return (dataset.x_train,)
        return dataset.x_train, labels_of(dataset)[0]

    def batches(self, model: ModelT, dataset: Dataset, seed: int) -> ShuffledBatches:
        """What the model is trained on."""
        return ShuffledBatches(
            self.training_arrays(dataset, model),
            self.recipe.batch_size,
            seed,
            self.repeats(dataset),
        )

    def training(
        self, model: ModelT, dataset: Dataset, seed: int, patience: int | None
    ) -> tuple[ShuffledBatches, tuple | None]:
        """What the model is trained on and, with patience, arrays to stop by.

        The arrays are repeated if they are few, since a model's loss is random.
        """
        if patience is None:
            return self.batches(model, dataset, seed), None
        rest, held_out = hold_out(dataset, seed)
        arrays = self.training_arrays(held_out, model)
        num_examples = max(len(held_out.x_train), LEAST_EXAMPLES)
        rows = np.arange(num_examples) % len(arrays[0])
        return self.batches(model, rest, seed), tuple(a[rows] for a in arrays)

    def repeats(self, dataset: Dataset) -> int:
        """How often an epoch shows each image: own pictures are often few."""
        if dataset.name in data.NAMES:
            return 1
        return max(1, round(EPOCH_SIZE / len(dataset.x_train)))

    def restored(self, model: ModelT, folder: RunFolder, epochs: int) -> int:
        """Compiles a model for so many epochs, and loads what its run folder holds.

        Returns:
            The number of epochs that are done.
        """
        self.recipe.compile(model, epochs * len(folder.batches))
        return folder.restore(model)

    def fit(
        self,
        model: ModelT,
        folder: RunFolder,
        first_epoch: int,
        epochs: int,
        callbacks: Sequence[Callback] = (),
        held_out: tuple | None = None,
        patience: int | None = None,
    ) -> list[dict[str, Any]]:
        """Trains from an epoch of `restored` on: the rows of the history.

        With `held_out` arrays, see `training`, and `patience`, see
        `tfattn.cli.early_stopping`, it may end before all epochs.
        """
        if is_over(folder.rows, patience):
            epochs = first_epoch
        if folder.is_finished and first_epoch >= epochs:
            print("training had finished", flush=True)
            return folder.rows
        if patience is not None:
            callbacks = [*callbacks, EarlyStopping(folder, patience)]
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
            validation_data=held_out,
            callbacks=[
                LambdaCallback(on_epoch_end=measure),
                folder,
                LambdaCallback(on_epoch_end=draw),
                ProgressBar(self.describe),
                *callbacks,
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
    def generate(
        self, model: ModelT, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        """Images (n, h, w, c), for one condition or, if `None`, for all in turn.

        Raises:
            ValueError: If the model generates no images, or none for this condition.
        """

    def avatars_asked_for(self, model: ModelT, n: int, seed: int) -> np.ndarray | None:
        """Attributes (n, 13) of the avatars that `generate` asks for in sentences."""
        return None

    def next_commands(self, run: Path) -> list[tuple[list[str], str]]:
        """Commands to try with a trained model, each with what it does."""
        return [(["generate", str(run), "--seed", "1"], "another sheet of new images")]


def has_classes(dataset: Dataset) -> bool:
    """Whether each image has a class, and neither no label nor many attributes."""
    return dataset.y_train is not None and dataset.y_train.ndim == 1


def num_classes_of(dataset: Dataset) -> int:
    """Number of classes; ValueError for a data set without classes."""
    return int(max(labels.max(initial=0) for labels in labels_of(dataset))) + 1


def labels_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Training and test labels; ValueError for a data set without classes."""
    train, test = dataset.y_train, dataset.y_test
    if train is None or test is None or not has_classes(dataset):
        raise ValueError(
            "Expected a data set with a class for each image. Received: "
            f"{dataset.name}; of a folder, --labels folders makes its folders classes"
        )
    return train, test


def avatar_measurements(system: System, model: Any, dataset: Dataset) -> dict[str, Any]:
    """The report on as many samples of a model as there are test images."""
    n = len(dataset.x_test)
    images = system.generate(model, n, AVATAR_SEED)
    asked = system.avatars_asked_for(model, n, AVATAR_SEED)
    report = avatar_report(images, dataset.y_train, asked)
    print(
        f"generated avatars: valid {report['valid']:.1%} (wrong pixels: median "
        f"{report['wrong_pixels']:.0f}), all rules kept {report['all_rules']:.1%}, "
        f"both {report['perfect']:.1%}",
        flush=True,
    )
    return report


def avatars_in_words(report: dict[str, Any]) -> str:
    """What the report on avatars means."""
    asked = ""
    if "as_asked" in report:
        asked = (
            f" {report['as_asked']['mean']:.1%} of the attributes that the sentences "
            "name are there."
        )
    return (
        f" Of {report['num_images']} generated images, {report['valid']:.1%} are "
        f"avatars but for at most {MOST_WRONG_PIXELS} pixels; one in the middle has "
        f"{report['wrong_pixels']:.0f} wrong ones. {report['all_rules']:.1%} keep all "
        f"rules, such as earrings that are alike.{asked}"
    )


def classes_in_turn(
    num_classes: int | None, n: int, condition: str | None
) -> np.ndarray | None:
    """Classes (n,) to generate images for; `None` for a model without classes.

    Raises:
        ValueError: For a condition that is not the number of a class.
    """
    if condition is None:
        return None if num_classes is None else np.arange(n) % num_classes
    if num_classes is None:
        raise ValueError(
            "The model has no classes. Expected no --condition. "
            f"Received: --condition {condition}"
        )
    if not condition.isdecimal() or int(condition) >= num_classes:
        raise ValueError(
            f"Expected --condition to be a class, its number from 0 to "
            f"{num_classes - 1} or the name of its folder. Received: {condition}"
        )
    return np.full(n, int(condition))


def vocabulary_of(texts: np.ndarray) -> tuple[list[str], int]:
    """The words of texts, sorted, and how many the longest text has."""
    words = [words_of(text) for text in texts]
    return sorted({word for text in words for word in text}), max(map(len, words))


def attention_of(attention: str) -> Any:
    """The `attention` of a model."""
    return None if attention == "none" else attention


def dtype_of(mixed_precision: bool) -> str | None:
    """The `dtype` of a model."""
    return "mixed_bfloat16" if mixed_precision else None
