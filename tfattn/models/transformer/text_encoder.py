"""Words to the vectors that a decoder looks at."""

import numpy as np
from keras import layers, ops

from tfattn._checks import check_integer
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

    def __init__(self, vocabulary, max_words, width, num_heads, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        check_integer("max_words", max_words, least=1)
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

    def build(self, input_shape):
        shape = (None, self.max_words, self.width)
        self.embedding.build()
        for layer in (self.positions, *self.encoder_layers, self.norm):
            layer.build(shape)

    def call(self, words, training=None):
        mask = ops.not_equal(words, 0)
        x = self.positions(self.embedding(words))
        for layer in self.encoder_layers:
            x = layer(x, mask=mask, training=training)
        return self.norm(x), mask

    def tokenize(self, texts):
        """Texts (n) as numbers of their words: NumPy array (n, max_words).

        Case and punctuation are of no account.

        Raises:
            ValueError: For a text without words, with too many, or with one that is
                not in the vocabulary.
        """
        split = layers.TextVectorization(vocabulary=list(self.vocabulary))
        words = ops.convert_to_numpy(split(list(texts))).astype("int32")
        for text, numbers in zip(texts, words, strict=True):
            if not 1 <= np.sum(numbers != 0) <= self.max_words or np.any(numbers == 1):
                raise ValueError(
                    f"Expected texts of 1 to {self.max_words} words of "
                    f"{list(self.vocabulary)}. Received: {text!r}"
                )
        words = words[:, : self.max_words]
        return np.pad(words, ((0, 0), (0, self.max_words - words.shape[1])))
