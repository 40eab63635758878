"""What all models of images have in common when they are trained, on TensorFlow."""

import numpy as np
import pytest

from tfattn.models import (
    AttentionVAE,
    CompletionVAE,
    ImageTransformer,
    SelfAttentionGAN,
)

SHAPE = (8, 8, 1)
MODELS = {
    "vae": lambda: AttentionVAE(SHAPE, latent_dim=3, width=8),
    "gan": lambda: SelfAttentionGAN(SHAPE, latent_dim=3, width=8),
    "transformer": lambda: ImageTransformer(SHAPE, num_layers=1, num_heads=1, width=4),
    "completion": lambda: CompletionVAE(SHAPE, latent_dim=3, width=8, levels=2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_traced_once(name, monkeypatch):
    """Tracing takes most of the time before the first step; by default it is twice."""
    model = MODELS[name]()
    traced = []
    train_step = type(model).train_step
    monkeypatch.setattr(
        type(model),
        "train_step",
        lambda self, data: traced.append(1) or train_step(self, data),
    )
    model.compile()
    x = np.random.default_rng(0).integers(0, 2, (4, *SHAPE)).astype("float32")
    model.fit(x, batch_size=2, verbose=0)
    assert len(traced) == 1
