"""The command's flow."""

from pathlib import Path
from typing import Any

import numpy as np

from tfattn import plots
from tfattn.cli.options import FlowOptions
from tfattn.cli.systems.base import (
    attention_of,
    classes_in_turn,
    dtype_of,
    has_classes,
    num_classes_of,
    vocabulary_of,
)
from tfattn.cli.systems.sampled import SAMPLE_SEED, SampledSystem
from tfattn.data import Dataset, avatars, masks
from tfattn.models import AttentionFlow
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure

# Of the images that are judged and shown: Heun's method, twice as many passes.
NUM_STEPS = 16
# The time at which the attention map is drawn: digits are recognizable there.
MAP_TIME = 0.5
MAP_WORDS = f"where four positions of the network attend to, t = {MAP_TIME}"
PATH_WORDS = "from noise to images; in each row one image"
COMPLETION_WORDS = "test images, what is shown, completions of it"


class FlowSystem(FlowOptions, SampledSystem[AttentionFlow]):
    """See `FlowOptions`."""

    model_class = AttentionFlow
    recipe = RECIPES[AttentionFlow]
    sampling = f"{NUM_STEPS} steps of Heun's method, no guidance"
    pictures = (
        *SampledSystem.pictures,
        ("paths.png", PATH_WORDS),
        ("attention.png", MAP_WORDS),
        ("completions.png", COMPLETION_WORDS),
    )

    def build(
        self,
        dataset: Dataset,
        *,
        seed: int,
        attention: str,
        condition: str,
        completes: bool,
        mixed_precision: bool,
    ) -> AttentionFlow:
        of_condition: dict[str, Any] = {}
        if condition == "text":
            if dataset.name != "avatars" or dataset.y_train is None:
                raise ValueError(
                    "Expected --data avatars for --condition text: no other data has "
                    f"sentences. Received: {dataset.name}"
                )
            vocabulary, max_words = vocabulary_of(avatars.sentences(dataset.y_train))
            of_condition = {"vocabulary": vocabulary, "max_words": max_words}
        elif has_classes(dataset):
            of_condition = {"num_classes": num_classes_of(dataset)}
        return AttentionFlow(
            dataset.x_train.shape[1:],
            attention=attention_of(attention),
            pixel_mean=float(dataset.x_train.mean()),
            pixel_deviation=float(dataset.x_train.std()),
            completes=completes,
            seed=seed,
            dtype=dtype_of(mixed_precision),
            **of_condition,
        )

    def training_arrays(
        self, dataset: Dataset, model: AttentionFlow
    ) -> tuple[np.ndarray, ...]:
        if model.vocabulary is None or dataset.y_train is None:
            return super().training_arrays(dataset, model)
        return dataset.x_train, avatars.sentences(dataset.y_train)

    def epoch_measurements(self, model: AttentionFlow) -> dict[str, float]:
        """γ of the attention layer."""
        return {f"gamma_{name}": value for name, value in model.gammas().items()}

    def describe(self, logs: dict[str, float]) -> str:
        gammas = [f"; γ {logs[k]:+.3f}" for k in logs if k.startswith("gamma_")]
        return f"error of the velocity {logs['velocity_error']:.4f}{''.join(gammas)}"

    def next_commands(self, run: Path) -> list[tuple[list[str], str]]:
        commands = super().next_commands(run)
        if (run / "completions.png").exists():
            command = ["complete", "picture.jpg", "--run", str(run)]
            commands.append((command, "complete a picture of yours"))
        return commands

    def draw(self, model: AttentionFlow, dataset: Dataset, run: Path) -> None:
        super().draw(model, dataset, run)
        labels = _conditions(model, 4, SAMPLE_SEED)
        noise = model.sample_noise(4, seed=SAMPLE_SEED)
        states = model.trajectory(noise, labels, num_steps=8)
        times = [f"t = {i / 8:g}" for i in range(9)]
        write_figure(
            run / "paths.png",
            plots.image_grid(states, title=PATH_WORDS, column_titles=times),
        )
        if model.completes:
            self._draw_completions(model, dataset, run)
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

    def _draw_completions(self, model, dataset, run):
        x = dataset.x_test[: len(masks.NAMES)]
        visible = np.concatenate(
            [masks.draw(name, 1, x.shape[1:3]) for name in masks.NAMES[: len(x)]]
        )
        figure = plots.completion_figure(
            x,
            visible,
            model.complete(x, visible, num_samples=6, seed=SAMPLE_SEED),
            title=COMPLETION_WORDS,
        )
        write_figure(run / "completions.png", figure)

    def sample(
        self, model: AttentionFlow, n: int, labels: np.ndarray | None, seed: int
    ) -> np.ndarray:
        if labels is None:
            labels = _conditions(model, n, seed)
        return model.generate(n, labels, num_steps=NUM_STEPS, seed=seed)

    def avatars_asked_for(
        self, model: AttentionFlow, n: int, seed: int
    ) -> np.ndarray | None:
        return None if model.vocabulary is None else avatars.draw_attributes(n, seed)

    def generate(
        self, model: AttentionFlow, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        return self.sample(model, n, _conditions(model, n, seed, condition), seed)


def _conditions(model, n, seed, condition=None):
    """n conditions to generate images from: one for all, or different ones."""
    if model.vocabulary is None:
        return classes_in_turn(model.num_classes, n, condition)
    if condition is None:
        return avatars.sentences(avatars.draw_attributes(n, seed))
    return np.full(n, condition)
