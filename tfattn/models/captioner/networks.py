"""The network of `ImageCaptioner` that writes words."""

from typing import Any

import numpy as np
from keras import layers, ops

from tfattn._checks import check_integer
from tfattn._typing import Tensor
from tfattn.densities import IMPOSSIBLE
from tfattn.layers import PositionalEncoding, TransformerDecoderLayer
from tfattn.models.tokenizer import FIRST_WORD, NO_WORD, START


class WordDecoder(layers.Layer):
    """Decoder layers over the words of a text, to the logits of each word.

    The logits at position j predict word j from the words before it. A text has at
    least one word; its end, `NO_WORD`, is followed by `NO_WORD` alone.

    Args:
        num_values: Number of values of a word, see `WordTokenizer`.
        max_words: Largest number of words in a text.
        num_layers: Number of decoder layers.
        num_heads: Number of heads; divides the width.
        width: Channels of a word's vector.
        dropout: As in `TransformerDecoderLayer`.

    Call arguments:
        words: Integers (n, max_words), see `WordTokenizer`.
        context: Tensor (n, m, width).
        read: Words (n, max_words) that the network reads in the place of `words`.
        training: Whether dropout is on.

    Output:
        Logits (n, max_words, num_values) in float32.

    Raises:
        ValueError: For sizes below 1, or a width that the heads do not divide.
    """

    def __init__(
        self,
        num_values: int,
        max_words: int,
        num_layers: int,
        num_heads: int,
        width: int,
        dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_words = max_words
        self.width = width
        self.embedding = layers.Embedding(num_values, width)
        self.positions = PositionalEncoding()
        self.decoder_layers = [
            TransformerDecoderLayer(num_heads, 4 * width, dropout)
            for _ in range(check_integer("num_layers", num_layers, least=1))
        ]
        self.norm = layers.LayerNormalization(epsilon=1e-5)
        # Densities are sums of logarithms: never in half precision.
        self.head = layers.Dense(num_values, dtype="float32")
        # Which values may follow each value.
        allowed = np.ones((num_values, num_values), bool)
        allowed[:, START] = False
        allowed[START, NO_WORD] = False
        allowed[NO_WORD, FIRST_WORD:] = False
        self.allowed = allowed

    def build(self, words_shape: Any, context_shape: Any) -> None:
        shape = (None, self.max_words, self.width)
        self.embedding.build()
        self.positions.build(shape)
        for layer in self.decoder_layers:
            layer.build(shape, context_shape)
        self.norm.build(shape)
        self.head.build(shape)

    def call(
        self,
        words: Tensor,
        context: Tensor,
        read: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        before = _words_before(words)
        read_before = before if read is None else _words_before(read)
        x = self.positions(self.embedding(read_before))
        for layer in self.decoder_layers:
            x = layer(x, context, training=training)
        logits = self.head(self.norm(x))
        return ops.where(ops.take(self.allowed, before, axis=0), logits, IMPOSSIBLE)

    def attention_maps(self, words: Tensor, context: Tensor) -> Tensor:
        """Which parts of the context the prediction of each word attends to.

        Returns:
            Tensor (n, layers, heads, max_words, m), whose last axis sums to 1.
        """
        x = self.positions(self.embedding(_words_before(words)))
        maps = []
        for layer in self.decoder_layers:
            x, _, of_context = layer(x, context, return_attention_scores=True)
            maps.append(of_context)
        return ops.stack(maps, axis=1)


def _words_before(words):
    """The value before each word, `START` before the first: like words."""
    return ops.pad(words[:, :-1], ((0, 0), (1, 0)), constant_values=START)
