"""The command's GAN."""

from pathlib import Path

import numpy as np

from tfattn import plots
from tfattn.cli.options import GANOptions
from tfattn.cli.systems.base import (
    attention_of,
    classes_in_turn,
    dtype_of,
    has_classes,
    num_classes_of,
)
from tfattn.cli.systems.sampled import SAMPLE_SEED, SampledSystem
from tfattn.data import Dataset
from tfattn.models import SelfAttentionGAN
from tfattn.training.recipes import RECIPES
from tfattn.training.runs import write_figure

# Digits vary in far fewer ways than photographs: with 128 latents their distance to
# real ones falls more slowly.
LATENT_DIM = 32
# Of the images that are judged and shown: slightly shorter latents give more images
# that are recognized, and slightly fewer kinds.
TEMPERATURE = 0.97
MAP_WORDS = "where four positions of the generator attend to"


class GANSystem(GANOptions, SampledSystem[SelfAttentionGAN]):
    """See `GANOptions`."""

    model_class = SelfAttentionGAN
    recipe = RECIPES[SelfAttentionGAN]
    sampling = f"temperature {TEMPERATURE}"
    pictures = (*SampledSystem.pictures, ("attention.png", MAP_WORDS))

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

    def epoch_measurements(self, model: SelfAttentionGAN) -> dict[str, float]:
        """γ of each attention layer and the largest σ of each network's kernels."""
        found = {f"gamma_{name}": gamma for name, gamma in model.gammas().items()}
        for path, sigma in model.largest_singular_values().items():
            name = f"sigma_{path.partition('/')[0]}"
            found[name] = max(found.get(name, 0.0), sigma)
        return found

    def describe(self, logs: dict[str, float]) -> str:
        gammas = [f"{logs[k]:+.3f}" for k in logs if k.startswith("gamma_")]
        sigmas = [f"{logs[k]:.2f}" for k in logs if k.startswith("sigma_")]
        return (
            f"losses: discriminator {logs['discriminator_loss']:.3f}, generator "
            f"{logs['generator_loss']:.3f}; γ: {', '.join(gammas) or 'none'}; "
            f"largest σ: {', '.join(sigmas)}"
        )

    def draw(self, model: SelfAttentionGAN, dataset: Dataset, run: Path) -> None:
        super().draw(model, dataset, run)
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

    def sample(
        self, model: SelfAttentionGAN, n: int, labels: np.ndarray | None, seed: int
    ) -> np.ndarray:
        return model.generate(n, labels, temperature=TEMPERATURE, seed=seed)
