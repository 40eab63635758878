"""What layers of images have in common: which shapes they take."""

import checks
import keras
import pytest

from tfattn.layers import (
    AttentionGate,
    PositionGate2D,
    ResidualBlock2D,
    SelfAttention2D,
    UniformAttention2D,
)

pytestmark = pytest.mark.backend

LAYERS = (
    AttentionGate,
    PositionGate2D,
    ResidualBlock2D,
    SelfAttention2D,
    UniformAttention2D,
)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shape", [(3, 5, 16), (2, 3, 5, 16, 7), (2, 3, 5, None)])
def test_other_shapes_are_refused(layer, shape):
    with pytest.raises(ValueError, match=r"input_shape=\("):
        layer().build(shape)


@pytest.mark.parametrize("layer", LAYERS)
def test_heights_and_widths_may_be_unknown(layer):
    """And without being asked for, the map is not returned."""
    y = layer()(keras.Input((None, None, 16)))
    assert tuple(y.shape) == (None, None, None, 16)
    made = layer()
    for shape in ((2, 3, 5, 16), (1, 6, 4, 16)):
        assert tuple(made(checks.images(shape)).shape) == shape


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (AttentionGate, (None, None, None, 1)),
        (PositionGate2D, (None, None, None, 16)),
    ],
)
def test_the_map_has_a_known_shape_if_asked_for(layer, shape):
    inputs = keras.Input((None, None, 16))
    y, weights = layer()(inputs, return_attention_scores=True)
    assert tuple(y.shape) == (None, None, None, 16) and tuple(weights.shape) == shape


@pytest.mark.parametrize("control", [ResidualBlock2D, UniformAttention2D])
@pytest.mark.parametrize(("channels", "hidden"), [(1, 1), (3, 1), (4, 2), (16, 10)])
def test_controls_have_five_eighths_of_the_channels_inside(control, channels, hidden):
    layer = control()
    layer.build((None, 3, 5, channels))
    shapes = [tuple(w.shape) for w in layer.trainable_variables]
    assert shapes == [(), (channels, hidden), (hidden, channels)]
