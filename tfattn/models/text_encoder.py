"""Texts to the vectors that a network of images attends to."""

import string
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfattn._checks import check_integer
from tfattn._typing import Tensor
from tfattn.layers import PositionalEncoding, TransformerEncoderLayer


@keras.saving.register_keras_serializable(package="tfattn")
class TextEncoder(layers.Layer):
    """Vectors of words and of their positions, through two encoder layers.

    Args:
        vocabulary: The words that a text may hold. Case and punctuation are ignored.
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
        ValueError: For an empty vocabulary, one with equal words or with entries that
            are no single word, or sizes below 1.
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
        words = [tuple(_words_of(entry)) for entry in vocabulary]
        if not words or len({w for w in words if len(w) == 1}) != len(words):
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
        # Number 0 is no word, and number 1 is not used.
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
        numbers = {
            word: number
            for number, entry in enumerate(self.vocabulary, start=2)
            for word in _words_of(entry)
        }
        # TensorFlow's strings are bytes.
        texts = [t.decode() if isinstance(t, bytes) else str(t) for t in texts]
        found = np.zeros((len(texts), self.max_words), "int32")
        for row, text in zip(found, texts, strict=True):
            words = _words_of(text)
            if not 1 <= len(words) <= self.max_words or not {*words} <= {*numbers}:
                raise ValueError(
                    f"Expected texts of 1 to {self.max_words} words of "
                    f"{list(self.vocabulary)}. Received: {text!r}"
                )
            row[: len(words)] = [numbers[word] for word in words]
        return found

    def checked_words(self, texts: Any, n: int) -> np.ndarray:
        """`tokenize`; ValueError unless these are n texts."""
        is_list = hasattr(texts, "__len__") and not isinstance(texts, str)
        if not is_list or len(texts) != n:
            raise ValueError(
                f"Expected {n} texts as the condition. Received: {texts!r:.60}"
            )
        return self.tokenize(texts)

    def words_in_graph(self, texts: Tensor) -> Tensor:
        """`tokenize` for a batch of a `tf.data.Dataset`."""
        import tensorflow as tf

        words = tf.numpy_function(self.tokenize, [texts], tf.int32)
        return tf.ensure_shape(words, (None, self.max_words))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary": self.vocabulary,
            "max_words": self.max_words,
            "width": self.width,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }


def _words_of(text):
    """The words of a text, in lower case and without punctuation."""
    return text.lower().translate(_WITHOUT_PUNCTUATION).split()


_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
