"""The kinds of attention that a model can have, by name."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import layers, ops

from tfattn._typing import Tensor
from tfattn.layers import (
    AttentionGate,
    PositionGate2D,
    ResidualBlock2D,
    SelfAttention2D,
    UniformAttention2D,
)


def attention_layer(
    kind: str | None, name: str, *, pool_size: int = 1, spectral_norm: bool = False
) -> layers.Layer:
    """The layer that a model has where it attends.

    Args:
        kind: `"self"` (`SelfAttention2D`), `"module"` (`PositionGate2D`), `"gate"`
            (`AttentionGate`), a control, `"residual"` (`ResidualBlock2D`) or
            `"uniform"` (`UniformAttention2D`), or `None` for the identity.
        name: Name of the layer.
        pool_size: Side of the max-pooling of the keys and values of `"self"`.
        spectral_norm: Whether the kernels of `"self"` and of the controls are divided
            by their spectral norm. It bounds a discriminator; a likelihood needs no
            such bound.
    """
    if kind == "self":
        return SelfAttention2D(
            pool_size=pool_size, spectral_norm=spectral_norm, name=name
        )
    if kind in ("residual", "uniform"):
        control = {"residual": ResidualBlock2D, "uniform": UniformAttention2D}[kind]
        return control(spectral_norm=spectral_norm, name=name)
    plain = {"module": PositionGate2D, "gate": AttentionGate, None: layers.Identity}
    return plain[kind](name=name)


def check_has_map(attention: str | None, kinds: Sequence[str]) -> None:
    """Raises ValueError unless a model's attention is of a kind that has the map."""
    if attention not in kinds:
        raise ValueError(
            f"Expected a model with attention in {list(kinds)} for this map. "
            f"Received: a model with attention={attention!r}"
        )


def attention_map(
    network: keras.Model, name: str, inputs: Sequence[Tensor]
) -> np.ndarray:
    """The map of the attention layer of this name, for a batch of inputs."""
    attention = network.get_layer(name)
    features = keras.Model(network.inputs, attention.input)(inputs)
    _, maps = attention(features, return_attention_scores=True)
    return ops.convert_to_numpy(maps)


def gammas(names: Mapping[keras.Model, str]) -> dict[str, float]:
    """γ of the attention layers that have one, by their networks' names.

    Args:
        names: The name of the attention layer of each network.
    """
    found = {network.name: network.get_layer(name) for network, name in names.items()}
    return {
        name: float(ops.convert_to_numpy(layer.gamma).squeeze())
        for name, layer in found.items()
        if hasattr(layer, "gamma")
    }
