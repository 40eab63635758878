"""Slow, obvious NumPy versions of what tfattn computes, written pixel by pixel."""

import keras
import numpy as np


def power_iteration_norm(kernel, right_vector):
    """W/σ with σ after one power iteration from `right_vector`."""
    v = kernel @ right_vector
    v = v / np.sqrt((v**2).sum())
    u = kernel.T @ v
    u = u / np.sqrt((u**2).sum())
    return kernel / (v @ kernel @ u)


def _array(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), "float64")


def projection_weights(layer):
    """Kernels, normalized if the layer does so, and biases of an attention layer.

    Float64 arrays by name, `query_kernel`, `query_bias` and so on.
    """
    projections = {
        "query": layer.query_dense,
        "key": layer.key_dense,
        "value": layer.value_dense,
        "output": layer.output_dense,
    }
    weights = {}
    for name, dense in projections.items():
        if dense is None:
            continue
        kernel = _array(dense.kernel)
        if hasattr(dense, "norm"):
            estimate = _array(dense.norm.right_singular_vector)
            kernel = power_iteration_norm(kernel, estimate)
        weights[f"{name}_kernel"] = kernel
        weights[f"{name}_bias"] = (
            np.zeros(kernel.shape[1]) if dense.bias is None else _array(dense.bias)
        )
    return weights


def layer_weights(layer):
    """The weights of a SelfAttention2D as float64 arrays, kernels normalized."""
    return {
        **projection_weights(layer),
        "gamma": float(_array(layer.gamma).reshape(())),
    }


def self_attention_2d(
    x, weights, pool_size=1, key_mask=None, sharpness=1.0, strength=1.0
):
    """SelfAttention2D, one pixel and one key at a time.

    Args:
        x: Array (batch, h, w, c).
        weights: As from `layer_weights`.
        pool_size: Side of the pooling window.
        key_mask: Boolean array (key_h, key_w) or None.

    Returns:
        y (batch, h, w, c) and the map (batch, h, w, key_h, key_w).
    """
    x = np.asarray(x, "float64")
    batch, h, w, _ = x.shape
    key_h, key_w = h // pool_size, w // pool_size

    def project(name, pixel):
        return pixel @ weights[f"{name}_kernel"] + weights[f"{name}_bias"]

    def pooled(name, image, row, col):
        window = [
            project(name, image[row * pool_size + i, col * pool_size + j])
            for i in range(pool_size)
            for j in range(pool_size)
        ]
        return np.max(window, axis=0)

    y = np.zeros_like(x)
    maps = np.zeros((batch, h, w, key_h, key_w))
    for b in range(batch):
        keys = {}
        values = {}
        for row in range(key_h):
            for col in range(key_w):
                keys[row, col] = pooled("key", x[b], row, col)
                values[row, col] = pooled("value", x[b], row, col)
        allowed = [place for place in keys if key_mask is None or key_mask[place]]
        for row in range(h):
            for col in range(w):
                query = project("query", x[b, row, col])
                scores = {
                    place: sharpness * float(query @ keys[place]) for place in allowed
                }
                largest = max(scores.values(), default=0.0)
                total = sum(np.exp(s - largest) for s in scores.values())
                attended = np.zeros(len(values[0, 0]))
                for place, score in scores.items():
                    share = np.exp(score - largest) / total
                    maps[(b, row, col, *place)] = share
                    attended += share * values[place]
                if "output_kernel" in weights:
                    attended = project("output", attended)
                y[b, row, col] = x[b, row, col] + strength * weights["gamma"] * attended
    return y, maps


def attention_module(x, weight, axes, mask=None):
    """AttentionModule: softmax of weight·x over `axes`, entry by entry."""
    x = np.asarray(x, "float64")
    result = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        if mask is not None and not mask[index]:
            continue
        total = 0.0
        for other in np.ndindex(*x.shape):
            same_slice = all(
                i == j or axis in axes
                for axis, (i, j) in enumerate(zip(index, other, strict=True))
            )
            if same_slice and (mask is None or mask[other]):
                total += np.exp(weight[other[-1]] * x[other])
        result[index] = np.exp(weight[index[-1]] * x[index]) / total
    return result


def multi_head_attention(query, value, key, weights, num_heads, admitted):
    """MultiHeadAttention, one head, one query and one key at a time.

    Args:
        query: Array (b, t, c).
        value, key: Arrays (b, s, c'), (b, s, c'').
        weights: As from `projection_weights`.
        admitted: Function of (b, head, i, j) that says whether the key counts.

    Returns:
        The output (b, t, c) and the map (b, heads, t, s).
    """
    query, value, key = (np.asarray(x, "float64") for x in (query, value, key))
    b, t, c = query.shape
    s = value.shape[1]

    def project(name, vector, head):
        columns = np.split(np.arange(weights[f"{name}_bias"].size), num_heads)[head]
        kernel, bias = weights[f"{name}_kernel"], weights[f"{name}_bias"]
        return vector @ kernel[:, columns] + bias[columns]

    maps = np.zeros((b, num_heads, t, s))
    output = np.zeros((b, t, c))
    for n, i in np.ndindex(b, t):
        heads = []
        for head in range(num_heads):
            q = project("query", query[n, i], head)
            scores = {
                j: float(q @ project("key", key[n, j], head)) / np.sqrt(q.size)
                for j in range(s)
                if admitted(n, head, i, j)
            }
            total = sum(np.exp(score) for score in scores.values())
            attended = np.zeros(weights["value_bias"].size // num_heads)
            for j, score in scores.items():
                maps[n, head, i, j] = np.exp(score) / total
                attended += maps[n, head, i, j] * project("value", value[n, j], head)
            heads.append(attended)
        output[n, i] = np.concatenate(heads) @ weights["output_kernel"]
        output[n, i] += weights["output_bias"]
    return output, maps
