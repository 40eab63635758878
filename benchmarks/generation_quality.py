"""What the distances between sets of images say, and what the models score by them.

    python benchmarks/generation_quality.py

writes benchmarks/results/generation_quality.json, docs/generation_quality.png and
docs/gan_samples.png. All rows are 10 000 images against the 10 000 test images, on
features of the frozen classifier of the data set: real training images (the floor), the
same images corrupted (the test of the measures themselves), with a class missing,
samples of the shipped models (`tfattn evaluate` wrote the GANs' scores at the
command's temperature).
"""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

from tfattn import data, plots
from tfattn.cli.systems import SYSTEMS
from tfattn.evaluation import generation_report, metrics
from tfattn.models import load_pretrained, pretrained_results

ROOT = Path(__file__).parent.parent
NUM_DRAWS = 3
LEVELS = {
    "noise": (0.05, 0.1, 0.2, 0.4),
    "blur": (0.5, 1.0, 1.5, 2.0),
    "rotation": (5, 10, 20, 40),
    "occlusion": (4, 8, 12, 16),
}
UNITS = {
    "noise": "Gaussian, standard deviation",
    "blur": "Gaussian, pixels",
    "rotation": "degrees",
    "occlusion": "side of a black square, pixels",
}
MEASURES = ("frechet_distance", "kernel_distance", "precision", "recall", "recognized")


def corrupt(x, family, level):
    """Images (n, h, w, c) spoiled in one way, still in [0, 1]."""
    rng = np.random.default_rng(1)
    if family == "noise":
        x = x + rng.normal(0, level, x.shape)
    elif family == "blur":
        x = ndimage.gaussian_filter(x, (0, level, level, 0))
    elif family == "rotation":
        x = ndimage.rotate(x, level, axes=(1, 2), reshape=False, order=1)
    else:
        x = x.copy()
        for image in x:
            row, col = (rng.integers(0, size - level + 1) for size in image.shape[:2])
            image[row : row + level, col : col + level] = 0
    return np.clip(x, 0, 1).astype("float32")


def training_draw(dataset, seed, without=None):
    """As many training images as there are test images, and their labels."""
    of_interest = np.flatnonzero(dataset.y_train != without)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(of_interest, len(dataset.x_test), replace=False)
    return dataset.x_train[chosen], dataset.y_train[chosen]


def measure(name):
    """All rows of one data set: row's name to its measures."""
    dataset, classifier = data.load(name), load_pretrained(f"classifier_{name}")

    def score(images, labels=None):
        return generation_report(
            images, dataset.x_test, features=classifier, labels=labels
        )

    rows = {}

    def add(row, scores):
        rows[row] = metrics.spread(scores)
        print(f"{name}, {row}: {rows[row]['frechet_distance']['mean']:.3f}", flush=True)

    draws = [training_draw(dataset, seed) for seed in range(NUM_DRAWS)]
    add("real training images", [score(*draw) for draw in draws])
    images, labels = draws[0]
    for family, levels in LEVELS.items():
        for level in levels:
            spoiled = corrupt(images, family, level)
            add(f"{family} {level}", [score(spoiled, labels)])
    add("without class 0", [score(*training_draw(dataset, 0, without=0))])
    if name == "mnist":
        vae = load_pretrained("vae_mnist")
        draws = [vae.generate(len(images), seed=seed) for seed in range(NUM_DRAWS)]
        add("attention VAE", [score(draw) for draw in draws])
    published = pretrained_results(f"gan_{name}")
    rows["self-attention GAN"] = {key: published[key] for key in MEASURES}
    gan, draws = load_pretrained(f"gan_{name}"), []
    for seed in range(NUM_DRAWS):
        labels = np.random.default_rng(seed).choice(dataset.y_train, len(images))
        draws.append((gan.generate(len(labels), labels, seed=seed), labels))
    add("self-attention GAN, temperature 1", [score(*draw) for draw in draws])
    return rows


def draw(results, path):
    """Fréchet distance by the level of each corruption."""
    figure = Figure(figsize=(11, 3), layout="constrained")
    for axes, (family, levels) in zip(
        figure.subplots(1, len(LEVELS)), LEVELS.items(), strict=True
    ):
        for name, rows in results.items():
            floor = rows["real training images"]["frechet_distance"]["mean"]
            distances = [
                rows[f"{family} {level}"]["frechet_distance"]["mean"] / floor
                for level in levels
            ]
            axes.semilogy((0, *levels), (1, *distances), "o-", label=name)
        axes.set(title=family, xlabel=UNITS[family])
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("Fréchet classifier distance / floor")
    figure.axes[0].legend()
    figure.savefig(path, dpi=80)


def draw_samples(names, path):
    """Samples of the shipped GANs, a row for each class, side by side."""
    sheets = []
    for name in names:
        images = SYSTEMS["gan"].generate(load_pretrained(f"gan_{name}"), 80, seed=0)
        sheets.append(images.reshape(8, 10, *images.shape[1:]).swapaxes(0, 1))
    figure = plots.image_grid(np.concatenate(sheets, axis=1), cell_size=0.5)
    figure.savefig(path, dpi=80)


def main():
    results = {name: measure(name) for name in ("mnist", "fashion_mnist")}
    content = {
        "protocol": (
            "10 000 images against the 10 000 test images, on the features of the "
            f"frozen classifier; mean and range of {NUM_DRAWS} draws, corruptions of "
            "one draw of training images; the VAE's images are its probabilities"
        ),
        "classifier_accuracy": {
            name: pretrained_results(f"classifier_{name}")["accuracy"]
            for name in results
        },
        "rows": results,
    }
    path = ROOT / "benchmarks" / "results" / "generation_quality.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    draw(results, ROOT / "docs" / "generation_quality.png")
    draw_samples(results, ROOT / "docs" / "gan_samples.png")


if __name__ == "__main__":
    main()
