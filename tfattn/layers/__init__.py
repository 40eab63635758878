"""Attention layers for Keras models."""

from tfattn.layers.attention_controls import ResidualBlock2D, UniformAttention2D
from tfattn.layers.attention_module import AttentionModule, PositionGate2D
from tfattn.layers.coupling_flow import CouplingFlow
from tfattn.layers.depth_to_space import DepthToSpace
from tfattn.layers.self_attention_2d import SelfAttention2D
from tfattn.layers.spectral_norm import SpectralNorm

__all__ = [
    "AttentionModule",
    "CouplingFlow",
    "DepthToSpace",
    "PositionGate2D",
    "ResidualBlock2D",
    "SelfAttention2D",
    "SpectralNorm",
    "UniformAttention2D",
]
