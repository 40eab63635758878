"""Multi-head attention with a cache of keys and values."""

import functools
from typing import Any

import keras
from keras import ops

from tfattn._checks import check_integer, check_share
from tfattn._typing import Shape, Tensor
from tfattn.ops import attention_weights

Cache = tuple[Tensor, Tensor]  # keys and values


@keras.saving.register_keras_serializable(package="tfattn")
class MultiHeadAttention(keras.layers.Layer):
    """Several attentions side by side, each with projections of its own.

    With a query of t positions, a value (and a key) of s positions and head i of H:

    1. Q_i = query·W_Q,i, K_i = key·W_K,i: (batch, t or s, key_dim)
    2. V_i = value·W_V,i: (batch, s, value_dim)
    3. a_i = softmax over the keys of Q_i·K_iᵀ/√key_dim: (batch, t, s)
    4. output = concat(a_1·V_1, …, a_H·V_H)·W_O: (batch, t, channels of the query)

    Call signature and masks are those of `keras.layers.MultiHeadAttention`: `True`
    admits. All masks given must admit an entry, and those that Keras attaches to
    the inputs count too. A query with no admitted key attends to nothing: weights of
    zero, and an output that is the output bias. (Keras averages all values there.)

    The matrices are the kernels of four `keras.layers.Dense`: `query_dense`,
    `key_dense`, `value_dense` and `output_dense`. In each kernel the heads lie side by
    side. `enable_lora` of these layers and `quantize` of a model work as usual.

    **Cache.** Step by step, keys and values of earlier positions need not be computed
    again. `initial_cache` makes room for a sequence; a call with `cache` and
    `cache_index` writes the keys and values of its positions there, and each query
    attends to its own and all earlier positions. The steps' outputs are those of one
    call with `use_causal_mask=True`. For attention to a fixed other sequence,
    `project_cache` projects that sequence once; a call with this `cache` and no
    `cache_index` reads it, whatever `value` and `key` are.

    Source: Vaswani et al., *Attention Is All You Need*, arXiv:1706.03762, section
    3.2.2; Shazeer, *Fast Transformer Decoding*, arXiv:1911.02150, section 2.4.

    Args:
        num_heads: Number of heads.
        key_dim: Channels of a head's queries and keys.
        value_dim: Channels of a head's values; `None` for `key_dim`.
        dropout: Share of the attention weights that training drops.
        use_bias: Whether the projections have biases.

    Call arguments:
        query: Tensor (batch, t, channels).
        value: Tensor (batch, s, channels).
        key: Tensor (batch, s, channels); `None` for `value`.
        query_mask: Boolean (batch, t).
        value_mask, key_mask: Boolean (batch, s).
        attention_mask: Boolean (t, s), (batch, t, s) or (batch, heads, t, s).
        return_attention_scores: Whether the attention map is returned as well.
        training: Whether dropout is on.
        use_causal_mask: Whether query i attends to keys 0 to i alone.
        cache: Keys (batch, heads, length, key_dim) and values (batch, heads, length,
            value_dim), a pair.
        cache_index: Position in the cache of the call's first token.

    Output:
        Tensor of the query's shape; then, if asked for, the map (batch, heads, t, s),
        before dropout, whose rows sum to 1; then, with `cache_index`, the new cache.

    Raises:
        ValueError: For sizes below 1, dropout outside [0, 1), inputs that are not
            (batch, positions, channels), key and value of different lengths, masks of
            another shape, or a `cache_index` without a `cache` or outside it.

    Example:
        >>> layer = tfattn.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        >>> words, pixels = keras.ops.ones((3, 5, 8)), keras.ops.ones((3, 7, 6))
        >>> layer(pixels, words).shape
        (3, 7, 6)
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        value_dim = key_dim if value_dim is None else value_dim
        num_heads = check_integer("num_heads", num_heads, least=1)
        key_dim = check_integer("key_dim", key_dim, least=1)
        value_dim = check_integer("value_dim", value_dim, least=1)
        check_share("dropout", dropout)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.dropout = dropout
        self.use_bias = use_bias
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.supports_masking = True

    def build(
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        shapes = {"query": query_shape, "value": value_shape, "key": key_shape}
        for name, shape in shapes.items():
            if len(shape) != 3 or shape[-1] is None:
                raise ValueError(
                    f"Expected `{name}` of shape (batch, positions, channels), the "
                    f"channels known. Received: {name} of shape {tuple(shape)}"
                )
        lengths = (key_shape[1], value_shape[1])
        if None not in lengths and lengths[0] != lengths[1]:
            raise ValueError(
                "Expected `key` and `value` of the same number of positions. Received: "
                f"key of shape {tuple(key_shape)}, value of shape {tuple(value_shape)}"
            )
        key_channels = self.num_heads * self.key_dim
        value_channels = self.num_heads * self.value_dim
        self.query_dense = self._projection("query", query_shape[-1], key_channels)
        self.key_dense = self._projection("key", key_shape[-1], key_channels)
        self.value_dense = self._projection("value", value_shape[-1], value_channels)
        self.output_dense = self._projection("output", value_channels, query_shape[-1])

    def _projection(self, name, inputs, outputs):
        projection = keras.layers.Dense(
            outputs, use_bias=self.use_bias, dtype=self.dtype_policy, name=name
        )
        projection.build((None, inputs))
        return projection

    def _split_heads(self, x):
        """(batch, positions, channels) to (batch, heads, positions, channels)."""
        b, positions, channels = ops.shape(x)
        x = ops.reshape(x, (b, positions, self.num_heads, channels // self.num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def initial_cache(self, batch_size: int, length: int) -> Cache:
        """An empty cache for sequences of `length` positions."""
        shape = (batch_size, self.num_heads, length)
        keys, values = (
            ops.zeros((*shape, channels), dtype=self.compute_dtype)
            for channels in (self.key_dim, self.value_dim)
        )
        return keys, values

    def project_cache(self, value: Tensor, key: Tensor | None = None) -> Cache:
        """A cache with the keys and values of a fixed sequence, see above."""
        keys = self.key_dense(value if key is None else key)
        return self._split_heads(keys), self._split_heads(self.value_dense(value))

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
        cache: Cache | None = None,
        cache_index: int | Tensor | None = None,
    ) -> Tensor | tuple[Tensor | Cache, ...]:
        if cache is None and cache_index is not None:
            raise ValueError(
                "Expected a `cache` with `cache_index`. Received: cache=None, "
                f"cache_index={cache_index}"
            )
        if cache is None or cache_index is not None:
            keys, values = self.project_cache(value, key)
        else:
            keys, values = cache
        if cache is not None and cache_index is not None:
            length, t = cache[0].shape[2], query.shape[1]
            if isinstance(cache_index, int) and (
                cache_index < 0 or (t and cache_index + t > length)
            ):
                # Keras would write them elsewhere without a word.
                raise ValueError(
                    f"Expected cache_index >= 0 and a cache with room for {t} positions"
                    f" from there on. Received: a cache of {length}, "
                    f"cache_index={cache_index}"
                )
            keys, values = (
                ops.slice_update(whole, (0, 0, cache_index, 0), part)
                for whole, part in zip(cache, (keys, values), strict=True)
            )
        queries = self._split_heads(self.query_dense(query))
        b, t, _ = ops.shape(query)

        first = cache_index
        if first is None and use_causal_mask:
            first = 0
        mask = self._combined_mask(
            (b, t, ops.shape(keys)[2]),
            query_mask,
            {"value_mask": value_mask, "key_mask": key_mask},
            attention_mask,
            first,
        )
        weights = attention_weights(queries, keys, mask, self.key_dim**-0.5)
        weights = ops.cast(weights, values.dtype)
        dropped = self.dropout_layer(weights, training=training)
        attended = ops.transpose(ops.matmul(dropped, values), (0, 2, 1, 3))
        attended = ops.reshape(attended, (b, t, self.num_heads * self.value_dim))
        output = self.output_dense(attended)
        outputs = [output]
        if return_attention_scores:
            outputs.append(weights)
        if cache_index is not None:
            outputs.append((keys, values))
        return output if len(outputs) == 1 else tuple(outputs)

    def _combined_mask(
        self, sizes, query_mask, key_masks, attention_mask, first_position
    ):
        """What all masks admit, broadcasting against (b, heads, t, s), or `None`.

        With a `first_position`, that of the first query, the mask is causal too.
        """
        b, t, s = sizes
        masks = []
        if query_mask is not None:
            query_mask = _checked_mask("query_mask", query_mask, [(b, t)])
            masks.append(ops.expand_dims(query_mask, (1, 3)))
        for name, key_mask in key_masks.items():
            if key_mask is not None:
                key_mask = _checked_mask(name, key_mask, [(b, s)])
                masks.append(ops.expand_dims(key_mask, (1, 2)))
        if attention_mask is not None:
            mask = _checked_mask(
                "attention_mask",
                attention_mask,
                [(t, s), (b, t, s), (b, self.num_heads, t, s)],
            )
            masks.append(ops.expand_dims(mask, 1) if len(mask.shape) == 3 else mask)
        if first_position is not None:
            positions = ops.expand_dims(ops.arange(t) + first_position, 1)
            masks.append(positions >= ops.arange(s))
        return functools.reduce(ops.logical_and, masks) if masks else None

    def compute_output_shape(
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> Shape:
        return tuple(query_shape)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        # Traced, for what comes back depends on what was asked for.
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
        }


def _checked_mask(name, mask, allowed):
    """The mask as a boolean tensor; ValueError unless it has an allowed shape."""
    mask = ops.convert_to_tensor(mask, "bool")
    for shape in allowed:
        if len(mask.shape) == len(shape) and all(
            # A symbolic size cannot be compared; size 1 broadcasts.
            not isinstance(size, int) or given in (None, 1, size)
            for given, size in zip(mask.shape, shape, strict=True)
        ):
            return mask
    raise ValueError(
        f"Expected `{name}` of shape {' or '.join(map(str, allowed))}. "
        f"Received: {name} of shape {tuple(mask.shape)}"
    )
