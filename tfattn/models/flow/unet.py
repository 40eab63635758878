"""The U-Net of `AttentionFlow`."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from tfattn._typing import Shape, Tensor
from tfattn.layers import DepthToSpace, MultiHeadAttention
from tfattn.layers.patches import images_to_patches
from tfattn.models.attention import attention_layer
from tfattn.models.flow.conditioning import (
    ModulatedNormalization,
    conditioning_vector,
    seen_by_network,
)
from tfattn.models.text_encoder import TextEncoder

PATCH_SIZE = (2, 2)
# Of the attention of words to each other, and of positions to words.
NUM_HEADS = 4


def build_unet(
    image_shape: tuple[int, int, int],
    num_classes: int | None,
    width: int,
    attention: str | None,
    name: str,
    pixels: tuple[float, float] | None = None,
    completes: bool = False,
    vocabulary: Sequence[str] | None = None,
    max_words: int | None = None,
) -> keras.Model:
    """Images, times and one-hot classes or words, if any, to velocities.

    A U-Net on 2×2 patches: blocks at (h/2, w/2), blocks with attention at (h/4, w/4),
    and blocks at (h/2, w/2) again, which also see what the first ones gave. The last
    layer starts at zero. A class of zeros only stands for no class. With `pixels` it
    also sees waves of each pixel, see `seen_by_network`. With `completes` its last
    input is what is visible (n, h, w, c + 1), see `visible_part`.

    Words are integers (n, max_words), see `TextEncoder`; zeros only stand for no text.
    A learned null vector stands before the encoded words. The mean of these vectors
    changes the vector of the time, as a class does, and each position at (h/4, w/4)
    attends to them. Without words only the null vector is left.

    Source: Saharia et al., *Imagen*, arXiv:2205.11487, section 2.5 (both ways).
    """
    inputs = [keras.Input(image_shape), keras.Input(())]
    condition, words, mask = [], None, None
    if num_classes:
        condition = [keras.Input((num_classes,))]
        inputs += condition
    if vocabulary is not None and max_words is not None:
        text_encoder = TextEncoder(
            vocabulary, max_words, 2 * width, NUM_HEADS, name="text_encoder"
        )
        inputs.append(keras.Input((max_words,), dtype="int32"))
        words, mask = NullFirst()(*text_encoder(inputs[2]))
        condition = [layers.GlobalAveragePooling1D()(words, mask=mask)]
    vector = conditioning_vector([inputs[1], *condition], 4 * width)

    x = seen_by_network(inputs, pixels, completes)
    x = _Patches(dtype="float32")(x)
    x = layers.Conv2D(width, 3, padding="same")(x)
    fine = x = _block(x, vector, width)
    x = layers.Conv2D(2 * width, 3, strides=2, padding="same")(x)
    x = _block(x, vector, 2 * width)
    x = attention_layer(attention, "attention")(x)
    if words is not None:
        x = _with_words(x, words, mask)
    x = _block(x, vector, 2 * width)
    x = layers.UpSampling2D()(x)
    x = layers.Concatenate()([x, fine])
    x = _block(x, vector, width)
    x = _block(x, vector, width)
    x = layers.Activation("silu")(ModulatedNormalization()(x, vector))
    last = layers.Conv2D(
        math.prod(PATCH_SIZE) * image_shape[-1],
        3,
        padding="same",
        kernel_initializer="zeros",
        dtype="float32",
        name="velocity",
    )
    return keras.Model(inputs, DepthToSpace(dtype="float32")(last(x)), name=name)


def _block(x, vector, channels):
    """x + conv(silu(norm(conv(silu(norm(x)))))), the last convolution from zero."""
    y = layers.Activation("silu")(ModulatedNormalization()(x, vector))
    y = layers.Conv2D(channels, 3, padding="same")(y)
    y = layers.Activation("silu")(ModulatedNormalization()(y, vector))
    y = layers.Conv2D(channels, 3, padding="same", kernel_initializer="zeros")(y)
    if x.shape[-1] != channels:
        x = layers.Conv2D(channels, 1)(x)
    return layers.Add()([x, y])


def _with_words(x, words, mask):
    """x + the attention of its positions, normalized, to words; from zero."""
    h, w, c = x.shape[1:]
    query = layers.Reshape((h * w, c))(layers.GroupNormalization(8)(x))
    attention = MultiHeadAttention(NUM_HEADS, c // NUM_HEADS, name="word_attention")
    y = attention(query, words, value_mask=mask)
    attention.output_dense.kernel.assign(ops.zeros((c, c)))
    return layers.Add()([x, layers.Reshape((h, w, c))(y)])


@keras.saving.register_keras_serializable(package="tfattn")
class NullFirst(layers.Layer):
    """Puts a learned vector before those of words, which stands for no word.

    Call arguments:
        words: Tensor (n, m, channels).
        mask: Boolean (n, m), `False` for no word.

    Output:
        Tensor (n, 1 + m, channels), and its mask (n, 1 + m).
    """

    def compute_mask(self, *arguments: Any) -> None:
        """None, as the mask is an output."""

    def build(self, words_shape: Shape) -> None:
        self.null = self.add_weight(
            shape=words_shape[-1:], initializer="zeros", name="null"
        )

    def call(self, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        null = ops.zeros_like(words[:, :1]) + self.null
        always = ops.ones_like(mask[:, :1])
        return (
            ops.concatenate([null, words], axis=1),
            ops.concatenate([always, mask], axis=1),
        )


@keras.saving.register_keras_serializable(package="tfattn")
class _Patches(layers.Layer):
    """`images_to_patches` as a layer."""

    def call(self, x):
        return images_to_patches(x, PATCH_SIZE)
