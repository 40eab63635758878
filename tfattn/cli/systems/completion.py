"""The command's completion VAE."""

from pathlib import Path
from typing import Any

import numpy as np

from tfattn import plots
from tfattn.cli.options import CompletionOptions
from tfattn.cli.systems.base import (
    EPOCH_SIZE,
    System,
    attention_of,
    dtype_of,
)
from tfattn.cli.systems.likelihood import is_binary, pixels_in_words, with_levels
from tfattn.data import Dataset, masks
from tfattn.evaluation import completion_quality, metrics
from tfattn.evaluation.baselines import mean_image
from tfattn.evaluation.completion import WINDOW
from tfattn.models import CompletionVAE
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure

FACES = ("olivetti", "faces")
# Of a few hundred faces the prior learns few latents; other sets are larger.
NUM_LATENTS_OF_FACES, NUM_LATENTS = 8, 16
# What is measured: test images at most, completions of each, masks.
NUM_TEST_IMAGES = 1000
NUM_SAMPLES = 16
MEASURED_MASKS = ("lower_half", "center", "strokes")
MAP_WORDS = "where four positions of the decoder attend to"
SAMPLE_SEED = 0


class CompletionSystem(CompletionOptions, System[CompletionVAE]):
    """See `CompletionOptions`."""

    recipe = RECIPES[CompletionVAE]
    pictures = (
        ("samples.png", "test images, their lower halves hidden and completed"),
        *((f"samples_{n}.png", f"the same for the mask {n}") for n in masks.NAMES[1:]),
        ("attention.png", MAP_WORDS),
    )

    def build(
        self,
        dataset: Dataset,
        *,
        seed: int,
        attention: str,
        adversarial: bool,
        gate: bool,
        mixed_precision: bool,
    ) -> CompletionVAE:
        if min(dataset.x_train.shape[1:3]) < WINDOW:
            raise ValueError(
                f"Expected images of at least {WINDOW}×{WINDOW} pixels, the window in "
                f"which they are compared. Received: {dataset.x_train.shape[1:3]}"
            )
        faces = dataset.name in FACES
        return CompletionVAE(
            dataset.x_train.shape[1:],
            latent_dim=NUM_LATENTS_OF_FACES if faces else NUM_LATENTS,
            levels=2 if is_binary(dataset) else 256,
            attention=attention_of(attention),
            adversarial=adversarial,
            gate=gate,
            # A mirrored digit is none.
            augment=faces,
            seed=seed,
            dtype=dtype_of(mixed_precision),
        )

    def repeats(self, dataset: Dataset) -> int:
        """Every set is repeated: each showing has a mask of its own."""
        return max(1, round(EPOCH_SIZE / len(dataset.x_train)))

    def epoch_measurements(self, model: CompletionVAE) -> dict[str, float]:
        """γ of each attention layer."""
        return {f"gamma_{name}": gamma for name, gamma in model.gammas().items()}

    def describe(self, logs: dict[str, float]) -> str:
        bound = logs["reconstruction"] + logs["kl"]
        words = f"−log p of the hidden pixels ≤ {bound:.0f} nats (KL {logs['kl']:.1f})"
        if "generator_loss" in logs:
            words += f", discriminator's loss {logs['discriminator_loss']:.3f}"
        gammas = [f"{logs[k]:+.3f}" for k in logs if k.startswith("gamma_")]
        return f"{words}, γ: {', '.join(gammas) or 'none'}"

    def measure(self, model: CompletionVAE, dataset: Dataset) -> dict[str, Any]:
        x = test_images(dataset, model.levels)
        found = {
            name: quality(model, x, _measured_mask(model, x, name))
            for name in MEASURED_MASKS
        }
        estimates = {
            name: {
                measure: metrics.bootstrap_estimate(values)._asdict()
                for measure, values in of_mask.items()
            }
            for name, of_mask in found.items()
        }
        for name, of_mask in estimates.items():
            print(
                f"test images, {name.replace('_', ' ')} hidden: "
                + ", ".join(
                    f"{measure} {of_mask[measure]['value']:.3f}"
                    for measure in ("psnr", "ssim", "best_psnr", "diversity")
                ),
                flush=True,
            )
        visible = masks.draw("lower_half", 1, model.image_shape[:2])[0]
        filled_in = mean_image(dataset.x_train, x, visible)
        return {
            "protocol": protocol(dataset, model, x),
            "completion": estimates,
            "lower_half_psnr_of_the_mean_image": float(
                completion_quality(x, visible, filled_in)["psnr"].mean()
            ),
        }

    def evaluate(
        self,
        model: CompletionVAE,
        dataset: Dataset,
        *,
        num_samples: int,
        **options: Any,
    ) -> dict[str, Any]:
        """The same, and the importance-weighted bound of the hidden half."""
        x = test_images(dataset, model.levels)
        visible = _measured_mask(model, x, "lower_half")
        nats = -model.log_likelihood_bound(x, visible, num_samples=num_samples)
        estimate = metrics.bootstrap_estimate(_bits_per_hidden_pixel(nats, x, visible))
        print(
            f"lower half: at most {estimate.value:.3f} bits per hidden pixel "
            f"({num_samples} draws of z)"
        )
        return self.measure(model, dataset) | {
            f"bits_per_hidden_pixel_{num_samples}": estimate._asdict()
        }

    def in_words(self, result: dict[str, Any]) -> str:
        found = result["completion"]["lower_half"]
        return (
            f"Where the lower half is hidden, the mean of {NUM_SAMPLES} completions "
            f"has a PSNR of {found['psnr']['value']:.1f} dB, and the best of them "
            f"{found['best_psnr']['value']:.1f} dB. Larger is better. Filling in the "
            "mean training image gives "
            f"{result['lower_half_psnr_of_the_mean_image']:.1f} dB."
        )

    def draw(self, model: CompletionVAE, dataset: Dataset, run: Path) -> None:
        x = test_images(dataset, model.levels)[:6]
        visible = masks.draw("lower_half", len(x), model.image_shape[:2])
        _write_sheet(model, x, visible, run / "samples.png")
        for name in masks.NAMES[1:]:
            other = masks.draw(name, len(x), model.image_shape[:2], SAMPLE_SEED)
            _write_sheet(model, x, other, run / f"samples_{name}.png")
        if model.attention != "self":
            return
        maps = model.attention_maps(x, visible)
        map_h, map_w = maps.shape[1:3]
        queries = [
            (int(map_h * row), int(map_w * column))
            for row, column in ((0.6, 0.35), (0.6, 0.65), (0.75, 0.5), (0.9, 0.5))
        ]
        figure = plots.attention_figure(
            model.complete(x, visible, seed=SAMPLE_SEED)[:, 0],
            maps,
            queries,
            title=MAP_WORDS,
        )
        write_figure(run / "attention.png", figure)

    def generate(
        self, model: CompletionVAE, n: int, seed: int, condition: str | None = None
    ) -> np.ndarray:
        raise ValueError(
            "A completion needs an image to complete. Expected `tfattn complete IMAGE`."
        )

    def next_commands(self, run: Path) -> list[tuple[list[str], str]]:
        command = ["complete", "face.jpg", "--run", str(run)]
        return [(command, "complete a picture of yours")]


def quality(
    model: CompletionVAE, x: np.ndarray, visible: np.ndarray
) -> dict[str, np.ndarray]:
    """Every measure of `NUM_SAMPLES` completions, and the bound, for each image."""
    completions = model.complete(x, visible, num_samples=NUM_SAMPLES, seed=SAMPLE_SEED)
    found = completion_quality(x, visible, completions)
    nats = -model.elbo(x, visible, num_samples=4)
    return found | {"bits_per_hidden_pixel": _bits_per_hidden_pixel(nats, x, visible)}


def protocol(dataset: Dataset, model: CompletionVAE, x: np.ndarray) -> str:
    """Words on what `measure` measures."""
    people = ", of people that training never shows" * (dataset.name == "olivetti")
    drawn = f"; {pixels_in_words(dataset, 2)}" * (model.levels == 2)
    return (
        f"{len(x)} test images{people}{drawn}; PSNR of hidden pixels, peak 1, and "
        f"SSIM of the windows that touch them; the mean of {NUM_SAMPLES} completions, "
        "the first and the best of them; bits per hidden pixel of "
        f"{model.levels} levels: evidence lower bound, 4 draws; intervals: 95 %, "
        "bootstrap over images"
    )


def test_images(dataset: Dataset, levels: int) -> np.ndarray:
    """All test images, or a seeded subset of a large set, with this many levels."""
    order = np.random.default_rng(0).permutation(len(dataset.x_test))
    x = dataset.x_test[np.sort(order[:NUM_TEST_IMAGES])]
    return with_levels(x, 2) if levels == 2 else x


def _measured_mask(model, x, name):
    return masks.draw(name, len(x), model.image_shape[:2])


def _bits_per_hidden_pixel(nats, x, visible):
    """Nats of each image's hidden pixels as bits per hidden pixel and channel."""
    return nats / (np.log(2) * (~visible).sum(axis=(1, 2)) * x.shape[-1])


def _write_sheet(model, x, visible, path):
    completions = model.complete(x, visible, num_samples=8, seed=SAMPLE_SEED)
    figure = plots.completion_figure(
        x, visible, completions, "whole, what is shown, completions of it"
    )
    write_figure(path, figure)
