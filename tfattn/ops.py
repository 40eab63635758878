"""Attention mathematics as plain functions of tensors.

Every function works on any Keras backend and knows nothing of layers.
"""

from keras import ops


def masked_softmax(scores, axis=-1, mask=None):
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


def attention(query, key, value, mask=None, sharpness=1.0):
    """Dot-product attention without the factor 1/√d, as SAGAN uses it.

        a_ij = softmax_j(β q_i · k_j),   o_i = Σ_j a_ij v_j

    Source: Zhang et al., *Self-Attention Generative Adversarial Networks*,
    arXiv:1805.08318, equations 1 and 2. Their f, g, h are our key, query and value;
    their β_{j,i} is our a_ji. β here is `sharpness`, 1 in the paper.

    Args:
        query: Tensor (batch, n, d).
        key: Tensor (batch, m, d).
        value: Tensor (batch, m, e).
        mask: Optional boolean tensor that broadcasts against (batch, n, m); `True`
            admits a key.
        sharpness: Factor on the attention scores before the softmax, an inverse
            temperature: 0 gives uniform weights, large values a hard choice.

    Returns:
        The output (batch, n, e) and the attention map (batch, n, m), whose rows sum
        to 1.
    """
    # float32 before the product: in float16 the product itself overflows.
    query32 = ops.cast(query, "float32") * sharpness
    key32 = ops.cast(key, "float32")
    scores = ops.matmul(query32, ops.transpose(key32, (0, 2, 1)))  # (b, n, m)
    weights = ops.cast(masked_softmax(scores, mask=mask), value.dtype)
    return ops.matmul(weights, value), weights
