"""The command's VAE."""

from pathlib import Path
from typing import Any

import numpy as np

from tfattn import plots
from tfattn.cli.options import VAEOptions
from tfattn.cli.progress import bar
from tfattn.cli.systems.base import (
    System,
    attention_of,
    avatar_measurements,
    avatars_in_words,
    classes_in_turn,
)
from tfattn.cli.systems.likelihood import (
    is_binary,
    nats_in_words,
    nats_of_independent_pixels,
    pixels_in_words,
    print_estimate,
    with_levels,
)
from tfattn.data import Dataset
from tfattn.evaluation import metrics
from tfattn.models import AttentionVAE, pretrained_results
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure

MAP_WORDS = "where four positions of the decoder attend to"
SAMPLE_SEED = 0


class VAESystem(VAEOptions, System[AttentionVAE]):
    """See `VAEOptions`."""

    recipe = RECIPES[AttentionVAE]
    pictures = (
        ("samples.png", "100 new images, sampled from the model"),
        ("attention.png", MAP_WORDS),
    )

    def build(self, dataset: Dataset, *, seed: int, attention: str) -> AttentionVAE:
        levels = 2 if is_binary(dataset) else 256
        print(f"pixels: {pixels_in_words(dataset, levels)}", flush=True)
        return AttentionVAE(
            dataset.x_train.shape[1:],
            attention=attention_of(attention),
            levels=levels,
            seed=seed,
        )

    def describe(self, logs: dict[str, float]) -> str:
        return (
            f"negative ELBO {logs['loss']:.2f} nats "
            f"(reconstruction {logs['reconstruction']:.2f}, KL {logs['kl']:.2f})"
        )

    def measure(self, model: AttentionVAE, dataset: Dataset) -> dict[str, Any]:
        x_test = with_levels(dataset.x_test, model.levels)
        bound = metrics.mean_estimate(-model.elbo(x_test))
        print_estimate("negative_elbo", bound)
        found = {
            "protocol": pixels_in_words(dataset, model.levels),
            "levels": model.levels,
            "image_shape": model.image_shape,
            "negative_elbo": bound._asdict(),
            "nats_of_independent_pixels": nats_of_independent_pixels(
                dataset, model.levels
            ),
            "active_units": metrics.active_units(model.encode(x_test)[0]),
        }
        if model.levels > 2:
            found["bits_per_dimension"] = metrics.bits_per_dimension(
                bound.value, model.image_shape
            )
        if dataset.name == "avatars":
            found["avatars"] = avatar_measurements(self, model, dataset)
        return found

    def evaluate(
        self,
        model: AttentionVAE,
        dataset: Dataset,
        *,
        num_samples: int,
        subset_size: int,
        subset_num_samples: int,
        **options: Any,
    ) -> dict[str, Any]:
        """Importance-weighted bounds."""
        x_test = with_levels(dataset.x_test, model.levels)
        # A seeded subset: the first images of MNIST's test set are easier than the
        # rest.
        subset = np.random.default_rng(0).permutation(len(x_test))[:subset_size]
        bounds = {"negative_elbo": metrics.mean_estimate(-model.elbo(x_test))}
        for images, k, words in (
            (x_test, num_samples, "all test images"),
            (x_test[np.sort(subset)], subset_num_samples, "a random subset"),
        ):
            print(f"L_{k} on {words}", flush=True)
            progress, parts = bar(len(images), "measuring", "image"), []
            for start in range(0, len(images), 100):
                part = images[start : start + 100]
                parts.append(
                    model.log_likelihood_bound(part, num_samples=k, seed=start)
                )
                progress.update(len(part))
            progress.close()
            bounds[f"negative_log_likelihood_{k}"] = metrics.mean_estimate(
                -np.concatenate(parts)
            )
        for name, estimate in bounds.items():
            print_estimate(name, estimate)
        return {
            **{name: estimate._asdict() for name, estimate in bounds.items()},
            "nats_of_independent_pixels": nats_of_independent_pixels(
                dataset, model.levels
            ),
        }

    def in_words(self, result: dict[str, Any]) -> str:
        levels = result["levels"]
        words = (
            "On average, the model needs at most "
            + nats_in_words(
                result["negative_elbo"]["value"], levels, result["image_shape"]
            )
            + " to encode a test image. Fewer is better. A model that knows only how "
            f"often each pixel {'is white' if levels == 2 else 'has each level'} needs "
            f"{result['nats_of_independent_pixels']:.1f} nats."
        )
        if "avatars" in result:
            words += avatars_in_words(result["avatars"])
        if result["data"] == "mnist":
            shipped = pretrained_results("vae_mnist")
            words += (
                f" The VAE in this package, trained for {shipped['epochs']} epochs, "
                f"needs {shipped['negative_elbo']['value']:.1f} nats."
            )
        return words

    def draw(self, model: AttentionVAE, dataset: Dataset, run: Path) -> None:
        rows = self.generate(model, 100, SAMPLE_SEED).reshape(
            10, 10, *model.image_shape
        )
        figure = plots.image_grid(rows, title="sampled from the model")
        write_figure(run / "samples.png", figure)
        if model.attention != "self":
            return
        images = with_levels(dataset.x_test, model.levels)[:6]
        figure = plots.attention_figure(
            model.reconstruct(images),
            model.attention_maps(images),
            title=MAP_WORDS,
        )
        write_figure(run / "attention.png", figure)

    def generate(
        self, model: AttentionVAE, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        classes = classes_in_turn(model.num_classes, n, condition)
        return model.generate(n, classes, seed=seed)
