"""Reports from other projects, tried here; `docs/reports.md` lists them all."""

import sys

import checks
import keras
import numpy as np
import pytest
import small
from keras import ops

from tfattn import layers


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("scores", [False, True])
def test_no_query_sees_a_later_key(dropout, scores):
    """keras-team/keras#23038: the causal mask went lost with dropout or with scores."""
    layer = layers.MultiHeadAttention(2, 4, dropout=dropout)
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    other = x.copy()
    other[:, 3:] += 1
    found = []
    for sequence in (x, other):
        y = layer(
            *(sequence, sequence), use_causal_mask=True, return_attention_scores=scores
        )
        found.append(checks.numpy_of(y[0] if scores else y))
    np.testing.assert_allclose(found[0][:, :3], found[1][:, :3], atol=1e-6)
    assert np.abs(found[0] - found[1])[:, 3:].min(axis=-1).max() > 1e-3
    _, maps = layer(
        *(x, x), use_causal_mask=True, return_attention_scores=True, training=True
    )
    assert np.all(np.triu(checks.numpy_of(maps), 1) == 0)


def test_gradients_are_finite_where_nothing_is_admitted():
    """pytorch/pytorch#41508: one padded row made the gradients of all rows NaN."""
    layer = layers.MultiHeadAttention(2, 4)
    x = ops.convert_to_tensor(checks.images((2, 5, 8)))
    mask = np.array([[False] * 5, [True] * 5])
    layer(x, x)
    (gradient,) = checks.gradients_of(
        lambda x: ops.sum(ops.square(layer(x, x, value_mask=mask)))
    )(x)
    gradient = checks.numpy_of(gradient)
    assert np.all(np.isfinite(gradient)) and np.abs(gradient[1]).max() > 1e-6


def test_the_loss_is_the_sum_of_its_terms(eagerly):
    """keras-team/keras-io#983: not so in its table, where terms had other weights."""
    model = small.compiled("vae")
    logs = model.fit(small.images(5), batch_size=3, verbose=0).history
    total = logs["reconstruction"][0] + logs["kl"][0]
    assert logs["loss"][0] == pytest.approx(total, rel=1e-5)
    found = model.evaluate(small.images(5), batch_size=3, verbose=0, return_dict=True)
    total = found["reconstruction"] + found["kl"]
    assert found["loss"] == pytest.approx(total, rel=1e-5)


def test_attention_leaves_zero():
    """taki0112/Self-Attention-GAN-Tensorflow#13: is γ = 0 ever anything else?"""
    layer = layers.SelfAttention2D()
    model = keras.Sequential([keras.Input((4, 6, 16)), layer])
    x = checks.images((3, 4, 6, 16))
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    model.fit(x, x[::-1], verbose=0)
    assert abs(float(ops.convert_to_numpy(layer.gamma))) > 1e-4


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="PyTorch draws other numbers"
)
@pytest.mark.parametrize("name", ["vae_by_class", "gan_by_class", "flow_by_class"])
def test_an_image_does_not_depend_on_how_many_there_are(name):
    """AUTOMATIC1111/stable-diffusion-webui#376: it did on the size of the batch."""
    model = small.MAKERS[name]()
    many, few = (model.generate(n, np.arange(n) % 3, seed=4) for n in (7, 3))
    np.testing.assert_allclose(many[:3], few, atol=1e-5)
    assert np.abs(many[0] - many[3]).max() > 1e-3


@pytest.mark.parametrize("name", ["vae_by_class", "gan_by_class"])
def test_many_images_are_made_a_few_at_once(name, monkeypatch):
    """crowsonkb/k-diffusion#49: all samples together filled the memory."""
    model = small.MAKERS[name]()
    condition = np.arange(7) % 3
    whole = model.generate(7, condition, seed=0)
    place = sys.modules[type(model).generate.__module__]
    monkeypatch.setattr(place, "IMAGES_AT_ONCE", 3)
    network = "generator_average" if name == "gan_by_class" else "decoder_features"
    layer, sizes = getattr(model, network), []

    def watched(inputs):
        sizes.append(len(inputs[0]))
        return layer(inputs)

    object.__setattr__(model, network, watched)
    parts = model.generate(7, condition, seed=0)
    assert sizes == [3, 3, 1]
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize("name", ["vae", "flow_by_class", "completion_by_mask"])
def test_seeds_of_training_steps_are_kept(name):
    """keras-team/keras#20378: on JAX each step drew the numbers of the first."""
    model = small.compiled(name)
    seeds = [v for v in model.variables if "seed_generator" in v.path]
    before = [checks.numpy_of(v.value).copy() for v in seeds]
    condition = small.condition(name)
    model.fit(small.images(), condition, batch_size=3, verbose=0)
    assert seeds
    for seed, old in zip(seeds, before, strict=True):
        assert np.any(checks.numpy_of(seed.value) != old), seed.path
