"""What Keras's own tests ask of every layer, asked of all of ours.

Keras builds the layer from its configuration, compares symbolic with real outputs,
trains it, and runs it under mixed policies.
"""

import keras
import numpy as np
import pytest
from keras.src import testing

from tfattn import layers

MAP, WORDS = (2, 4, 6, 16), (2, 5, 8)
CASES = {
    "module": (layers.AttentionModule, {}, MAP),
    "module over positions": (layers.AttentionModule, {"axis": (1, 2)}, MAP),
    "position gate": (layers.PositionGate2D, {}, MAP),
    "gate": (layers.AttentionGate, {"kernel_size": 3}, MAP),
    "gate, hidden": (layers.AttentionGate, {"filters": 3}, MAP),
    "residual": (layers.ResidualBlock2D, {}, MAP),
    "uniform": (layers.UniformAttention2D, {}, MAP),
    "uniform, normalized": (layers.UniformAttention2D, {"spectral_norm": True}, MAP),
    "self": (layers.SelfAttention2D, {}, MAP),
    "self, paper": (layers.SelfAttention2D, {"variant": "paper"}, MAP),
    "self, article": (layers.SelfAttention2D, {"variant": "article"}, MAP),
    "self, biased": (layers.SelfAttention2D, {"use_bias": True}, MAP),
    "self, chunked": (layers.SelfAttention2D, {"chunk_size": 5}, MAP),
    "self, channels first": (
        layers.SelfAttention2D,
        {"data_format": "channels_first", "spectral_norm": False},
        (2, 16, 4, 6),
    ),
    "convolution": (layers.SpectralConv2D, {"filters": 3, "kernel_size": 3}, MAP),
    "dense": (layers.SpectralDense, {"units": 3}, MAP),
    "norm": (layers.SpectralNorm, {}, (5, 3)),
    "classes": (layers.ConditionalBatchNormalization, {}, [MAP, (2, 3)]),
    "depth to space": (layers.DepthToSpace, {}, MAP),
    "patches": (layers.PatchEmbedding, {"patch_size": (2, 3), "width": 7}, MAP),
    "positions": (layers.PositionalEncoding, {}, WORDS),
    "waves": (layers.PositionalEncoding, {"kind": "sinusoidal"}, MAP),
    "encoder": (
        layers.TransformerEncoderLayer,
        {"num_heads": 2, "intermediate_dim": 12, "dropout": 0.1},
        WORDS,
    ),
    "decoder": (
        layers.TransformerDecoderLayer,
        {"num_heads": 2, "intermediate_dim": 12},
        WORDS,
    ),
    "flow": (layers.CouplingFlow, {"num_layers": 2, "units": 11}, (3, 7)),
}
# Their calls take more than Keras's test gives.
ELSEWHERE = {layers.MultiHeadAttention}


def test_no_layer_is_missing():
    classes = {
        found
        for found in vars(layers).values()
        if isinstance(found, type) and issubclass(found, keras.layers.Layer)
    }
    assert classes == {layer for layer, _, _ in CASES.values()} | ELSEWHERE


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.parametrize("name", CASES)
def test_contract(name):
    layer, arguments, shape = CASES[name]
    test = testing.TestCase()
    test.setUp()
    test.run_layer_test(
        layer,
        arguments,
        input_shape=shape,
        # Keras's test can train no layer of two inputs or of two outputs.
        run_training_check=not isinstance(shape, list)
        and layer is not layers.CouplingFlow,
    )


@pytest.mark.backend
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("name", CASES)
def test_own_policy_reaches_all_parts(name, policy):
    """A layer computes as its own policy says, whatever the global one is."""
    layer, arguments, shape = CASES[name]
    shapes = shape if isinstance(shape, list) else [shape]
    x = [np.random.default_rng(0).random(s).astype("float32") for s in shapes]
    x = x if len(x) > 1 else x[0]
    opposite = "float32" if policy != "float32" else "mixed_bfloat16"
    keras.config.set_dtype_policy(opposite)
    try:
        made = layer(**arguments, dtype=policy)
        outputs = keras.tree.flatten(made(x))
        for part in made._flatten_layers():
            if isinstance(part, keras.Model | keras.layers.InputLayer):
                continue  # passes on what it gets, whatever its policy
            assert part.compute_dtype == made.compute_dtype, part.path
    finally:
        keras.config.set_dtype_policy("float32")
    expected = keras.dtype_policies.get(policy).compute_dtype
    assert keras.backend.standardize_dtype(outputs[0].dtype) == expected
    for output in outputs:
        assert np.all(np.isfinite(keras.ops.convert_to_numpy(output)))
