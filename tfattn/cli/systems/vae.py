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
    labels_of,
    num_classes_of,
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
from tfattn.models import AttentionVAE, load_pretrained, pretrained_results
from tfattn.models.pretrained import MODELS
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure

MAP_WORDS = "where four positions of the decoder attend to"
SAMPLE_SEED = 0


class VAESystem(VAEOptions, System[AttentionVAE]):
    """See `VAEOptions`."""

    recipe = RECIPES[AttentionVAE]
    pictures = (
        ("samples.png", "new images, sampled from the model"),
        ("attention.png", MAP_WORDS),
    )

    def build(
        self, dataset: Dataset, *, seed: int, attention: str, condition: str
    ) -> AttentionVAE:
        levels = 2 if is_binary(dataset) else 256
        print(f"pixels: {pixels_in_words(dataset, levels)}", flush=True)
        return AttentionVAE(
            dataset.x_train.shape[1:],
            attention=attention_of(attention),
            num_classes=num_classes_of(dataset) if condition == "class" else None,
            levels=levels,
            seed=seed,
        )

    def describe(self, logs: dict[str, float]) -> str:
        return (
            f"negative ELBO {logs['loss']:.2f} nats "
            f"(reconstruction {logs['reconstruction']:.2f}, KL {logs['kl']:.2f})"
        )

    def measure(self, model: AttentionVAE, dataset: Dataset) -> dict[str, Any]:
        x_test, classes = _test_set(model, dataset)
        bound = metrics.mean_estimate(-model.elbo(x_test, classes))
        print_estimate("negative_elbo", bound)
        found = {
            "protocol": pixels_in_words(dataset, model.levels),
            "levels": model.levels,
            "image_shape": model.image_shape,
            "negative_elbo": bound._asdict(),
            "nats_of_independent_pixels": nats_of_independent_pixels(
                dataset, model.levels
            ),
            "active_units": metrics.active_units(model.encode(x_test, classes)[0]),
        }
        if model.levels > 2:
            found["bits_per_dimension"] = metrics.bits_per_dimension(
                bound.value, model.image_shape
            )
        if dataset.name == "avatars":
            found["avatars"] = avatar_measurements(self, model, dataset)
        return found | _of_classes(model, dataset, x_test, classes)

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
        x_test, classes = _test_set(model, dataset)
        # A seeded subset: the first images of MNIST's test set are easier than the
        # rest.
        subset = np.random.default_rng(0).permutation(len(x_test))[:subset_size]
        bounds = {"negative_elbo": metrics.mean_estimate(-model.elbo(x_test, classes))}
        for indices, k, words in (
            (np.arange(len(x_test)), num_samples, "all test images"),
            (np.sort(subset), subset_num_samples, "a random subset"),
        ):
            print(f"L_{k} on {words}", flush=True)
            progress, parts = bar(len(indices), "measuring", "image"), []
            for start in range(0, len(indices), 100):
                part = indices[start : start + 100]
                condition = None if classes is None else classes[part]
                parts.append(
                    model.log_likelihood_bound(
                        x_test[part], condition, num_samples=k, seed=start
                    )
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
        if "negative_elbo_of_other_classes" in result:
            more = result["negative_elbo_of_other_classes"]["value"]
            words += (
                " The model is told the class of each image. Told a wrong one, it "
                f"needs at most {more:.1f} nats."
            )
        if "recognized" in result:
            words += (
                f" The classifier recognizes {result['recognized']['value']:.1%} of "
                f"{result['recognized']['num_images']} generated images as the class "
                "that they were generated for, and "
                f"{result['recognized_real']['value']:.1%} of the test images as "
                "theirs."
            )
        if result["data"] == "mnist" and result.get("condition", "none") == "none":
            shipped = pretrained_results("vae_mnist")
            words += (
                f" The VAE in this package, trained for {shipped['epochs']} epochs, "
                f"needs {shipped['negative_elbo']['value']:.1f} nats."
            )
        return words

    def draw(self, model: AttentionVAE, dataset: Dataset, run: Path) -> None:
        title = "sampled from the model"
        if model.num_classes is None:
            rows = self.generate(model, 100, SAMPLE_SEED)
            rows = rows.reshape(10, 10, *model.image_shape)
        else:
            title += ", a row for each class, a column for each noise"
            rows = np.stack(
                [
                    model.generate(10, np.full(10, label), seed=SAMPLE_SEED)
                    for label in range(model.num_classes)
                ]
            )
        figure = plots.image_grid(rows, title=title)
        write_figure(run / "samples.png", figure)
        if model.attention != "self":
            return
        x_test, classes = _test_set(model, dataset)
        images, classes = x_test[:6], None if classes is None else classes[:6]
        figure = plots.attention_figure(
            model.reconstruct(images, classes),
            model.attention_maps(images, classes),
            title=MAP_WORDS,
        )
        write_figure(run / "attention.png", figure)

    def generate(
        self, model: AttentionVAE, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        classes = classes_in_turn(model.num_classes, n, condition)
        return model.generate(n, classes, seed=seed)


def _test_set(model, dataset):
    """Test images of the model's levels and, for a model with classes, theirs."""
    x_test = with_levels(dataset.x_test, model.levels)
    return x_test, None if model.num_classes is None else labels_of(dataset)[1]


def _of_classes(model, dataset, x_test, classes):
    """Measures how much the class condition matters; {} without one."""
    if classes is None:
        return {}
    others = (classes + 1) % model.num_classes
    bound = metrics.mean_estimate(-model.elbo(x_test, others))
    print_estimate("negative_elbo_of_other_classes", bound)
    protocol = (
        f"{pixels_in_words(dataset, model.levels)}; other class: (label + 1) mod "
        f"{model.num_classes}"
    )
    found = {"negative_elbo_of_other_classes": bound._asdict()}
    judge = f"classifier_{dataset.name}"
    if judge in MODELS:
        asked = classes_in_turn(model.num_classes, len(x_test), None)
        images = model.generate(len(x_test), asked, seed=SAMPLE_SEED)
        classifier = load_pretrained(judge)
        for name, shown, expected in (
            ("recognized", images, asked),
            ("recognized_real", dataset.x_test, classes),
        ):
            right = metrics.mean_estimate(classifier.classify(shown) == expected)
            print(f"{name.replace('_', ', ')}: {right.value:.2%}", flush=True)
            found[name] = right._asdict()
        protocol += (
            f"; recognized: {len(images)} images, temperature 1, as many of each "
            f"class, by {judge}"
        )
    return {"protocol": protocol, **found}
