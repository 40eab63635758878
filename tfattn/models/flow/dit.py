"""The diffusion Transformer (DiT) of `AttentionFlow`."""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from tfattn._typing import Shape, Tensor
from tfattn.layers import (
    DepthToSpace,
    MultiHeadAttention,
    PatchEmbedding,
    PositionalEncoding,
)
from tfattn.models.flow.conditioning import conditioning_vector, seen_by_network

PATCH_SIZE = (4, 4)
# Number of blocks, and channels of each attention head.
DEPTH, HEAD_CHANNELS = 6, 32


def build_dit(
    image_shape: tuple[int, int, int],
    num_classes: int | None,
    width: int,
    attention: str | None,
    name: str,
    pixels: tuple[float, float] | None = None,
    completes: bool = False,
) -> keras.Model:
    """Images, times and one-hot classes, if any, to velocities.

    A Transformer on 4×4 patches. In all its blocks the vector of time and class scales
    and shifts what the layers read, and gates what they add. At the start all gates
    are 0, so that each block is the identity, and the last layer starts at zero as
    well. A class of zeros only stands for no class.

    A patch is 2×2 positions at (h/2, w/2), where `build_unet` has `width` channels:
    here the token of a patch has 4·`width`, and the vector too. The attention layer of
    block i, from 0 on, is named `attention_{i}`.

    Source: Peebles & Xie, *Scalable Diffusion Models with Transformers*,
    arXiv:2212.09748, section 3.2 (the adaLN-Zero block).

    Args:
        image_shape: (h, w, c), h and w divisible by 4.
        num_classes: Number of classes, or `None` for no class condition.
        width: A quarter of a token's channels, divisible by 8.
        attention: `"self"` (`MultiHeadAttention`, its heads of 32 channels), or a
            control of as many parameters (but for one bias): `"uniform"`, where each
            token gets the mean of all values, and `"residual"`, where it gets its own
            alone. With `None` the blocks have their feed-forward part alone.
        name: The model's name.
        pixels: Mean and deviation of the pixels whose waves it also sees, see
            `seen_by_network`, or `None`.
        completes: Whether it also sees what is visible, see `visible_part`.

    Returns:
        Model of images (n, h, w, c), times (n,), with classes one-hot vectors
        (n, num_classes), and with `completes` what is visible (n, h, w, c + 1), whose
        output is float32 (n, h, w, c).
    """
    h, w, c = image_shape
    rows, columns = h // PATCH_SIZE[0], w // PATCH_SIZE[1]
    channels = math.prod(PATCH_SIZE) * c
    inputs = [keras.Input(image_shape), keras.Input(())]
    if num_classes:
        inputs.append(keras.Input((num_classes,)))
    vector = conditioning_vector(inputs[1:], 4 * width)

    x = seen_by_network(inputs, pixels, completes)
    x = PatchEmbedding(PATCH_SIZE, 4 * width)(x)
    x = PositionalEncoding("sinusoidal")(x)
    x = layers.Reshape((rows * columns, 4 * width))(x)
    for i in range(DEPTH):
        x = _block(x, vector, attention, f"attention_{i}")
    x = ModulatedLayerNormalization()(x, vector)
    last = layers.Dense(
        channels, kernel_initializer="zeros", dtype="float32", name="velocity"
    )
    x = layers.Reshape((rows, columns, channels), dtype="float32")(last(x))
    for _ in range(2):  # 4×4 pixels
        x = DepthToSpace(dtype="float32")(x)
    return keras.Model(inputs, x, name=name)


def _block(x, vector, attention, name):
    """y = x + g₁·attention(norm₁(x)), then y + g₂·W_2·relu(W_1·norm₂(y))²."""
    channels = x.shape[-1]
    if attention is not None:
        y = ModulatedLayerNormalization()(x, vector)
        x = GatedSum()(x, _attended(y, attention, name), vector)
    y = ModulatedLayerNormalization()(x, vector)
    y = layers.Dense(4 * channels, activation="relu")(y)
    y = layers.Dense(channels)(layers.Multiply()([y, y]))
    return GatedSum()(x, y, vector)


def _attended(x, attention, name):
    """What the tokens get from each other, or in the controls instead."""
    channels = x.shape[-1]
    if attention == "self":
        heads = channels // HEAD_CHANNELS
        return MultiHeadAttention(heads, HEAD_CHANNELS, name=name)(x, x)
    # Two matrices, twice as large as the four of attention.
    activation = "silu" if attention == "residual" else None
    x = layers.Dense(2 * channels, activation=activation)(x)
    if attention == "uniform":
        x = layers.GlobalAveragePooling1D(keepdims=True)(x)
    return layers.Dense(channels, name=name)(x)


def block_attention_map(
    network: keras.Model, block: int, inputs: Sequence[Tensor]
) -> np.ndarray:
    """The attention map of one block, averaged over its heads.

    Args:
        network: A model of `build_dit` with `attention="self"`.
        block: Number of the block, from 0 on.
        inputs: The network's inputs, as tensors.

    Returns:
        NumPy array (n, h/4, w/4, h/4, w/4), whose last two axes sum to 1.

    Raises:
        ValueError: For a block that the network does not have.
    """
    if block not in range(DEPTH):
        raise ValueError(
            f"Expected `block` from 0 to {DEPTH - 1}. Received: block={block!r}"
        )
    attention = network.get_layer(f"attention_{block}")
    tokens = keras.Model(network.inputs, attention.input[0])(inputs)
    _, maps = attention(tokens, tokens, return_attention_scores=True)
    _, h, w, _ = network.output.shape
    grid = (h // PATCH_SIZE[0], w // PATCH_SIZE[1])
    return ops.convert_to_numpy(ops.reshape(ops.mean(maps, axis=1), (-1, *grid, *grid)))


def _modulation(channels, vector_shape, policy):
    """An affine map of the vector, which starts at zero."""
    modulation = layers.Dense(channels, kernel_initializer="zeros", dtype=policy)
    modulation.build(vector_shape)
    return modulation


@keras.saving.register_keras_serializable(package="tfattn")
class ModulatedLayerNormalization(layers.Layer):
    """Normalizes each token, then scales and shifts its channels by a vector.

    1. x̂ = layer normalization of x, without weights of its own
    2. (s, b) = an affine map of the vector, which starts at zero
    3. y = x̂ · (1 + s) + b

    Source: Peebles & Xie, arXiv:2212.09748, section 3.2 (adaptive layer normalization).

    Call arguments:
        x: Tensor (n, tokens, c).
        vector: Tensor (n, d).

    Output:
        Tensor (n, tokens, c).
    """

    def build(self, x_shape: Shape, vector_shape: Shape) -> None:
        self.normalize = layers.LayerNormalization(
            epsilon=1e-5, center=False, scale=False, dtype=self.dtype_policy
        )
        self.normalize.build(x_shape)
        self.modulation = _modulation(2 * x_shape[-1], vector_shape, self.dtype_policy)

    def call(self, x: Tensor, vector: Tensor) -> Tensor:
        scale, shift = ops.split(self.modulation(vector)[:, None], 2, axis=-1)
        return self.normalize(x) * (1 + scale) + shift

    def compute_output_shape(self, x_shape: Shape, vector_shape: Shape) -> Shape:
        return tuple(x_shape)


@keras.saving.register_keras_serializable(package="tfattn")
class GatedSum(layers.Layer):
    """x + g·y, where the gates g are an affine map of a vector, which starts at zero.

    Source: Peebles & Xie, arXiv:2212.09748, section 3.2 (their α is our g).

    Call arguments:
        x: Tensor (n, tokens, c).
        y: Tensor (n, tokens, c), or (n, 1, c) to add the same to all tokens.
        vector: Tensor (n, d).

    Output:
        Tensor (n, tokens, c).
    """

    def build(self, x_shape: Shape, y_shape: Shape, vector_shape: Shape) -> None:
        self.modulation = _modulation(x_shape[-1], vector_shape, self.dtype_policy)

    def call(self, x: Tensor, y: Tensor, vector: Tensor) -> Tensor:
        return x + self.modulation(vector)[:, None] * y

    def compute_output_shape(
        self, x_shape: Shape, y_shape: Shape, vector_shape: Shape
    ) -> Shape:
        return tuple(x_shape)
