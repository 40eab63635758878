"""What holds of every layer that is made of other layers."""

import checks
import keras
import numpy as np
import pytest

from tfattn.layers import (
    AttentionGate,
    ConditionalBatchNormalization,
    CouplingFlow,
    MultiHeadAttention,
    PatchEmbedding,
    PositionGate2D,
    ResidualBlock2D,
    SelfAttention2D,
    TransformerDecoderLayer,
    UniformAttention2D,
)

pytestmark = pytest.mark.backend

MAP = (2, 4, 6, 16)
# Each layer, its arguments, and the shapes of its inputs. Those made of Keras's Dense:
PLAIN = {
    "heads": (
        MultiHeadAttention,
        {"num_heads": 4, "key_dim": 8, "value_dim": 9},
        [(2, 3, 10), (2, 5, 7)],
    ),
    "self": (SelfAttention2D, {"spectral_norm": False, "use_bias": True}, [MAP]),
    "residual": (ResidualBlock2D, {}, [MAP]),
    "patches": (PatchEmbedding, {"patch_size": (2, 3), "width": 7}, [MAP]),
    "classes": (ConditionalBatchNormalization, {}, [MAP, (2, 3)]),
    "decoder": (
        TransformerDecoderLayer,
        {"num_heads": 2, "intermediate_dim": 12},
        [(2, 6, 8), (2, 5, 7)],
    ),
}
# of SpectralDense, which Keras does not quantize:
SPECTRAL = {
    "self, normalized": (SelfAttention2D, {}, [MAP]),
    "value, normalized": (
        SelfAttention2D,
        {"variant": "article", "spectral_norm": True},
        [MAP],
    ),
    "uniform, normalized": (UniformAttention2D, {"spectral_norm": True}, [MAP]),
}
# and the others:
OTHERS = {
    "gate": (AttentionGate, {"filters": 3}, [MAP]),
    "position gate": (PositionGate2D, {}, [MAP]),
    "flow": (CouplingFlow, {"num_layers": 2, "units": 11}, [(2, 7)]),
}
COMPOSED = {**PLAIN, **SPECTRAL, **OTHERS}


def composed(name, **kwargs):
    """A layer with random weights, a model of its first output, and inputs."""
    layer_class, arguments, shapes = COMPOSED[name]
    layer = layer_class(**arguments, **kwargs)
    inputs = [keras.Input(shape[1:]) for shape in shapes]
    y = layer(inputs) if name == "classes" else layer(*inputs)
    model = keras.Model(inputs, keras.tree.flatten(y)[0])
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    return layer, model, [checks.images(shape, i) for i, shape in enumerate(shapes)]


def test_parts_have_the_policy_of_the_layer():
    """Of the layer that `test_contract` leaves out, as it is called with two inputs."""
    layer, model, x = composed("heads", dtype="mixed_float16")
    for part in layer._flatten_layers():
        # Neither of these two computes anything.
        if not isinstance(part, (keras.Sequential, keras.layers.InputLayer)):
            assert part.dtype_policy.name == "mixed_float16", part.path
    assert keras.backend.standardize_dtype(model(x).dtype) == "float16"


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("dtype_policy", ["mixed_bfloat16"], indirect=True)
def test_in_float32_nothing_is_rounded(name, dtype_policy):
    """Such a layer in a half-precision model computes what it would outside."""
    layer, model, x = composed(name, dtype="float32")
    y = checks.numpy_of(model(x))
    keras.config.set_dtype_policy("float32")
    twin, model, _ = composed(name)
    twin.set_weights(layer.get_weights())
    np.testing.assert_allclose(checks.numpy_of(model(x)), y, atol=1e-6)


@pytest.mark.parametrize("name", [*PLAIN, *SPECTRAL])
def test_lora_trains_in_place_of_the_kernels(name):
    """LoRA changes no output before it is trained, and training moves no kernel."""
    layer, model, x = composed(name)
    before = checks.numpy_of(model(x))
    kernels = [v for v in layer.trainable_variables if len(v.shape) == 2]
    starts = [checks.numpy_of(kernel) for kernel in kernels]
    for part in layer._flatten_layers():
        if isinstance(part, keras.layers.Dense):
            part.enable_lora(2)
    np.testing.assert_allclose(checks.numpy_of(model(x)), before, atol=1e-6)
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    model.fit(x, before[::-1], verbose=0)
    for kernel, start in zip(kernels, starts, strict=True):
        np.testing.assert_array_equal(checks.numpy_of(kernel), start, kernel.path)
    # They start at 0.
    moved = [v for v in layer.trainable_variables if v.name == "lora_kernel_b"]
    assert len(moved) == len(kernels)
    for variable in moved:
        assert np.any(checks.numpy_of(variable)), variable.path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("name", PLAIN)
def test_quantized_kernels_give_nearly_the_same(name):
    layer, model, x = composed(name)
    before = checks.numpy_of(model(x))
    model.quantize("int8")
    kernels = [v for v in layer.variables if len(v.shape) == 2]
    assert kernels
    for kernel in kernels:
        assert keras.backend.standardize_dtype(kernel.dtype) == "int8", kernel.path
    difference = np.abs(checks.numpy_of(model(x)) - before).max()
    assert 0 < difference < 0.03 * np.abs(before).max()
