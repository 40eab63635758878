"""The diffusion Transformer: blocks by loops, its start, its conditions, its maps."""

import keras
import numpy as np
import pytest
import reference
from checks import numpy_of
from keras import ops

from tfattn.layers import PositionalEncoding
from tfattn.models.flow import dit

SHAPE = (8, 12, 2)  # 2×3 patches
ATTENTIONS = ("self", "uniform", "residual", None)


@pytest.fixture(autouse=True)
def two_blocks(monkeypatch):
    monkeypatch.setattr(dit, "DEPTH", 2)


def build(attention="self", width=8, name="network"):
    return dit.build_dit(SHAPE, 3, width, attention, name)


def scrambled(network, seed=0):
    """Random weights, none of them zero: every part counts."""
    rng = np.random.default_rng(seed)
    network.set_weights(
        [rng.normal(0, 0.2, w.shape).astype("float32") for w in network.get_weights()]
    )
    return network


def batch(seed=0):
    """Images, times and one-hot classes, the last of them none."""
    rng = np.random.default_rng(seed)
    classes = np.eye(4, 3, dtype="float32")[[1, 0, 3]]
    times = np.array([0.1, 0.5, 0.8], "float32")
    return [rng.normal(size=(3, *SHAPE)).astype("float32"), times, classes]


def tensors(arrays):
    return [ops.convert_to_tensor(array.astype("float32")) for array in arrays]


def outputs(network, arrays):
    return numpy_of(network(tensors(arrays)))


def of_type(network, kind):
    return [layer for layer in network.layers if isinstance(layer, kind)]


# --- one block ----------------------------------------------------------------


def affine(dense, x):
    return x @ numpy_of(dense.kernel) + numpy_of(dense.bias)


def modulated(layer, x, vector):
    """norm(x)·(1 + s) + b, token by token."""
    y = np.zeros_like(x)
    for n, token in np.ndindex(x.shape[:2]):
        scale, shift = np.split(affine(layer.modulation, vector[n]), 2)
        entry = x[n, token]
        normal = (entry - entry.mean()) / np.sqrt(entry.var() + 1e-5)
        y[n, token] = normal * (1 + scale) + shift
    return y


def gated(layer, x, y, vector):
    """x + g·y, token by token."""
    result = np.zeros_like(x)
    for n, token in np.ndindex(x.shape[:2]):
        gate = affine(layer.modulation, vector[n])
        result[n, token] = x[n, token] + gate * y[n, token]
    return result


def attended(block, attention, y):
    if attention == "self":
        weights = reference.projection_weights(block.get_layer("attention_0"))
        return reference.multi_head_attention(y, y, y, weights, 2, lambda *_: True)[0]
    value, output = of_type(block, keras.layers.Dense)[:2]
    result = np.zeros_like(y)
    for n, token in np.ndindex(y.shape[:2]):
        if attention == "uniform":
            others = [affine(value, other) for other in y[n]]
            hidden = sum(others) / len(others)
        else:
            own = affine(value, y[n, token])
            hidden = own / (1 + np.exp(-own))
        result[n, token] = affine(output, hidden)
    return result


@pytest.mark.backend
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_block_by_loops(attention):
    inputs = [keras.Input((5, 64)), keras.Input((7,))]
    block = keras.Model(inputs, dit._block(*inputs, attention, "attention_0"))
    scrambled(block)
    rng = np.random.default_rng(1)
    x, vector = rng.normal(size=(2, 5, 64)), rng.normal(size=(2, 7))
    norms = of_type(block, dit.ModulatedLayerNormalization)
    sums = of_type(block, dit.GatedSum)
    expected = x
    if attention is not None:
        y = attended(block, attention, modulated(norms[0], x, vector))
        expected = gated(sums[0], x, y, vector)
    y = modulated(norms[-1], expected, vector)
    expand, contract = of_type(block, keras.layers.Dense)[-2:]
    y = affine(contract, np.maximum(affine(expand, y), 0) ** 2)
    expected = gated(sums[-1], expected, y, vector)
    found = outputs(block, [x, vector])
    size = np.abs(expected).max()
    np.testing.assert_allclose(found / size, expected / size, atol=1e-5)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_an_untrained_network_is_zero_and_its_blocks_the_identity(attention):
    network = build(attention)
    assert not outputs(network, batch()).any()
    (last,) = of_type(network, dit.ModulatedLayerNormalization)[-1:]
    (positions,) = of_type(network, PositionalEncoding)
    ends = [positions.output, last.input[0]]
    tokens, after = keras.Model(network.inputs, ends)(tensors(batch()))
    tokens = numpy_of(tokens).reshape(3, 6, 32)
    np.testing.assert_allclose(numpy_of(after), tokens, atol=1e-6)
    # What the last layer reads is no zero, or it would never be trained.
    normal = outputs(keras.Model(network.inputs, last.output), batch())
    np.testing.assert_allclose(normal.std(axis=-1), 1, atol=1e-2)


# --- the network --------------------------------------------------------------


def test_time_and_class_change_the_output():
    network = scrambled(build())
    images, times, classes = batch()
    velocity = outputs(network, [images, times, classes])
    others = [images, times + 0.1, classes], [images, times, np.roll(classes, 1, 0)]
    for other in others:
        change = np.abs(outputs(network, other) - velocity)
        assert np.all(change.max(axis=(1, 2, 3)) > 1e-3)
    # Zeros stand for no class: no row of the table counts.
    table = network.get_layer("class_embedding").kernel
    table.assign(table + 1)
    change = np.abs(outputs(network, [images, times, classes]) - velocity)
    assert change[:2].max() > 1e-3 and not change[2].any()


def test_a_network_without_classes_takes_none():
    network = scrambled(dit.build_dit(SHAPE, None, 8, "self", "network"))
    images, times, _ = batch()
    assert outputs(network, [images, times]).shape == images.shape
    assert network.count_params() == build().count_params() - 3 * 32


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_where_a_pixel_looks(attention):
    """Changes spread to all patches where tokens are mixed, and to no other else."""
    network = scrambled(build(attention))
    images, *condition = batch()
    velocity = outputs(network, [images, *condition])
    images[:, 5, 10, 1] += 1  # of the patch in row 1, column 2
    moved = np.abs(outputs(network, [images, *condition]) - velocity)
    assert np.all(moved[:, 4:, 8:].max(axis=(1, 2)) > 1e-3)
    moved[:, 4:, 8:] = 0
    patches = moved.reshape(3, 2, 4, 3, 4, 2).max(axis=(2, 4, 5))
    if attention in ("self", "uniform"):
        patches[:, 1, 2] = np.inf
        assert np.all(patches > 1e-5)
    else:
        assert not patches.any()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_each_patch_knows_its_place(attention):
    """All patches of an image of one color are alike but for their positions."""
    network = scrambled(build(attention))
    velocity = outputs(network, [np.ones((3, *SHAPE)), *batch()[1:]])
    patches = velocity.reshape(3, 2, 4, 3, 4, 2).transpose(1, 3, 0, 2, 4, 5)
    patches = patches.reshape(6, -1)
    for i, j in np.ndindex(6, 6):
        assert i == j or np.abs(patches[i] - patches[j]).max() > 1e-3


def test_controls_have_as_many_parameters():
    counts = {kind: build(kind, 16).count_params() for kind in ATTENTIONS}
    # Two blocks of 64 channels: the output's and the value's bias for those of four.
    assert counts["uniform"] == counts["residual"] == counts["self"] - 2 * 64
    # What attention adds: its weights, and the modulation of its input and output.
    assert counts["self"] - counts[None] == 2 * (4 + 3) * (64 * 64 + 64)


@pytest.mark.backend
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("attention", ["self", "uniform"])
def test_half_precision(attention, policy):
    exact = scrambled(build(attention))
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = build(attention)
    finally:
        keras.config.set_dtype_policy(previous)
    network.set_weights(exact.get_weights())
    found, expected = network(tensors(batch())), outputs(exact, batch())
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert {w.dtype for w in network.weights} == {"float32"}
    error = np.abs(numpy_of(found) - expected).max() / np.abs(expected).max()
    assert 0 < error < 0.1


@pytest.mark.backend
def test_save_and_load(tmp_path):
    network = scrambled(build())
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    found, expected = outputs(loaded, batch()), outputs(network, batch())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


# --- maps ---------------------------------------------------------------------


@pytest.mark.backend
@pytest.mark.parametrize("block", [0, 1])
def test_maps_by_loops(block):
    network = scrambled(build(width=16))  # two heads
    maps = dit.block_attention_map(network, block, tensors(batch()))
    assert maps.shape == (3, 2, 3, 2, 3)
    np.testing.assert_allclose(maps.sum(axis=(3, 4)), 1, atol=1e-5)
    # The attention reads the first normalization of its block.
    norm = of_type(network, dit.ModulatedLayerNormalization)[2 * block]
    tokens = outputs(keras.Model(network.inputs, norm.output), batch())
    weights = reference.projection_weights(network.get_layer(f"attention_{block}"))
    _, heads = reference.multi_head_attention(
        tokens, tokens, tokens, weights, 2, lambda *_: True
    )
    expected = np.zeros(maps.shape)
    for n, row, column, key_row, key_column in np.ndindex(maps.shape):
        pair = heads[n, :, 3 * row + column, 3 * key_row + key_column]
        expected[n, row, column, key_row, key_column] = pair.mean()
    np.testing.assert_allclose(maps, expected, atol=1e-4)


@pytest.mark.parametrize("block", [-1, 2])
def test_no_map_of_a_block_that_is_none(block):
    with pytest.raises(ValueError, match="from 0 to 1"):
        dit.block_attention_map(build(), block, tensors(batch()))
