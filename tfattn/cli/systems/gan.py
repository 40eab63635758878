"""The command's GAN."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfattn import plots
from tfattn.cli.systems.base import (
    System,
    add_attention,
    add_mixed_precision,
    attention_of,
    avatar_measurements,
    avatars_in_words,
    classes_in_turn,
    dtype_of,
    has_classes,
    labels_of,
    num_classes_of,
)
from tfattn.data import Dataset
from tfattn.evaluation import generation_report, metrics
from tfattn.models import SelfAttentionGAN, load_pretrained
from tfattn.models.pretrained import MODELS
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure

# Digits vary in far fewer ways than photographs: with 128 latents their distance to
# real ones falls more slowly.
LATENT_DIM = 32
# Of the images that are judged and shown: slightly shorter latents give more images
# that are recognised, and slightly fewer kinds.
TEMPERATURE = 0.97
MAP_WORDS = "where four positions of the generator attend to"
SAMPLE_SEED = 0
NUM_REPEATS = 3


class GANSystem(System[SelfAttentionGAN]):
    """A self-attention GAN."""

    recipe = RECIPES[SelfAttentionGAN]
    takes_labels = True
    data = (
        "mnist",
        "fashion_mnist",
        "digits",
        "avatars",
        "cifar10",
        "olivetti",
    )
    pictures = (
        ("samples.png", "new images; with classes, a row for each"),
        ("attention.png", MAP_WORDS),
    )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_attention(parser, SelfAttentionGAN)
        add_mixed_precision(parser)

    def build(
        self, dataset: Dataset, *, seed: int, attention: str, mixed_precision: bool
    ) -> SelfAttentionGAN:
        return SelfAttentionGAN(
            dataset.x_train.shape[1:],
            latent_dim=LATENT_DIM,
            num_classes=num_classes_of(dataset) if has_classes(dataset) else None,
            attention=attention_of(attention),
            seed=seed,
            dtype=dtype_of(mixed_precision),
        )

    def training_arrays(
        self, dataset: Dataset, model: SelfAttentionGAN
    ) -> tuple[np.ndarray, ...]:
        if model.num_classes is None:
            return (dataset.x_train,)
        return dataset.x_train, labels_of(dataset)[0]

    def epoch_measurements(self, model: SelfAttentionGAN) -> dict[str, float]:
        """γ of each attention layer and the largest σ of each network's kernels."""
        found = {f"gamma_{name}": gamma for name, gamma in model.gammas().items()}
        for path, sigma in model.largest_singular_values().items():
            name = f"sigma_{path.partition('/')[0]}"
            found[name] = max(found.get(name, 0.0), sigma)
        return found

    def epoch_figure(self, model: SelfAttentionGAN, epoch: int) -> Figure:
        return plots.image_grid(_sheet(model), title=f"the same noise, epoch {epoch}")

    def describe(self, logs: dict[str, float]) -> str:
        gammas = [f"{logs[k]:+.3f}" for k in logs if k.startswith("gamma_")]
        sigmas = [f"{logs[k]:.2f}" for k in logs if k.startswith("sigma_")]
        return (
            f"losses: discriminator {logs['discriminator_loss']:.3f}, generator "
            f"{logs['generator_loss']:.3f}; γ: {', '.join(gammas) or 'none'}; "
            f"largest σ: {', '.join(sigmas)}"
        )

    def measure(self, model: SelfAttentionGAN, dataset: Dataset) -> dict[str, Any]:
        if dataset.name == "avatars":
            report = avatar_measurements(self, model, dataset)
            n = report["num_images"]
            protocol = f"{n} generated images, one draw, see tfattn.data.avatars.read"
            return {"protocol": protocol, "avatars": report}
        return _quality_of_repeats(model, dataset, num_repeats=1)

    def evaluate(
        self,
        model: SelfAttentionGAN,
        dataset: Dataset,
        *,
        features: Any = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Several draws; on the features of another classifier, if asked."""
        found = {}
        if dataset.name == "avatars":
            found = self.measure(model, dataset)
        if features is None and found:
            return found
        return found | _quality_of_repeats(model, dataset, NUM_REPEATS, features)

    def in_words(self, result: dict[str, Any]) -> str:
        if "avatars" in result:
            return avatars_in_words(result["avatars"]).strip()
        if "frechet_distance" not in result:
            return (
                "Nothing was measured: no classifier for this data set is in the "
                "package. Look at the pictures; or train a classifier on pictures in "
                "folders by class, and evaluate with --features."
            )
        words = (
            "The generated images have the Fréchet distance "
            f"{result['frechet_distance']['mean']:.2f} from the test images, on "
            "features of a network. Smaller is better. Real training images have "
            f"{result['frechet_distance_of_real_images']:.2f}."
        )
        if "recognised" in result:
            words += (
                f" The classifier recognises {result['recognised']['mean']:.1%} of the "
                "generated images as the class that they were generated for."
            )
        return words

    def draw(self, model: SelfAttentionGAN, dataset: Dataset, run: Path) -> None:
        title = "sampled from the model"
        if model.num_classes is not None:
            title += ", a row for each class"
        figure = plots.image_grid(_sheet(model), title=title)
        write_figure(run / "samples.png", figure)
        if model.attention != "self":
            return
        labels = classes_in_turn(model.num_classes, 6, None)
        latents = model.sample_latents(6, seed=SAMPLE_SEED)
        figure = plots.attention_figure(
            model.generate_from(latents, labels),
            model.attention_maps(latents, labels),
            title=MAP_WORDS,
        )
        write_figure(run / "attention.png", figure)

    def generate(
        self, model: SelfAttentionGAN, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        classes = classes_in_turn(model.num_classes, n, condition)
        return model.generate(n, classes, temperature=TEMPERATURE, seed=seed)


def _quality_of_repeats(model, dataset, num_repeats, features=None) -> dict[str, Any]:
    """The report, on given features or on those of the classifier in the package."""
    shipped = f"classifier_{dataset.name}"
    if features is None and shipped not in MODELS:
        return {
            "protocol": "no classifier for this data set, so nothing was measured; "
            "tfattn evaluate --features takes one"
        }
    judge = load_pretrained(shipped) if features is None else features
    n = len(dataset.x_test)
    repeats, real = [], {}
    for seed in range(num_repeats):
        print(f"judging draw {seed + 1} of {num_repeats}", flush=True)
        labels = None
        if model.num_classes is not None:
            # Classes are as frequent as among the training images, whose distance to
            # the test images is the floor.
            labels = np.random.default_rng(seed).choice(labels_of(dataset)[0], n)
        report = generation_report(
            model.generate(n, labels, temperature=TEMPERATURE, seed=seed),
            dataset.x_test,
            features=judge,
            labels=labels if hasattr(judge, "classify") else None,
            training=None if real else dataset.x_train,
        )
        real = real or {k: report.pop(k) for k in ("real", "real_with_noise")}
        repeats.append(report)
    found = metrics.spread(repeats)
    for name, values in found.items():
        print(
            f"test {name}: {values['mean']:.4f} "
            f"({values['lowest']:.4f} to {values['highest']:.4f}, "
            f"{num_repeats} draws)",
            flush=True,
        )
    of = "features of the frozen classifier"
    if features is not None:
        of = f"features of {getattr(features, 'name', features)}"
    classes = ", classes drawn from the training labels" * (
        model.num_classes is not None
    )
    protocol = (
        f"{n} generated images{classes}, against the {n} test images, on {of}; "
        f"{num_repeats} draws, temperature {TEMPERATURE}"
    )
    return {
        "protocol": protocol,
        **found,
        "frechet_distance_of_real_images": real["real"]["frechet_distance"],
        **real,
    }


def _sheet(model):
    """Images of the same noise always: (classes, 10, h, w, c), or ten rows."""
    rows = model.num_classes or 10
    labels = classes_in_turn(model.num_classes, rows, None)
    images = model.generate(
        10 * rows,
        None if labels is None else np.repeat(labels, 10),
        temperature=TEMPERATURE,
        seed=SAMPLE_SEED,
    )
    return images.reshape(rows, 10, *model.image_shape)
