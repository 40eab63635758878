import checks
import numpy as np

from tfattn.models.text_encoder import TextEncoder

WORDS = ("four", "two", "seven")


def encoder():
    layer = TextEncoder(WORDS, max_words=3, width=8, num_heads=2)
    layer.build((None, 3))
    rng = np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return layer


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
