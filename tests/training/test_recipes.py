"""The recipe of each model, and its learning rates."""

import keras
import numpy as np
import pytest
from keras import ops

from tfattn.models import (
    AttentionVAE,
    CompletionVAE,
    ImageClassifier,
    ImageTransformer,
    SelfAttentionGAN,
)
from tfattn.training import recipe, warmup_cosine

SHAPE = (8, 8, 1)
# Each model; its batch size and epochs; and of 1000 steps the largest rate, the number
# of steps until then and the last rate.
MODELS = {
    "vae": (lambda: AttentionVAE(SHAPE, 3, width=8), (128, 20), 2e-3, 100, 0),
    "vae_of_levels": (
        lambda: AttentionVAE(SHAPE, 3, width=8, levels=256),
        *((128, 20), 6e-3, 100, 0),
    ),
    "gan": (lambda: SelfAttentionGAN(SHAPE, 3, width=8), (64, 13), 2e-4, 0, 1e-5),
    "transformer": (
        lambda: ImageTransformer(SHAPE, num_layers=1),
        *((64, 18), 2e-3, 100, 0),
    ),
    "completion": (lambda: CompletionVAE(SHAPE, 3, width=8), (32, 40), 3e-3, 100, 0),
    "adversarial": (
        lambda: CompletionVAE(SHAPE, 3, width=8, adversarial=True),
        *((32, 40), 3e-3, 100, 0),
    ),
    "classifier": (lambda: ImageClassifier(SHAPE, width=4), (128, 16), 4e-3, 200, 0),
}


def rate_at(optimizer, step):
    return float(ops.convert_to_numpy(optimizer._learning_rate(step)))


@pytest.mark.parametrize("name", MODELS)
def test_recipe_compiles_its_model(name):
    """The rate rises to its peak and ends where it should after the last step."""
    build, sizes, peak, warmup, last = MODELS[name]
    model = build()
    found = recipe(model)
    assert (found.batch_size, found.epochs) == sizes
    found.compile(model, 1000)
    optimizer = model.optimizer
    if name in ("gan", "adversarial"):
        optimizer, constant = optimizer.generator, optimizer.discriminator
        rate = float(ops.convert_to_numpy(constant.learning_rate))
        assert rate == pytest.approx(8e-4 if name == "gan" else 4e-4)
    rates = ops.convert_to_numpy(
        ops.vectorized_map(optimizer._learning_rate, ops.arange(1001))
    )
    assert np.argmax(rates) == warmup and rates[warmup] == pytest.approx(peak)
    assert rates[1000] == pytest.approx(last, abs=1e-9)
    assert np.all(np.diff(rates[: warmup + 1]) > 0)
    assert np.all(np.diff(rates[warmup:]) < 0)


def test_recipe_of_a_subclass_is_its_parents():
    class Own(ImageClassifier):
        """A model of a user."""

    assert recipe(Own(SHAPE, width=4)) is recipe(ImageClassifier(SHAPE, width=4))


def test_a_training_of_one_step_has_a_rate():
    model = ImageClassifier(SHAPE, width=4)
    recipe(model).compile(model, 1)
    assert 0 < rate_at(model.optimizer, 0) < 4e-3


def test_warmup_is_at_most_300_steps():
    for num_steps, warmup in ((40, 4), (3000, 300), (9000, 300)):
        schedule = warmup_cosine(2.0, num_steps)
        rates = [
            float(ops.convert_to_numpy(schedule(step)))
            for step in (0, warmup - 1, warmup, warmup + 1, num_steps)
        ]
        assert rates[0] == pytest.approx(1e-5) and max(rates) == rates[2] == 2.0
        assert rates[4] == pytest.approx(0, abs=1e-6)


def test_bad_arguments():
    model = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"\['AttentionVAE', .*Received: Sequential"):
        recipe(model)
    model = ImageClassifier(SHAPE, width=4)
    with pytest.raises(ValueError, match="`num_steps` to be an integer >= 1"):
        recipe(model).compile(model, 0)
