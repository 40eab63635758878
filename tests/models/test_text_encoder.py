import checks
import numpy as np
import pytest

from tfattn.models.text_encoder import TextEncoder

WORDS = ("four", "two", "seven")


def encoder():
    layer = TextEncoder(WORDS, max_words=3, width=8, num_heads=2)
    layer.build((None, 3))
    rng = np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return layer


def test_words_are_numbered():
    words = encoder().tokenize(["seven two", "Four!", "two two four"])
    assert words.tolist() == [[4, 3, 0], [2, 0, 0], [3, 3, 2]]


@pytest.mark.parametrize(
    "text", ["four eight", "two two two two", "", "?"], ids=["other", "long", "", "?"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"1 to 3 words of .*four"):
        encoder().tokenize(["two", text])


def test_order_counts_and_padding_does_not():
    layer = encoder()
    words = np.array([[2, 3, 0], [3, 2, 0]], "int32")
    vectors, mask = (checks.numpy_of(part) for part in layer(words))
    assert mask.tolist() == [[True, True, False]] * 2
    assert np.abs(vectors[0, 0] - vectors[1, 1]).max() > 1e-2
    # What stands where there is no word moves no word's vector.
    table = checks.numpy_of(layer.embedding.embeddings)
    table[0] += np.arange(8)
    layer.embedding.embeddings.assign(table)
    again, _ = (checks.numpy_of(part) for part in layer(words))
    np.testing.assert_allclose(again[:, :2], vectors[:, :2], atol=1e-5)
    assert np.abs(again[:, 2] - vectors[:, 2]).max() > 1e-2


def test_the_vocabulary_is_read_as_texts_are():
    layer = TextEncoder(("Top-Hat", "red"), max_words=2, width=8, num_heads=2)
    assert layer.tokenize(["RED top-hat", "tophat"]).tolist() == [[3, 2], [2, 0]]


@pytest.mark.parametrize(
    "vocabulary",
    [(), ("two", "two"), ("two", "Two!"), ("top hat",), ("", "top hat", "red")],
)
def test_bad_vocabulary(vocabulary):
    with pytest.raises(ValueError, match="vocabulary of different words"):
        TextEncoder(vocabulary, 2, 8, 2)
