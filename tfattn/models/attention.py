"""The kinds of attention that a model can have, by name."""

from collections.abc import Sequence

from keras import layers

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


def check_attention(attention: str | None, kinds: Sequence[str | None]) -> None:
    """Raises ValueError unless a model has this kind of attention."""
    if attention not in kinds:
        raise ValueError(
            f"Expected attention in {list(kinds)}. Received: attention={attention!r}"
        )
