"""The command's captioner."""

from pathlib import Path
from typing import Any

import numpy as np

from tfattn import plots
from tfattn.cli.options import CaptionerOptions
from tfattn.cli.systems.base import System, dtype_of, labels_of, vocabulary_of
from tfattn.data import Dataset, avatars, number_words
from tfattn.evaluation import metrics
from tfattn.models import ImageCaptioner
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure

NUM_TRAINING_PAIRS = 60_000
NUM_SHOWN = 8
MOST_MAPS = 6
TEXT_WORDS = "test images, and what the model writes about them"


class CaptionerSystem(CaptionerOptions, System[ImageCaptioner]):
    """See `CaptionerOptions`."""

    recipe = RECIPES[ImageCaptioner]
    pictures = (
        ("samples.png", TEXT_WORDS),
        ("attention.png", "which patches the first words of each text attend to"),
    )

    def build(
        self, dataset: Dataset, *, seed: int, mixed_precision: bool
    ) -> ImageCaptioner:
        h, w, c = dataset.x_train.shape[1:]
        of_training: dict[str, Any] = {}
        if dataset.name == "avatars":
            vocabulary, max_words = vocabulary_of(
                avatars.sentences(np.asarray(dataset.y_train))
            )
        else:
            vocabulary, max_words, w = number_words.WORDS, 2, 2 * w
            # One digit must not say which other one cannot stand beside it: the pairs
            # that are measured are those that training never shows.
            of_training = {"word_noise": 0.5, "max_shift": 2}
        return ImageCaptioner(
            vocabulary,
            max_words,
            (h, w, c),
            dropout=0.1,
            seed=seed,
            dtype=dtype_of(mixed_precision),
            **of_training,
        )

    def training_arrays(
        self, dataset: Dataset, model: ImageCaptioner
    ) -> tuple[np.ndarray, ...]:
        if dataset.name == "avatars":
            return dataset.x_train, avatars.sentences(np.asarray(dataset.y_train))
        images, pairs = number_words.training_images(
            dataset.x_train, labels_of(dataset)[0], NUM_TRAINING_PAIRS, model.seed
        )
        return images, number_words.names_of(pairs)

    def describe(self, logs: dict[str, float]) -> str:
        return f"−log p {logs['loss']:.4f} nats"

    def measure(self, model: ImageCaptioner, dataset: Dataset) -> dict[str, Any]:
        x, texts = _test_set(dataset)
        nats = metrics.mean_estimate(-model.log_likelihood(x, texts))
        found = model.tokenizer.tokenize(model.describe(x)[:, 0])
        right = metrics.mean_estimate(
            np.all(found == model.tokenizer.tokenize(texts), axis=1)
        )
        print(
            f"test texts: {nats.value:.4f} nats per text; {right.value:.2%} of the "
            "texts that the model writes are right",
            flush=True,
        )
        return {
            "protocol": _protocol(dataset, len(x)),
            "negative_log_likelihood": nats._asdict(),
            "exact_match": right._asdict(),
            "exact_match_of_the_most_frequent": _share_of_the_most_frequent(texts),
        }

    def in_words(self, result: dict[str, Any]) -> str:
        right = result["exact_match"]
        guessed = result["exact_match_of_the_most_frequent"]
        return (
            f"The model describes {right['value']:.1%} of {right['num_images']} test "
            "images without a mistake in any word. A model that always writes the most "
            f"frequent text would be right in {guessed:.1%}."
        )

    def draw(self, model: ImageCaptioner, dataset: Dataset, run: Path) -> None:
        x = _test_set(dataset)[0][:NUM_SHOWN]
        texts = model.describe(x)[:, 0]
        figure = plots.image_grid(x[:, None], list(texts))
        write_figure(run / "samples.png", figure)
        maps = model.attention_maps(x[:4], texts[:4]).mean(axis=(1, 2))[:, :MOST_MAPS]
        names = [f"word {i + 1}" for i in range(maps.shape[1])]
        title = "which patches each word attends to"
        figure = plots.weight_figure(x[:4], maps, names, title)
        write_figure(run / "attention.png", figure)

    def generate(
        self, model: ImageCaptioner, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        raise ValueError(
            "A captioner writes texts. Expected `tfattn describe PICTURE --run RUN`, "
            "or the run of another system."
        )

    def next_commands(self, run: Path) -> list[tuple[list[str], str]]:
        command = ["describe", "picture.png", "--run", str(run)]
        return [(command, "describe a picture like those of the data")]


def _test_set(dataset):
    """Test images and their texts."""
    if dataset.name == "avatars":
        return dataset.x_test, avatars.sentences(np.asarray(dataset.y_test))
    images, pairs = number_words.held_out_images(dataset.x_test, labels_of(dataset)[1])
    return images, number_words.names_of(pairs)


def _share_of_the_most_frequent(texts):
    return float(np.unique(texts, return_counts=True)[1].max() / len(texts))


def _protocol(dataset, n):
    words = f"exact likelihood; greedy search; {n} test images"
    if dataset.name != "avatars":
        words += f" of {number_words.WORDS_ON_TEST_PAIRS}"
    return words
