"""The command's flow."""

import argparse
from pathlib import Path

import numpy as np

from tfattn import plots
from tfattn.cli.systems.base import (
    add_attention,
    add_mixed_precision,
    attention_of,
    classes_in_turn,
    dtype_of,
    has_classes,
    num_classes_of,
)
from tfattn.cli.systems.sampled import SAMPLE_SEED, SampledSystem
from tfattn.data import Dataset
from tfattn.models import AttentionFlow
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure

# Of the images that are judged and shown: Heun's method, twice as many passes.
NUM_STEPS = 16
# The time at which the attention map is drawn: digits are recognizable there.
MAP_TIME = 0.5
MAP_WORDS = f"where four positions of the network attend to, t = {MAP_TIME}"
PATH_WORDS = "from noise to images; in each row one image"


class FlowSystem(SampledSystem[AttentionFlow]):
    """A flow from noise to images, with attention (flow matching)."""

    recipe = RECIPES[AttentionFlow]
    sampling = f"{NUM_STEPS} steps of Heun's method, no guidance"
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
        ("paths.png", PATH_WORDS),
        ("attention.png", MAP_WORDS),
    )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_attention(parser, AttentionFlow)
        add_mixed_precision(parser)

    def build(
        self, dataset: Dataset, *, seed: int, attention: str, mixed_precision: bool
    ) -> AttentionFlow:
        return AttentionFlow(
            dataset.x_train.shape[1:],
            num_classes=num_classes_of(dataset) if has_classes(dataset) else None,
            attention=attention_of(attention),
            pixel_mean=float(dataset.x_train.mean()),
            pixel_deviation=float(dataset.x_train.std()),
            seed=seed,
            dtype=dtype_of(mixed_precision),
        )

    def epoch_measurements(self, model: AttentionFlow) -> dict[str, float]:
        """γ of the attention layer."""
        return {f"gamma_{name}": value for name, value in model.gammas().items()}

    def describe(self, logs: dict[str, float]) -> str:
        gammas = [f"; γ {logs[k]:+.3f}" for k in logs if k.startswith("gamma_")]
        return f"error of the velocity {logs['velocity_error']:.4f}{''.join(gammas)}"

    def draw(self, model: AttentionFlow, dataset: Dataset, run: Path) -> None:
        title = "sampled from the model"
        if model.num_classes is not None:
            title += ", a row for each class"
        write_figure(
            run / "samples.png", plots.image_grid(self.sheet(model), title=title)
        )
        labels = classes_in_turn(model.num_classes, 4, None)
        noise = model.sample_noise(4, seed=SAMPLE_SEED)
        states = model.trajectory(noise, labels, num_steps=8)
        times = [f"t = {i / 8:g}" for i in range(9)]
        write_figure(
            run / "paths.png",
            plots.image_grid(states, title=PATH_WORDS, column_titles=times),
        )
        if model.attention != "self":
            return
        images = states[:, -1]
        pixels = (images - model.pixel_mean) / model.pixel_deviation
        between = noise + MAP_TIME * (pixels - noise)
        maps = model.attention_maps(between, MAP_TIME, labels)
        write_figure(
            run / "attention.png",
            plots.attention_figure(images, maps, title=MAP_WORDS),
        )

    def sample(
        self, model: AttentionFlow, n: int, labels: np.ndarray | None, seed: int
    ) -> np.ndarray:
        return model.generate(n, labels, num_steps=NUM_STEPS, seed=seed)
