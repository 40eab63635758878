"""Attention layers for Keras models."""

from tfattn.layers.attention_controls import ResidualBlock2D, UniformAttention2D
from tfattn.layers.attention_gate import AttentionGate
from tfattn.layers.attention_module import AttentionModule, PositionGate2D
from tfattn.layers.conditional_batch_norm import ConditionalBatchNormalization
from tfattn.layers.coupling_flow import CouplingFlow
from tfattn.layers.depth_to_space import DepthToSpace
from tfattn.layers.multi_head_attention import MultiHeadAttention
from tfattn.layers.patches import (
    PatchEmbedding,
    images_to_patches,
    patches_to_images,
)
from tfattn.layers.positional_encoding import PositionalEncoding
from tfattn.layers.self_attention_2d import SelfAttention2D
from tfattn.layers.spectral_layers import SpectralConv2D, SpectralDense
from tfattn.layers.spectral_norm import SpectralNorm
from tfattn.layers.transformer import (
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)

__all__ = [
    "AttentionGate",
    "AttentionModule",
    "ConditionalBatchNormalization",
    "CouplingFlow",
    "DepthToSpace",
    "MultiHeadAttention",
    "PatchEmbedding",
    "PositionGate2D",
    "PositionalEncoding",
    "ResidualBlock2D",
    "SelfAttention2D",
    "SpectralConv2D",
    "SpectralDense",
    "SpectralNorm",
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
    "UniformAttention2D",
    "images_to_patches",
    "patches_to_images",
]
