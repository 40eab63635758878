"""Texts as numbers of their words, and back."""

import string
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfattn._checks import check_integer
from tfattn._typing import Tensor

# No word, behind the last one of a text; and one that no text has.
NO_WORD, START = 0, 1
FIRST_WORD = 2


class WordTokenizer:
    """The words of texts, each with a number from 2 on, in the vocabulary's order.

    Case and punctuation of texts are ignored.

    Args:
        vocabulary: The words that a text may hold.
        max_words: Largest number of words in a text.

    Raises:
        ValueError: For an empty vocabulary, one with equal words or with entries that
            are no single word, or `max_words` below 1.
    """

    def __init__(self, vocabulary: Sequence[str], max_words: int) -> None:
        self.max_words = check_integer("max_words", max_words, least=1)
        words = [tuple(_words_of(entry)) for entry in vocabulary]
        if not words or len({w for w in words if len(w) == 1}) != len(words):
            raise ValueError(
                "Expected a vocabulary of different words. "
                f"Received: vocabulary={vocabulary!r}"
            )
        self.vocabulary = tuple(vocabulary)
        self.num_values = FIRST_WORD + len(words)
        self._numbers = {word: i for i, (word,) in enumerate(words, FIRST_WORD)}

    def tokenize(self, texts: Iterable[Any]) -> np.ndarray:
        """Texts (n) as numbers of their words: NumPy array (n, max_words) of int32.

        Raises:
            ValueError: For a text without words, with too many, or with one that is
                not in the vocabulary.
        """
        # TensorFlow's strings are bytes.
        texts = [t.decode() if isinstance(t, bytes) else str(t) for t in texts]
        found = np.full((len(texts), self.max_words), NO_WORD, "int32")
        for row, text in zip(found, texts, strict=True):
            words = _words_of(text)
            if not 1 <= len(words) <= self.max_words or not {*words} <= {
                *self._numbers
            }:
                raise ValueError(
                    f"Expected texts of 1 to {self.max_words} words of "
                    f"{list(self.vocabulary)}. Received: {text!r}"
                )
            row[: len(words)] = [self._numbers[word] for word in words]
        return found

    def texts(self, words: ArrayLike) -> np.ndarray:
        """The inverse of `tokenize`, without punctuation: array (n,) of strings."""
        return np.array(
            [
                " ".join(self.vocabulary[k - FIRST_WORD] for k in row if k != NO_WORD)
                for row in np.asarray(words)
            ]
        )

    def checked(self, texts: Any, n: int) -> np.ndarray:
        """`tokenize`; ValueError unless these are n texts."""
        is_list = hasattr(texts, "__len__") and not isinstance(texts, str)
        if not is_list or len(texts) != n:
            raise ValueError(
                f"Expected {n} texts, one for each image. Received: {texts!r:.60}"
            )
        return self.tokenize(texts)

    def in_graph(self, texts: Tensor) -> Tensor:
        """`tokenize` for a batch of a `tf.data.Dataset`."""
        import tensorflow as tf

        words = tf.numpy_function(self.tokenize, [texts], tf.int32)
        return tf.ensure_shape(words, (None, self.max_words))


def _words_of(text):
    """The words of a text, in lower case and without punctuation."""
    return text.lower().translate(_WITHOUT_PUNCTUATION).split()


_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
