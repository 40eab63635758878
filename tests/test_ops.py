import checks
import numpy as np
import pytest
from keras import ops

from tfattn.ops import (
    attention,
    attention_weights,
    chunked_attention,
    masked_softmax,
)

pytestmark = pytest.mark.backend


def test_masked_softmax_by_hand():
    """exp(s) = (1, 2, 5): 1/8, 2/8, 5/8; without the 5: 1/3, 2/3, 0."""
    scores = np.log([[1.0, 2.0, 5.0]]).astype("float32")
    np.testing.assert_allclose(
        checks.numpy_of(masked_softmax(scores)), [[1 / 8, 2 / 8, 5 / 8]], rtol=1e-6
    )
    mask = np.array([[True, True, False]])
    np.testing.assert_allclose(
        checks.numpy_of(masked_softmax(scores, mask=mask)),
        [[1 / 3, 2 / 3, 0]],
        rtol=1e-6,
    )


def test_masked_softmax_over_two_axes():
    scores = checks.images((2, 3, 5, 7))
    y = checks.numpy_of(masked_softmax(scores, axis=(1, 3)))
    expected = np.exp(scores) / np.exp(scores).sum(axis=(1, 3), keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_nothing_admitted_gives_zeros_and_the_type_stays(dtype):
    scores = ops.cast(checks.images((2, 3)), dtype)
    y = masked_softmax(scores, mask=np.array([[False] * 3, [True] * 3]))
    assert y.dtype == scores.dtype
    y = checks.numpy_of(ops.cast(y, "float32"))
    np.testing.assert_array_equal(y[0], 0)
    np.testing.assert_allclose(y[1].sum(), 1, rtol=1e-2)


def test_attention_equals_loops():
    """Batch 2, 3 queries, 5 keys of 7 dimensions, values of 11."""
    query, key = checks.images((2, 3, 7)), checks.images((2, 5, 7), seed=1)
    value = checks.images((2, 5, 11), seed=2)
    output, weights = attention(query, key, value, sharpness=0.5)
    for b in range(2):
        for i in range(3):
            scores = [0.5 * query[b, i] @ key[b, j] for j in range(5)]
            expected = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(
                checks.numpy_of(weights)[b, i], expected, rtol=1e-4
            )
            np.testing.assert_allclose(
                checks.numpy_of(output)[b, i],
                sum(expected[j] * value[b, j] for j in range(5)),
                atol=1e-5,
            )


def test_scores_are_scaled_only_if_asked():
    query, key = checks.images((2, 3, 7)), checks.images((2, 5, 7), seed=1)
    value = checks.images((2, 5, 11), seed=2)
    weights = np.exp(query @ key.transpose(0, 2, 1))
    weights /= weights.sum(axis=-1, keepdims=True)
    for found in (attention_weights(query, key), attention(query, key, value)[1]):
        np.testing.assert_allclose(checks.numpy_of(found), weights, rtol=1e-4)
    output = chunked_attention(query, key, value, chunk_size=2)
    np.testing.assert_allclose(checks.numpy_of(output), weights @ value, atol=1e-5)
