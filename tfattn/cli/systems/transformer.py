"""The command's Transformer."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from tfattn import plots
from tfattn.cli.options import TransformerOptions
from tfattn.cli.systems.base import (
    System,
    classes_in_turn,
    dtype_of,
    labels_of,
    num_classes_of,
)
from tfattn.cli.systems.likelihood import (
    exact_in_words,
    exact_measures,
    is_binary,
    pixels_in_words,
    print_estimate,
    with_levels,
)
from tfattn.data import Dataset, number_words
from tfattn.evaluation import metrics
from tfattn.models import ImageTransformer, load_pretrained, pretrained_results
from tfattn.plots.weights import QUERIES
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure

NUM_TRAINING_PAIRS = 30_000
# The first was trained on black and white images, the second on gray ones.
JUDGES = ("classifier_binarized_mnist", "classifier_mnist")
SAMPLE_SEED = 0
# Of gray and colors: a token is a patch of four pixels, with 8⁴ = 4096 values, or in
# order coarse to fine of three.
LEVELS = 8
# Between two pixels of a coarse image whose completions are drawn.
LARGEST_STEP = 4


class TransformerSystem(TransformerOptions, System[ImageTransformer]):
    """See `TransformerOptions`."""

    recipe = RECIPES[ImageTransformer]
    pictures = (
        ("samples.png", "100 new images, sampled from the model"),
        ("attention.png", "which pixels, or words, the model attends to"),
        (
            "completions.png",
            "upper halves, or a few pixels, of test images, and how the model "
            "completes them",
        ),
    )

    def build(
        self,
        dataset: Dataset,
        *,
        seed: int,
        condition: str,
        order: Literal["raster", "coarse_to_fine"],
        mixed_precision: bool,
    ) -> ImageTransformer:
        h, w, c = dataset.x_train.shape[1:]
        levels = 2 if is_binary(dataset) else LEVELS
        print(f"pixels: {pixels_in_words(dataset, levels)}", flush=True)
        of_condition: dict[str, Any] = {}
        if condition != "none":
            labels_of(dataset)  # there must be some
        if condition == "text" and dataset.name not in ("mnist", "digits"):
            raise ValueError(
                "Expected --data mnist or digits for --condition text: its words are "
                f"those of digits. Received: {dataset.name}"
            )
        if condition == "class":
            of_condition = {
                "condition": "class",
                "num_classes": num_classes_of(dataset),
            }
        elif condition == "text":
            of_condition = {
                "condition": "text",
                "vocabulary": number_words.WORDS,
                "max_words": 2,
            }
        return ImageTransformer(
            (h, 2 * w if condition == "text" else w, c),
            levels=levels,
            order=order,
            seed=seed,
            dtype=dtype_of(mixed_precision),
            **of_condition,
        )

    def training_arrays(
        self, dataset: Dataset, model: ImageTransformer
    ) -> tuple[np.ndarray, ...]:
        if model.condition != "text":
            return super().training_arrays(dataset, model)
        images, pairs = number_words.training_images(
            dataset.x_train, labels_of(dataset)[0], NUM_TRAINING_PAIRS, model.seed
        )
        return images, number_words.names_of(pairs)

    def epoch_figure(self, model: ImageTransformer, epoch: int) -> Figure:
        return _sheet(model, 4, 8, f"epoch {epoch}")

    def describe(self, logs: dict[str, float]) -> str:
        return f"−log p {logs['loss']:.2f} nats"

    def measure(self, model: ImageTransformer, dataset: Dataset) -> dict[str, Any]:
        x, condition = _test_set(model, dataset)
        estimate = metrics.mean_estimate(-model.log_likelihood(x, condition))
        print_estimate("negative_log_likelihood", estimate)
        return {
            "protocol": _protocol(model, dataset),
            # An image of the text condition is made of two.
            **exact_measures(estimate, dataset, model.levels, model.image_shape),
        }

    def evaluate(
        self, model: ImageTransformer, dataset: Dataset, **options: Any
    ) -> dict[str, Any]:
        """The same, and with texts whether classifiers recognize what they ask for."""
        found = self.measure(model, dataset)
        if model.condition != "text" or dataset.name != "mnist":
            return found
        images, pairs = _test_pairs(dataset)
        real = with_levels(images, model.levels)
        drawn = model.generate(
            len(pairs), number_words.names_of(pairs), seed=SAMPLE_SEED
        )
        for judge in JUDGES:
            classifier = load_pretrained(judge)
            for name, images in (("real", real), ("generated", drawn)):
                right = number_words.recognized(classifier, images, pairs)
                estimate = metrics.mean_estimate(right)
                found[f"recognized_{name}_by_{judge}"] = estimate._asdict()
                print(
                    f"both digits of {name} images recognized by {judge}: "
                    f"{estimate.value:.2%}"
                )
        return found

    def in_words(self, result: dict[str, Any]) -> str:
        words = exact_in_words(result)
        if result["data"] == "mnist" and result["condition"] == "none":
            name = "transformer_mnist"
            if result.get("order") == "coarse_to_fine":
                name += "_coarse_to_fine"
            shipped = pretrained_results(name)
            words += (
                f" `{name}` in this package, trained for "
                f"{shipped['epochs']} epochs, needs "
                f"{shipped['negative_log_likelihood']['value']:.1f} nats."
            )
        return words

    def draw(self, model: ImageTransformer, dataset: Dataset, run: Path) -> None:
        write_figure(
            run / "samples.png", _sheet(model, 10, 10, "sampled from the model")
        )
        x, condition = _test_set(model, dataset)
        x, condition = x[:4], None if condition is None else condition[:4]
        own, cross = model.attention_maps(x, condition)
        if cross is not None:
            # (n, layers, heads, tokens, words) to a map for each word.
            maps = np.moveaxis(cross.mean(axis=(1, 2)), 2, 1)
            figure = plots.weight_figure(
                x,
                model.tokens.to_pixels(maps),
                [f"word {i + 1}" for i in range(maps.shape[1])],
                title="which parts of an image read which word",
            )
        else:
            figure = plots.attention_figure(
                x,
                model.tokens.maps_of_images(own.mean(axis=(1, 2))),
                late_pixels(model),
                title="where the model attends to when it predicts four of the pixels",
            )
        write_figure(run / "attention.png", figure)
        visible = np.zeros(model.image_shape[:2], bool)
        if model.order == "raster":
            visible[: model.image_shape[0] // 2] = True
            title = "whole, upper half, completions of it"
        else:
            # The coarsest image that is more than a few pixels.
            steps = [s for s in model.tokens.steps if max(s) <= LARGEST_STEP]
            down, right = steps[0]
            visible[::down, ::right] = True
            title = "whole, coarse pixels, completions of them"
        completions = model.complete(
            x, visible, condition=condition, num_samples=6, seed=SAMPLE_SEED
        )
        write_figure(
            run / "completions.png",
            plots.completion_figure(x, visible, completions, title),
        )

    def generate(
        self, model: ImageTransformer, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        return model.generate(n, _conditions(model, n, condition), seed=seed)


def late_pixels(model: ImageTransformer) -> list[tuple[int, int]]:
    """Four pixels whose tokens are not among the first ones, (row, column).

    In order coarse to fine, rows and columns that are odd belong to the end.
    """
    h, w, _ = model.image_shape
    return [(h * row // 14 | 1, w * column // 14 | 1) for row, column in QUERIES]


def _sheet(model, rows, columns, title):
    """Images drawn from the model, each row for a condition of its own, if any."""
    conditions = _conditions(model, rows)
    names = None
    if conditions is not None:
        names = [str(condition) for condition in conditions]
        conditions = conditions.repeat(columns)
    images = model.generate(rows * columns, conditions, seed=SAMPLE_SEED)
    return plots.image_grid(
        images.reshape(rows, columns, *model.image_shape), names, title
    )


def _conditions(model, n, condition=None):
    """n conditions to draw images for: one for all, or all in turn."""
    if model.condition != "text":
        return classes_in_turn(model.num_classes, n, condition)
    if condition is not None:
        return np.full(n, condition)
    pairs = number_words.HELD_OUT_PAIRS
    return number_words.names_of(pairs[np.arange(n) % len(pairs)])


def _test_set(model, dataset):
    """Test images of the model's levels, and their condition."""
    images, condition = dataset.x_test, None
    if model.condition == "class":
        condition = dataset.y_test
    elif model.condition == "text":
        images, pairs = _test_pairs(dataset)
        condition = number_words.names_of(pairs)
    return with_levels(images, model.levels), condition


def _test_pairs(dataset):
    return number_words.held_out_images(dataset.x_test, labels_of(dataset)[1])


def _protocol(model, dataset):
    words = f"exact; {pixels_in_words(dataset, model.levels)}"
    if model.condition == "text":
        words += f"; images of {number_words.WORDS_ON_TEST_PAIRS}"
    return words
