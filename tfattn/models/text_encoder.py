"""Texts to the vectors that a network of images attends to."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from tfattn._typing import Tensor
from tfattn.layers import PositionalEncoding, TransformerEncoderLayer
from tfattn.models.tokenizer import NO_WORD, WordTokenizer


@keras.saving.register_keras_serializable(package="tfattn")
class TextEncoder(layers.Layer):
    """Vectors of words and of their positions, through two encoder layers.

    Args:
        vocabulary, max_words: As for `WordTokenizer`.
        width: Channels of a word's vector.
        num_heads: Number of heads of the encoder layers.
        dropout: As in `TransformerEncoderLayer`.

    Attributes:
        tokenizer: `WordTokenizer` of the texts.

    Call arguments:
        words: Integers (n, max_words) as the tokenizer returns them, 0 for no word.
        training: Whether dropout is on.

    Output:
        Tensor (n, max_words, width), and its mask (n, max_words), `False` for no word.

    Raises:
        ValueError: As for `WordTokenizer`, or for sizes below 1.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        max_words: int,
        width: int,
        num_heads: int,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tokenizer = WordTokenizer(vocabulary, max_words)
        self.width = width
        self.num_heads = num_heads
        self.dropout = dropout
        policy = {"dtype": self.dtype_policy}
        self.embedding = layers.Embedding(self.tokenizer.num_values, width, **policy)
        self.positions = PositionalEncoding(**policy)
        self.encoder_layers = [
            TransformerEncoderLayer(num_heads, 4 * width, dropout, **policy)
            for _ in range(2)
        ]
        self.norm = layers.LayerNormalization(epsilon=1e-5, **policy)

    def build(self, input_shape: Any) -> None:
        shape = (None, self.tokenizer.max_words, self.width)
        self.embedding.build()
        for layer in (self.positions, *self.encoder_layers, self.norm):
            layer.build(shape)

    def call(
        self, words: Tensor, training: bool | None = None
    ) -> tuple[Tensor, Tensor]:
        mask = ops.not_equal(words, NO_WORD)
        x = self.positions(self.embedding(words))
        for layer in self.encoder_layers:
            x = layer(x, mask=mask, training=training)
        return self.norm(x), mask

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary": self.tokenizer.vocabulary,
            "max_words": self.tokenizer.max_words,
            "width": self.width,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }
