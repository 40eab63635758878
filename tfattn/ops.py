"""Attention mathematics as plain functions of tensors.

Every function works on any Keras backend and knows nothing of layers.
"""

from collections.abc import Sequence

import keras
from keras import ops

from tfattn._typing import Tensor


def masked_softmax(
    scores: Tensor, axis: int | Sequence[int] = -1, mask: Tensor | None = None
) -> Tensor:
    """Softmax over `axis`, computed in float32, restricted to a mask.

        softmax(s)_i = exp(s_i) / Σ_j exp(s_j),   j over the entries that `mask` admits

    Half precision overflows or loses the small weights, so the computation always
    runs in float32 and its result is cast back to the type of `scores`.

    Args:
        scores: Tensor of any shape.
        axis: Axis, or tuple of axes, over which the result sums to 1.
        mask: Optional boolean tensor that broadcasts against `scores`; `True` admits
            an entry. A slice with no admitted entry gives zeros, not NaN.

    Returns:
        Tensor of the shape and type of `scores`.
    """
    scores32 = ops.cast(scores, "float32")
    if mask is not None:
        mask = ops.cast(mask, "bool")
        # Finite, so that a fully masked slice stays free of inf - inf.
        scores32 = ops.where(mask, scores32, -1e30)
    if isinstance(axis, int):
        weights = ops.softmax(scores32, axis=axis)
    else:  # which Keras's softmax cannot do while a size is unknown
        total = ops.logsumexp(scores32, axis=axis, keepdims=True)
        weights = ops.exp(scores32 - total)
    if mask is not None:
        weights = ops.where(mask, weights, 0.0)
    return ops.cast(weights, scores.dtype)


def attention_weights(
    query: Tensor, key: Tensor, mask: Tensor | None = None, sharpness: float = 1.0
) -> Tensor:
    """The attention map of dot-product attention.

        a_ij = softmax_j(β q_i · k_j)

    Args:
        query: Tensor (..., n, d).
        key: Tensor (..., m, d).
        mask: Optional boolean tensor that broadcasts against (..., n, m); `True`
            admits a key.
        sharpness: β, the factor on the attention scores before the softmax, an inverse
            temperature: 0 gives uniform weights, large values a hard choice. 1/√d is
            Vaswani et al.'s scaling, arXiv:1706.03762, equation 1.

    Returns:
        The map (..., n, m) in float32. Its rows sum to 1, a row with no admitted key
        to 0.
    """
    # float32 before the product: in float16 the product itself overflows.
    query32 = ops.cast(query, "float32") * sharpness
    key32 = ops.cast(key, "float32")
    scores = ops.matmul(query32, ops.swapaxes(key32, -1, -2))  # (..., n, m)
    return masked_softmax(scores, mask=mask)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    sharpness: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Dot-product attention without the factor 1/√d, as SAGAN uses it.

        a_ij = softmax_j(β q_i · k_j),   o_i = Σ_j a_ij v_j

    Source: Zhang et al., *Self-Attention Generative Adversarial Networks*,
    arXiv:1805.08318, equations 1 and 2. Their f, g, h are our key, query and value;
    their β_{j,i} is our a_ji. β here is `sharpness`, 1 in the paper.

    Args:
        query: Tensor (..., n, d).
        key: Tensor (..., m, d).
        value: Tensor (..., m, e).
        mask, sharpness: As in `attention_weights`.

    Returns:
        The output (..., n, e) and the attention map (..., n, m), whose rows sum to 1.
    """
    weights = attention_weights(query, key, mask, sharpness)
    weights = ops.cast(weights, value.dtype)
    return ops.matmul(weights, value), weights


def chunked_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    chunk_size: int,
    mask: Tensor | None = None,
    sharpness: float = 1.0,
) -> Tensor:
    """The output of `attention`, in memory that grows with n + m instead of n·m.

    A row of the attention map depends on no other row, so the queries are taken
    `chunk_size` at a time: of the map (n, m) only (chunk_size, m) ever exists. For
    the gradient nothing of the map is kept either; each chunk's rows are computed
    again. With s_ij = β q_i · k_j, a = softmax_j(s), o_i = Σ_j a_ij v_j, and ∂x the
    gradient of any scalar with respect to x:

        ∂v_j  = Σ_i a_ij ∂o_i                  o is linear in v
        ∂a_ij = ∂o_i · v_j                     and in a
        ∂s_ij = a_ij (∂a_ij − Σ_k a_ik ∂a_ik)  the softmax's Jacobian
        ∂q_i  = β Σ_j ∂s_ij k_j
        ∂k_j  = β Σ_i ∂s_ij q_i

    ∂s_ij needs row i of the map alone. So the rows of ∂q come chunk by chunk, and ∂k
    and ∂v are sums over the chunks. Second derivatives are exact, but take the memory
    that this function is there to avoid; so does TensorFlow outside `tf.function`.

    Source: Rabe & Staats, *Self-attention Does Not Need O(n²) Memory*,
    arXiv:2112.05682, section 3.

    Args:
        query: Tensor (batch, n, d).
        key: Tensor (batch, m, d).
        value: Tensor (batch, m, e).
        chunk_size: Largest number of queries at a time. It need not divide n.
        mask: Optional boolean tensor that broadcasts against (batch, 1, m); `True`
            admits a key, for all queries.
        sharpness: Factor on the attention scores, see `attention`.

    Returns:
        The output (batch, n, e). It is computed in float32 and cast to the type of
        `value`.
    """

    @ops.custom_gradient
    def attend(query, key, value):
        def gradient(*arguments, upstream=None):
            # torch gives the cotangent by name, behind the arguments.
            d_output = arguments[0] if upstream is None else upstream
            return _chunked_gradients(query, key, value, d_output, chunk_size, mask)

        return _chunked_output(query, key, value, chunk_size, mask), gradient

    output = attend(
        ops.cast(query, "float32") * sharpness,
        ops.cast(key, "float32"),
        ops.cast(value, "float32"),
    )
    return ops.cast(output, value.dtype)


def _chunked_output(query, key, value, chunk_size, mask):
    num_queries = ops.shape(query)[1]
    query = _split(query, chunk_size)
    key_transposed = ops.transpose(key, (0, 2, 1))

    def rows(carry, i):
        a = masked_softmax(ops.matmul(query[i], key_transposed), mask=mask)
        return carry, ops.matmul(a, value)

    _, output = _scan(rows, (), ops.shape(query)[0])
    return _join(output, num_queries)


def _chunked_gradients(query, key, value, d_output, chunk_size, mask):
    num_queries = ops.shape(query)[1]
    query = _split(query, chunk_size)
    # The rows that fill up the last chunk get no gradient, and so give none.
    d_output = _split(d_output, chunk_size)
    key_transposed = ops.transpose(key, (0, 2, 1))
    value_transposed = ops.transpose(value, (0, 2, 1))

    def rows(carry, i):
        # Both transposed: of the products (m, rows)·(rows, d), this is the fast one.
        d_key, d_value = carry
        a = masked_softmax(ops.matmul(query[i], key_transposed), mask=mask)
        d_a = ops.matmul(d_output[i], value_transposed)
        d_value += ops.matmul(ops.transpose(d_output[i], (0, 2, 1)), a)
        d_scores = a * (d_a - ops.sum(a * d_a, axis=-1, keepdims=True))
        d_key += ops.matmul(ops.transpose(query[i], (0, 2, 1)), d_scores)
        return (d_key, d_value), ops.matmul(d_scores, key)

    zeros = (ops.zeros_like(key_transposed), ops.zeros_like(value_transposed))
    (d_key, d_value), d_query = _scan(rows, zeros, ops.shape(query)[0])
    return (
        _join(d_query, num_queries),
        ops.transpose(d_key, (0, 2, 1)),
        ops.transpose(d_value, (0, 2, 1)),
    )


def _split(x, chunk_size):
    """(b, n, d) to (chunks, b, rows, d), the last chunk filled up with zeros."""
    b, n, d = ops.shape(x)
    num_chunks = -(-n // chunk_size)
    rows = -(-n // num_chunks)
    x = ops.pad(x, ((0, 0), (0, num_chunks * rows - n), (0, 0)))
    return ops.transpose(ops.reshape(x, (b, num_chunks, rows, d)), (1, 0, 2, 3))


def _join(x, n):
    """The inverse of `_split`: (chunks, b, rows, d) to (b, n, d)."""
    num_chunks, b, rows, d = ops.shape(x)
    x = ops.transpose(x, (1, 0, 2, 3))
    return ops.reshape(x, (b, num_chunks * rows, d))[:, :n]


def _scan(body, carry, num_steps):
    """carry, y_i = body(carry, i) for each step in turn: the last carry, all y_i."""
    if keras.backend.backend() != "tensorflow":
        return ops.scan(body, carry, ops.arange(num_steps))
    # Keras's scan has y_i of the carry's shape alone there, and by default TensorFlow
    # starts ten steps at once, with the memory of ten chunks.
    import tensorflow as tf

    def step(i, carry, ys):
        carry, y = body(carry, i)
        return i + 1, carry, ys.write(i, y)

    _, carry, ys = tf.while_loop(
        lambda i, *_: i < num_steps,
        step,
        (0, carry, tf.TensorArray("float32", num_steps)),
        parallel_iterations=1,
        maximum_iterations=num_steps,
    )
    return carry, ys.stack()
