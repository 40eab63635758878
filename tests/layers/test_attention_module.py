import checks
import keras
import numpy as np
import pytest
import reference

from tfattn.layers import AttentionModule, PositionGate2D

pytestmark = pytest.mark.backend


def built(axis, shape):
    layer = AttentionModule(axis)
    layer.build(shape)
    weight = np.linspace(-2, 3, shape[-1])
    layer.weight.assign(weight)
    return layer, weight


def test_by_hand():
    """w = (1, 2), x = (ln 2, ln 3): exp(w·x) = (2, 9), so (2/11, 9/11)."""
    layer = AttentionModule()
    layer.build((None, 2))
    layer.weight.assign([1.0, 2.0])
    y = layer(np.log([[2.0, 3.0]]).astype("float32"))
    np.testing.assert_allclose(checks.numpy_of(y), [[2 / 11, 9 / 11]], rtol=1e-6)


@pytest.mark.parametrize(
    ("axis", "axes"), [(-1, {3}), (1, {1}), ((1, 2), {1, 2}), ((1, -1), {1, 3})]
)
@pytest.mark.parametrize("masked", [False, True])
def test_equals_loops(axis, axes, masked):
    x = checks.images((2, 3, 5, 4))
    layer, weight = built(axis, x.shape)
    mask = np.random.default_rng(1).random(x.shape) < 0.5 if masked else None
    expected = reference.attention_module(x, weight, axes, mask)
    y = checks.numpy_of(layer(x, mask=mask))
    np.testing.assert_allclose(y, expected, atol=1e-6)
    if not masked:
        np.testing.assert_allclose(y.sum(axis=tuple(axes)), 1, rtol=1e-5)


@pytest.mark.parametrize("num_axes", [1, 2, 3, 4])
def test_a_mask_of_the_leading_axes(num_axes):
    """Over a row, its pixels and its channels: as if each entry had its own."""
    layer, _ = built((1, 2, 3), (2, 3, 5, 7))
    x = checks.images((2, 3, 5, 7))
    mask = np.random.default_rng(0).random(x.shape[:num_axes]) < 0.6
    whole = np.broadcast_to(mask.reshape(*mask.shape, *[1] * (4 - num_axes)), x.shape)
    np.testing.assert_array_equal(
        checks.numpy_of(layer(x, mask=mask)), checks.numpy_of(layer(x, mask=whole))
    )


def test_mask_from_keras_masks_steps():
    """The (batch, steps) mask of an Embedding reaches the softmax and what follows."""
    tokens = np.array([[3, 1, 0, 0], [2, 0, 0, 0]])
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(tokens)
    y = AttentionModule(axis=1)(embedded)
    np.testing.assert_array_equal(checks.numpy_of(y._keras_mask), tokens != 0)
    y = checks.numpy_of(y)
    assert np.all(y[0, 2:] == 0) and np.all(y[1, 1:] == 0)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)


def test_nothing_admitted_gives_zeros():
    layer, _ = built((1, 2), (2, 3, 5, 4))
    mask = np.zeros((2, 3, 5), bool)
    mask[1, 0, 0] = True
    y = checks.numpy_of(layer(checks.images((2, 3, 5, 4)), mask=mask))
    assert np.all(y[0] == 0)
    np.testing.assert_array_equal(y[1, 0, 0], 1)


@pytest.mark.parametrize("dtype_policy", ["mixed_float16"], indirect=True)
def test_half_precision_does_not_overflow(dtype_policy):
    layer = AttentionModule(weight_initializer=keras.initializers.Constant(1000.0))
    y = layer(np.array([[100.0, 99.0, -100.0]], "float32"))
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    np.testing.assert_array_equal(checks.numpy_of(y), [[1, 0, 0]])


@pytest.mark.parametrize("axis", [-1, (1, 2)])
def test_save_and_load_without_custom_objects(axis, tmp_path):
    inputs = keras.Input((3, 5, 4))
    model = keras.Model(inputs, AttentionModule(axis, name="a")(inputs))
    model.get_layer("a").weight.assign([1.0, -2.0, 0.5, 3.0])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = checks.images((2, 3, 5, 4))
    np.testing.assert_array_equal(checks.numpy_of(loaded(x)), checks.numpy_of(model(x)))


def test_unknown_sizes():
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, AttentionModule((1, 2))(inputs))
    y = model.predict(checks.images((2, 3, 5, 4)), verbose=0)
    np.testing.assert_allclose(y.sum(axis=(1, 2)), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("axis", "shape", "words"),
    [
        (0, (2, 3), "batch axis 0 not among them.*axis=0"),
        (2, (2, 3), "different axes.*axis=2"),
        (5, (2, 3), "different axes.*axis=5"),
        (-7, (2, 3), "different axes.*axis=-7"),
        ((1, -1), (2, 3), "different axes"),
        (-1, (2, None), "must be known"),
    ],
)
def test_bad_axes(axis, shape, words):
    with pytest.raises(ValueError, match=words):
        AttentionModule(axis).build(shape)


def test_bad_calls():
    with pytest.raises(ValueError, match=r"integer or a tuple.*'last'"):
        AttentionModule("last")
    layer, _ = built(-1, (2, 3, 5, 4))
    with pytest.raises(ValueError, match=r"leading axes.*\(2, 5\)"):
        layer(checks.images((2, 3, 5, 4)), mask=np.ones((2, 5), bool))
    with pytest.raises(ValueError, match=r"axis .* value 4"):
        layer(checks.images((2, 3, 5, 6)))


def test_gate_by_definition():
    """y = x + γ·(n·a − 1)·x with n = 15 positions."""
    x = checks.images((2, 3, 5, 4))
    gate = PositionGate2D()
    np.testing.assert_array_equal(checks.numpy_of(gate(x)), x)
    gate.gamma.assign(0.7)
    y, weights = gate(x, return_attention_scores=True, sharpness=2.0, strength=0.5)
    expected = reference.attention_module(x, np.full(4, 2.0), {1, 2})
    np.testing.assert_allclose(checks.numpy_of(weights), expected, atol=1e-6)
    np.testing.assert_allclose(
        checks.numpy_of(y), x + 0.35 * (15 * expected - 1) * x, atol=1e-5
    )
    mask = np.zeros((3, 5), bool)
    mask[1, 2] = True
    _, weights = gate(x, return_attention_scores=True, key_mask=mask)
    np.testing.assert_array_equal(checks.numpy_of(weights)[:, 1, 2], 1)
    mask = np.stack([mask, np.roll(mask, 1)])  # one for each image
    _, weights = gate(x, return_attention_scores=True, key_mask=mask)
    weights = checks.numpy_of(weights)
    np.testing.assert_array_equal(weights, np.repeat(mask[..., None], 4, axis=-1))
    with pytest.raises(ValueError, match=r"key_mask.*\(2,\)"):
        gate(x, key_mask=np.ones(2, bool))
    with pytest.raises(ValueError, match="4-dimensional"):
        PositionGate2D().build((2, 3, 4))
