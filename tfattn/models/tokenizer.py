"""Texts as numbers of their words, and back."""

import string
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfattn._checks import check_integer
from tfattn._typing import Tensor

# See `WordTokenizer`.
NO_WORD, START, FIRST_WORD = 0, 1, 2


class WordTokenizer:
    """Texts as rows of numbers, one for each word, and back.

    The words of the vocabulary have the numbers from 2 on, in its order. 0 stands for
    no word: it fills the row behind the last word of a text. 1 stands for the start of
    a text, which a network may read before the first word; no text holds it. Case and
    punctuation of texts are ignored.

    Args:
        vocabulary: The words that a text may hold.
        max_words: Largest number of words in a text.

    Attributes:
        num_values: How many numbers there are, 2 + the size of the vocabulary.
        num_texts: How many texts of 1 to `max_words` words there are.

    Raises:
        ValueError: For a vocabulary that is not a list of different single words, or
            `max_words` below 1.
    """

    def __init__(self, vocabulary: Sequence[str], max_words: int) -> None:
        self.max_words = check_integer("max_words", max_words, least=1)
        is_list = isinstance(vocabulary, Iterable) and not isinstance(vocabulary, str)
        entries = tuple(vocabulary) if is_list else ()
        words = [tuple(words_of(e)) for e in entries if isinstance(e, str)]
        if not words or len({w for w in words if len(w) == 1}) != len(entries):
            raise ValueError(
                "Expected a vocabulary of different words. "
                f"Received: vocabulary={vocabulary!r}"
            )
        self.vocabulary: tuple[str, ...] = entries
        self.num_values = FIRST_WORD + len(words)
        self.num_texts = sum(len(words) ** (i + 1) for i in range(self.max_words))
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
            words = words_of(text)
            if (
                not 1 <= len(words) <= self.max_words
                or not {*words} <= self._numbers.keys()
            ):
                raise ValueError(
                    f"Expected texts of 1 to {self.max_words} words of "
                    f"{list(self.vocabulary)}. Received: {text!r}"
                )
            row[: len(words)] = [self._numbers[word] for word in words]
        return found

    def texts(self, words: ArrayLike) -> np.ndarray:
        """The inverse of `tokenize`, without punctuation: array (n,) of strings.

        Raises:
            ValueError: For a number that is neither that of a word nor 0.
        """
        words = np.asarray(words)
        if np.any((words != NO_WORD) & (words < FIRST_WORD)) or np.any(
            words >= self.num_values
        ):
            raise ValueError(
                f"Expected numbers of words, from {FIRST_WORD} to "
                f"{self.num_values - 1}, or {NO_WORD}. Received: {words.tolist()!r:.60}"
            )
        return np.array(
            [
                " ".join(self.vocabulary[k - FIRST_WORD] for k in row if k != NO_WORD)
                for row in words
            ]
        )

    def checked(self, texts: Any, n: int) -> np.ndarray:
        """`tokenize`; ValueError unless these are n texts."""
        is_list = not isinstance(texts, str) and np.ndim(texts) == 1
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


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case and without punctuation."""
    return text.lower().translate(_WITHOUT_PUNCTUATION).split()


_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
