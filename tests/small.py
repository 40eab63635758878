"""Small models of every kind, and data that they are trained on."""

import dataclasses

import keras
import numpy as np
import pytest

from tfattn import data
from tfattn.cli import main as cli
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

SHAPE = (8, 12, 1)
WORDS = ("red", "green", "blue")
# Each kind of model, and of condition.
MAKERS = {
    "vae": lambda: AttentionVAE(SHAPE, latent_dim=3, width=8),
    "vae_of_levels": lambda: AttentionVAE(SHAPE, latent_dim=3, width=8, levels=256),
    "vae_by_class": lambda: AttentionVAE(SHAPE, 3, width=8, num_classes=3),
    "gan_by_class": lambda: SelfAttentionGAN(SHAPE, 3, width=8, num_classes=3),
    "transformer_by_class": lambda: _transformer(
        condition="class", num_classes=3, order="coarse_to_fine"
    ),
    "transformer_by_text": lambda: _transformer(
        condition="text", vocabulary=WORDS, max_words=2
    ),
    "transformer_by_image": lambda: _transformer(
        condition="image", condition_channels=2
    ),
    "completion_by_mask": lambda: _completion(),
    "completion_adversarial": lambda: _completion(adversarial=True),
    "flow_by_class": lambda: AttentionFlow(SHAPE, num_classes=3, width=8),
    "flow_completing_by_class": lambda: AttentionFlow(
        SHAPE, num_classes=3, width=8, completes=True
    ),
    "flow_by_text": lambda: AttentionFlow(
        SHAPE, vocabulary=WORDS, max_words=2, width=8
    ),
    "captioner_by_text": lambda: ImageCaptioner(
        WORDS, 2, SHAPE, num_layers=1, num_heads=2, width=8
    ),
    "classifier": lambda: ImageClassifier(SHAPE, 3, width=4, num_features=8),
}
# Those trained by two optimizers, which torch cannot.
ADVERSARIAL = ("gan_by_class", "completion_adversarial")


def _transformer(**arguments):
    return ImageTransformer(SHAPE, num_layers=1, num_heads=2, width=8, **arguments)


def _completion(**arguments):
    return CompletionVAE(SHAPE, latent_dim=3, width=8, levels=2, **arguments)


def sgd(name, learning_rate=1e-3):
    """An optimizer with a state, and faster than Adam, which takes half of a step."""
    one, other = (keras.optimizers.SGD(learning_rate, 0.9) for _ in range(2))
    return TwoTimeScaleOptimizer(one, other) if name in ADVERSARIAL else one


def loss(name):
    """The loss to compile a model with; most have their own."""
    if name != "classifier":
        return None
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(name, metrics=None, **arguments):
    """A model of one of the `MAKERS`, compiled with plain gradient descent."""
    model = MAKERS[name]()
    model.compile(sgd(name), loss=loss(name), metrics=metrics, **arguments)
    return model


def images(n=6, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (n, *SHAPE)).astype("float32")


def condition(name, n=6):
    """The second argument of `fit`, `None` for a model without one."""
    if name.endswith("by_class") or name == "classifier":
        return np.arange(n) % 3
    if name.endswith("by_text"):
        return np.array(["red", "Blue red", "green"] * n)[:n]
    if name.endswith("by_image"):
        return np.random.default_rng(2).random((n, *SHAPE[:2], 2), "float32")
    if name.endswith("by_mask"):
        visible = np.random.default_rng(1).random((n, *SHAPE[:2])) < 0.5
        visible[:, 0, 0], visible[:, 0, 1] = True, False
        return visible
    return None


def trained(folder, system, *arguments):
    """A run of `tfattn train`, of one epoch on few digits: its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", few_digits)
        arguments = ["--data", "digits", "--epochs", "1", *arguments]
        cli.main(["train", system, *arguments, "--out", str(folder)])
    return folder


def few_digits(name="digits", num_train=200, num_test=100, load=data.load):
    """In the place of `data.load`: the middle of a few digits, 12×16 pixels."""
    digits = load("digits")
    return dataclasses.replace(
        digits,
        name=name,
        x_train=digits.x_train[:num_train, 8:20, 6:22],
        y_train=digits.y_train[:num_train],
        x_test=digits.x_test[:num_test, 8:20, 6:22],
        y_test=digits.y_test[:num_test],
    )
