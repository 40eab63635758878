"""What systems share whose images are judged by their features: GAN and flow."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfattn import plots
from tfattn.cli.systems.base import (
    ModelT,
    System,
    avatar_measurements,
    avatars_in_words,
    classes_in_turn,
    labels_of,
)
from tfattn.data import Dataset
from tfattn.evaluation import generation_report, metrics
from tfattn.models import load_pretrained
from tfattn.models.pretrained import MODELS
from tfattn.training.runs import write_figure

SAMPLE_SEED = 0
NUM_REPEATS = 3


class SampledSystem(System[ModelT]):
    """A model of images, by class or not, that is measured by what it generates.

    Attributes:
        model_class: The class of the model.
        sampling: How images are sampled, in words.
    """

    pictures = (("samples.png", "new images; with classes, a row for each"),)
    model_class: type[ModelT]
    sampling: str

    @abstractmethod
    def sample(
        self, model: ModelT, n: int, labels: np.ndarray | None, seed: int
    ) -> np.ndarray:
        """Images (n, h, w, c) of these classes, as they are judged and shown."""

    def epoch_figure(self, model: ModelT, epoch: int) -> Figure:
        return plots.image_grid(
            self.sheet(model), title=f"the same noise, epoch {epoch}"
        )

    def measure(self, model: ModelT, dataset: Dataset) -> dict[str, Any]:
        if dataset.name == "avatars":
            report = avatar_measurements(self, model, dataset)
            n = report["num_images"]
            protocol = f"{n} generated images, one draw, see tfattn.data.avatars.read"
            return {"protocol": protocol, "avatars": report}
        return self._quality(model, dataset, num_repeats=1)

    def evaluate(
        self,
        model: ModelT,
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
        return found | self._quality(model, dataset, NUM_REPEATS, features)

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
        if "recognized" in result:
            words += (
                f" The classifier recognizes {result['recognized']['mean']:.1%} of the "
                "generated images as the class that they were generated for."
            )
        return words

    def draw(self, model: ModelT, dataset: Dataset, run: Path) -> None:
        title = "sampled from the model"
        if model.num_classes is not None:
            title += ", a row for each class"
        figure = plots.image_grid(self.sheet(model), title=title)
        write_figure(run / "samples.png", figure)

    def generate(
        self, model: ModelT, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        classes = classes_in_turn(model.num_classes, n, condition)
        return self.sample(model, n, classes, seed)

    def _quality(
        self, model: Any, dataset: Dataset, num_repeats: int, features: Any = None
    ) -> dict[str, Any]:
        """The report, on given features or those of the classifier in the package."""
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
                # Classes are as frequent as among the training images, whose distance
                # to the test images is the floor.
                labels = np.random.default_rng(seed).choice(labels_of(dataset)[0], n)
            report = generation_report(
                self.sample(model, n, labels, seed),
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
            f"{num_repeats} draws, {self.sampling}"
        )
        return {
            "protocol": protocol,
            **found,
            "frechet_distance_of_real_images": real["real"]["frechet_distance"],
            **real,
        }

    def sheet(self, model: Any) -> np.ndarray:
        """Images of the same noise always: (classes, 10, h, w, c), or ten rows."""
        rows = model.num_classes or 10
        labels = classes_in_turn(model.num_classes, rows, None)
        images = self.sample(
            model,
            10 * rows,
            None if labels is None else np.repeat(labels, 10),
            SAMPLE_SEED,
        )
        return images.reshape(rows, 10, *model.image_shape)
