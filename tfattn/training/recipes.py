"""The recipe of each model: how many images and epochs, and which optimizer."""

from collections.abc import Callable
from typing import NamedTuple

import keras

from tfattn._checks import check_integer
from tfattn._choices import EPOCHS
from tfattn.models import (
    AttentionFlow,
    AttentionVAE,
    CompletionVAE,
    ImageCaptioner,
    ImageClassifier,
    ImageTransformer,
    SelfAttentionGAN,
    TwoTimeScaleOptimizer,
)
from tfattn.training.schedules import warmup_cosine


class Recipe(NamedTuple):
    """How `tfattn train` trains a model.

    Attributes:
        batch_size: Number of images in a training step.
        epochs: Number of epochs of the full training.
        optimizer: Function from a model and its number of training steps to an
            optimizer.
        loss, metrics: Other arguments of `compile`, for a model without a loss of its
            own.
    """

    batch_size: int
    epochs: int
    optimizer: Callable[[keras.Model, int], keras.optimizers.Optimizer]
    loss: keras.losses.Loss | None = None
    metrics: list | None = None

    def compile(self, model: keras.Model, num_steps: int) -> None:
        """Compiles a model for a training of `num_steps` steps.

        Raises:
            ValueError: If `num_steps` is not an integer of at least 1.
        """
        num_steps = check_integer("num_steps", num_steps, least=1)
        optimizer = self.optimizer(model, num_steps)
        model.compile(optimizer, loss=self.loss, metrics=self.metrics)


def recipe(model: keras.Model) -> Recipe:
    """The recipe by which `tfattn train` trains a model.

    ```python
    model = tfattn.models.AttentionVAE()
    recipe = tfattn.training.recipe(model)
    steps = math.ceil(len(x_train) / recipe.batch_size)
    recipe.compile(model, recipe.epochs * steps)
    model.fit(x_train, batch_size=recipe.batch_size, epochs=recipe.epochs)
    ```

    Raises:
        ValueError: If the model is not one of `tfattn.models`.
    """
    for model_class, found in RECIPES.items():
        if isinstance(model, model_class):
            return found
    raise ValueError(
        f"Expected a model of {[c.__name__ for c in RECIPES]}. "
        f"Received: {type(model).__name__}"
    )


def _vae_optimizer(model, num_steps):
    # With two levels only the first steps come near the norm at which gradients are
    # clipped. With more, nearly all do: exact colors need larger steps and a limit.
    peak_rate = 2e-3 if model.levels == 2 else 6e-3
    return keras.optimizers.Adam(warmup_cosine(peak_rate, num_steps), clipnorm=200.0)


def _gan_optimizer(model, num_steps):
    """The generator's rate falls along a cosine while the discriminator's stays.

    The discriminator has to follow a generator that settles. If both rates fall, it
    learns to tell all images apart, and the generator learns nothing more from it.
    """
    falling = keras.optimizers.schedules.CosineDecay(2e-4, num_steps, alpha=0.05)
    return TwoTimeScaleOptimizer(
        keras.optimizers.Adam(falling, beta_1=0.0, beta_2=0.99),
        keras.optimizers.Adam(8e-4, beta_1=0.0, beta_2=0.99),
    )


def _transformer_optimizer(model, num_steps):
    return keras.optimizers.AdamW(
        warmup_cosine(2e-3, num_steps), weight_decay=0.01, beta_2=0.98, clipnorm=50.0
    )


def _completion_optimizer(model, num_steps):
    optimizer = keras.optimizers.AdamW(
        warmup_cosine(3e-3, num_steps), weight_decay=0.01, beta_2=0.99, clipnorm=1000.0
    )
    if not model.adversarial:
        return optimizer
    discriminator = keras.optimizers.Adam(4e-4, beta_1=0.0, beta_2=0.99)
    return TwoTimeScaleOptimizer(optimizer, discriminator)


def _captioner_optimizer(model, num_steps):
    return keras.optimizers.AdamW(
        warmup_cosine(2e-3, num_steps), weight_decay=0.01, beta_2=0.98, clipnorm=1.0
    )


def _flow_optimizer(model, num_steps):
    return keras.optimizers.AdamW(
        warmup_cosine(2e-3, num_steps), weight_decay=0.01, beta_2=0.99, clipnorm=1.0
    )


def _classifier_optimizer(model, num_steps):
    """Adam, its rate rising for a fifth of the steps, then falling to 0."""
    warmup_steps = max(1, num_steps // 5)
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(
            2e-4,
            max(1, num_steps - warmup_steps),
            warmup_target=4e-3,
            warmup_steps=warmup_steps,
        )
    )


RECIPES = {
    AttentionVAE: Recipe(128, EPOCHS["vae"], _vae_optimizer),
    SelfAttentionGAN: Recipe(64, EPOCHS["gan"], _gan_optimizer),
    ImageTransformer: Recipe(64, EPOCHS["transformer"], _transformer_optimizer),
    CompletionVAE: Recipe(32, EPOCHS["completion"], _completion_optimizer),
    ImageCaptioner: Recipe(128, EPOCHS["captioner"], _captioner_optimizer),
    AttentionFlow: Recipe(128, EPOCHS["flow"], _flow_optimizer),
    ImageClassifier: Recipe(
        128,
        EPOCHS["classifier"],
        _classifier_optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ["accuracy"],
    ),
}
