"""Words to the vectors that a decoder attends to."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from keras import layers, ops

from tfattn._checks import check_integer
from tfattn._typing import Tensor
from tfattn.layers import PositionalEncoding, TransformerEncoderLayer


class TextEncoder(layers.Layer):
    """Vectors of words and of their positions, through two encoder layers.

    Args:
        vocabulary: The words that a text may hold.
        max_words: Largest number of words in a text.
        width: Channels of a word's vector.
        num_heads: Number of heads of the encoder layers.
        dropout: As in `TransformerEncoderLayer`.

    Call arguments:
        words: Integers (n, max_words) as `tokenize` returns them, 0 for no word.
        training: Whether dropout is on.

    Output:
        Tensor (n, max_words, width), and its mask (n, max_words), `False` for no word.

    Raises:
        ValueError: For an empty vocabulary or one with equal words, or sizes below 1.
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
        max_words = check_integer("max_words", max_words, least=1)
        if not vocabulary or len(set(vocabulary)) != len(vocabulary):
            raise ValueError(
                "Expected a vocabulary of different words. "
                f"Received: vocabulary={vocabulary!r}"
            )
        self.vocabulary = tuple(vocabulary)
        self.max_words = max_words
        self.width = width
        self.num_heads = num_heads
        self.dropout = dropout
        policy = {"dtype": self.dtype_policy}
        # Number 0 is no word, number 1 no word of the vocabulary.
        self.embedding = layers.Embedding(len(vocabulary) + 2, width, **policy)
        self.positions = PositionalEncoding(**policy)
        self.encoder_layers = [
            TransformerEncoderLayer(num_heads, 4 * width, dropout, **policy)
            for _ in range(2)
        ]
        self.norm = layers.LayerNormalization(epsilon=1e-5, **policy)

    def build(self, input_shape: Any) -> None:
        shape = (None, self.max_words, self.width)
        self.embedding.build()
        for layer in (self.positions, *self.encoder_layers, self.norm):
            layer.build(shape)

    def call(
        self, words: Tensor, training: bool | None = None
    ) -> tuple[Tensor, Tensor]:
        mask = ops.not_equal(words, 0)
        x = self.positions(self.embedding(words))
        for layer in self.encoder_layers:
            x = layer(x, mask=mask, training=training)
        return self.norm(x), mask

    def tokenize(self, texts: Iterable[Any]) -> np.ndarray:
        """Texts (n) as numbers of their words: NumPy array (n, max_words) of int32.

        Case and punctuation are ignored.

        Raises:
            ValueError: For a text without words, with too many, or with one that is
                not in the vocabulary.
        """
        # TensorFlow's strings are bytes.
        texts = [t.decode() if isinstance(t, bytes) else str(t) for t in texts]
        words = ops.convert_to_numpy(_splitting(self.vocabulary)(texts)).astype("int32")
        for text, numbers in zip(texts, words, strict=True):
            if not 1 <= np.sum(numbers != 0) <= self.max_words or np.any(numbers == 1):
                raise ValueError(
                    f"Expected texts of 1 to {self.max_words} words of "
                    f"{list(self.vocabulary)}. Received: {text!r}"
                )
        words = words[:, : self.max_words]
        return np.pad(words, ((0, 0), (0, self.max_words - words.shape[1])))


@functools.lru_cache
def _splitting(vocabulary):
    """The layer that makes numbers of texts, which takes long to build."""
    return layers.TextVectorization(vocabulary=list(vocabulary))
