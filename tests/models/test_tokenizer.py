import numpy as np
import pytest

from tfattn.models.tokenizer import WordTokenizer

WORDS = ("four", "two", "seven")


def tokenizer():
    return WordTokenizer(WORDS, max_words=3)


def test_words_are_numbered():
    words = tokenizer().tokenize(["seven two", "Four!", "two two four"])
    assert words.tolist() == [[4, 3, 0], [2, 0, 0], [3, 3, 2]]
    assert words.dtype == "int32" and tokenizer().num_values == 5


def test_and_back():
    words = np.array([[4, 3, 0], [2, 0, 0], [3, 3, 2]])
    texts = tokenizer().texts(words)
    assert texts.tolist() == ["seven two", "four", "two two four"]
    assert tokenizer().tokenize(texts).tolist() == words.tolist()


@pytest.mark.parametrize(
    "text", ["four eight", "two two two two", "", "?"], ids=["other", "long", "", "?"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"1 to 3 words of .*four"):
        tokenizer().tokenize(["two", text])


@pytest.mark.parametrize(
    "texts", ["four", None, ["four"], ["four"] * 3, 3, np.array("four")]
)
def test_as_many_texts_as_images(texts):
    with pytest.raises(ValueError, match="Expected 2 texts"):
        tokenizer().checked(texts, 2)


def test_the_vocabulary_is_read_as_texts_are():
    hats = WordTokenizer(("Top-Hat", "red"), max_words=2)
    assert hats.tokenize(["RED top-hat", b"tophat"]).tolist() == [[3, 2], [2, 0]]
    assert hats.texts([[3, 2]]).tolist() == ["red Top-Hat"]


@pytest.mark.parametrize(
    "vocabulary",
    [
        *((), ("two", "two"), ("two", "Two!"), ("top hat",), ("", "top hat", "red")),
        *(None, "red", (1, 2), (28, 28, 1), ("red", 3)),
    ],
)
def test_bad_vocabulary(vocabulary):
    with pytest.raises(ValueError, match="vocabulary of different words"):
        WordTokenizer(vocabulary, 2)


def test_a_vocabulary_may_be_read_once():
    made = WordTokenizer((word for word in WORDS), 2)
    assert made.vocabulary == WORDS and made.texts([[3, 4]]).tolist() == ["two seven"]
    assert made.num_texts == 3 + 9


@pytest.mark.parametrize("wrong", [1, 5, -1])
def test_numbers_of_no_word(wrong):
    with pytest.raises(ValueError, match="from 2 to 4, or 0"):
        tokenizer().texts([[2, wrong, 0]])


@pytest.mark.parametrize("max_words", [0, 1.5, True])
def test_bad_length(max_words):
    with pytest.raises(ValueError, match="`max_words` to be an integer"):
        WordTokenizer(WORDS, max_words)
