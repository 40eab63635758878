"""The command's translator: an image Transformer that is given line drawings."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfattn import plots
from tfattn._choices import EPOCHS
from tfattn.cli.options import TranslatorOptions
from tfattn.cli.systems.base import System, dtype_of
from tfattn.cli.systems.likelihood import (
    exact_in_words,
    exact_measures,
    is_binary,
    pixels_in_words,
    print_estimate,
    with_levels,
)
from tfattn.cli.systems.transformer import LEVELS, late_pixels
from tfattn.data import Dataset, drawings, pictures
from tfattn.evaluation import metrics
from tfattn.models import ImageTransformer
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure

NUM_SHOWN, NUM_SAMPLES, SAMPLE_SEED = 8, 6, 0


class TranslatorSystem(TranslatorOptions, System[ImageTransformer]):
    """See `TranslatorOptions`."""

    recipe = RECIPES[ImageTransformer]._replace(epochs=EPOCHS["translator"])
    pictures = (
        ("samples.png", "drawings of test images, the images, and samples"),
        ("attention.png", "which parts of the drawing four pixels attend to"),
    )

    def build(
        self, dataset: Dataset, *, seed: int, mixed_precision: bool
    ) -> ImageTransformer:
        levels = 2 if is_binary(dataset) else LEVELS
        print(f"pixels: {pixels_in_words(dataset, levels)}", flush=True)
        return ImageTransformer(
            dataset.x_train.shape[1:],
            levels=levels,
            condition="image",
            condition_channels=1,
            order="coarse_to_fine",
            seed=seed,
            dtype=dtype_of(mixed_precision),
        )

    def training_arrays(
        self, dataset: Dataset, model: ImageTransformer
    ) -> tuple[np.ndarray, ...]:
        return dataset.x_train, drawings_for(model, dataset.x_train)

    def describe(self, logs: dict[str, float]) -> str:
        return f"−log p {logs['loss']:.2f} nats"

    def measure(self, model: ImageTransformer, dataset: Dataset) -> dict[str, Any]:
        x = with_levels(dataset.x_test, model.levels)
        given = drawings_for(model, dataset.x_test)
        estimate = metrics.mean_estimate(-model.log_likelihood(x, given))
        print_estimate("negative_log_likelihood", estimate)
        lines = "skeletons" if model.levels == 2 else "edges"
        return {
            "protocol": f"exact, given the {lines} of each image; "
            f"{pixels_in_words(dataset, model.levels)}",
            **exact_measures(estimate, dataset, model.levels, model.image_shape),
        }

    def in_words(self, result: dict[str, Any]) -> str:
        return exact_in_words(result, "a test image, given its drawing")

    def draw(self, model: ImageTransformer, dataset: Dataset, run: Path) -> None:
        x = with_levels(dataset.x_test[:NUM_SHOWN], model.levels)
        given = drawings_for(model, dataset.x_test[:NUM_SHOWN])
        write_figure(run / "samples.png", samples_figure(model, x, given))
        x, given = x[:4], given[:4]
        cross: Any = model.attention_maps(x, given)[1]
        # (n, layers, heads, tokens, patches) to a map of patches for each pixel.
        maps = model.tokens.to_pixels(cross.mean(axis=(1, 2)).swapaxes(1, 2))
        h, w, _ = model.image_shape
        patch_h, patch_w = model.tokens.patch_size
        maps = maps.transpose(0, 2, 3, 1).reshape(
            len(x), h, w, h // patch_h, w // patch_w
        )
        title = "which parts of the drawing four pixels attend to"
        figure = plots.attention_figure(given, maps, late_pixels(model), title)
        write_figure(run / "attention.png", figure)

    def generate(
        self, model: ImageTransformer, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        if condition is None:
            raise ValueError(
                "The model turns a drawing into images. Expected --condition with a "
                "picture file of white lines on black. Received: none"
            )
        lines, words = pictures.read_drawing(condition, model.image_shape[:2])
        print(words, flush=True)
        return model.generate(n, np.repeat(lines[None], n, axis=0), seed=seed)

    def next_commands(self, run: Path) -> list[tuple[list[str], str]]:
        command = ["generate", str(run), "--condition", "drawing.png"]
        return [(command, "images for a drawing of yours, white lines on black")]


def drawings_for(model: ImageTransformer, images: np.ndarray) -> np.ndarray:
    """What a model is given of images: skeletons if they are black and white."""
    return (drawings.skeletons if model.levels == 2 else drawings.edges)(images)


def samples_figure(model: ImageTransformer, x: np.ndarray, given: np.ndarray) -> Figure:
    """Drawings, the images that they are of, and samples of the model."""
    repeated = np.repeat(given, NUM_SAMPLES, axis=0)
    samples = model.generate(len(repeated), repeated, seed=SAMPLE_SEED)
    samples = samples.reshape(len(x), NUM_SAMPLES, *model.image_shape)
    lines = np.broadcast_to(given, x.shape)
    titles = ["drawing", "image", *(str(i + 1) for i in range(NUM_SAMPLES))]
    images = np.concatenate([lines[:, None], x[:, None], samples], axis=1)
    return plots.image_grid(images, column_titles=titles)
