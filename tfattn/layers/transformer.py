"""Encoder and decoder layers of a Transformer."""

from typing import Any

import keras
from keras import ops

from tfattn._checks import check_integer, check_share
from tfattn._typing import Shape, Tensor
from tfattn.layers.multi_head_attention import Cache, MultiHeadAttention


class _TransformerLayer(keras.layers.Layer):
    """What the encoder's and the decoder's layer share: their feed-forward part."""

    def __init__(
        self,
        num_heads: int,
        intermediate_dim: int,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        num_heads = check_integer("num_heads", num_heads, least=1)
        intermediate_dim = check_integer("intermediate_dim", intermediate_dim, least=1)
        check_share("dropout", dropout)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.supports_masking = True

    def _attention(self, name, query_shape, value_shape):
        width = query_shape[-1]
        if width is None or width % self.num_heads:
            raise ValueError(
                f"Expected channels divisible by num_heads={self.num_heads}. "
                f"Received: input of shape {tuple(query_shape)}"
            )
        attention = MultiHeadAttention(
            self.num_heads,
            width // self.num_heads,
            dropout=self.dropout,
            dtype=self.dtype_policy,
            name=name,
        )
        attention.build(query_shape, value_shape)
        return attention

    def _norm(self, name, shape):
        norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=self.dtype_policy, name=name
        )
        norm.build(shape)
        return norm

    def _build_feed_forward(self, shape):
        self.feed_forward_norm = self._norm("feed_forward_norm", shape)
        dense = keras.layers.Dense
        self.expand = dense(
            self.intermediate_dim, dtype=self.dtype_policy, name="expand"
        )
        self.expand.build(shape)
        self.contract = dense(shape[-1], dtype=self.dtype_policy, name="contract")
        self.contract.build((*shape[:-1], self.intermediate_dim))
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)

    def _feed_forward(self, x, training):
        y = ops.relu(self.expand(self.feed_forward_norm(x)))
        y = self.contract(ops.square(y))
        return x + self.drop(y, training=training)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="tfattn")
class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention and a feed-forward network, each behind a normalization.

    1. y = x + attention(norm(x), norm(x))
    2. output = y + W_2·relu(W_1·norm(y))²

    Source: Vaswani et al., arXiv:1706.03762, section 3.1; normalized before instead
    of after as in Xiong et al., arXiv:2002.04745, figure 1b; the square as in So et
    al., *Primer*, arXiv:2109.08668, section 4.

    Args:
        num_heads: Number of heads; divides the channels.
        intermediate_dim: Channels between W_1 and W_2.
        dropout: Share of weights and of each part's output that training drops.

    Call arguments:
        x: Tensor (batch, n, channels).
        mask: Boolean (batch, n), `False` for padding; taken from `x` if it has one.
        training: Whether dropout is on.

    Output:
        Tensor of the shape of `x`.

    Raises:
        ValueError: For sizes below 1, or channels that the heads do not divide.
    """

    def build(self, input_shape: Shape) -> None:
        self.self_attention = self._attention(
            "self_attention", input_shape, input_shape
        )
        self.self_attention_norm = self._norm("self_attention_norm", input_shape)
        self._build_feed_forward(input_shape)

    def call(
        self, x: Tensor, mask: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        y = self.self_attention_norm(x)
        y = self.self_attention(y, y, value_mask=mask, training=training)
        x = x + self.drop(y, training=training)
        return self._feed_forward(x, training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)


@keras.saving.register_keras_serializable(package="tfattn")
class TransformerDecoderLayer(_TransformerLayer):
    """Causal self-attention, attention to a context, a feed-forward network.

    1. y = x + causal attention(norm(x), norm(x))
    2. z = y + attention(norm(y), context), only with a context
    3. output = z + W_2·relu(W_1·norm(z))²

    Source: as `TransformerEncoderLayer`.

    Args:
        num_heads, intermediate_dim, dropout: As `TransformerEncoderLayer`.

    Call arguments:
        x: Tensor (batch, n, channels).
        context: Tensor (batch, m, context channels), in all calls or in none. With a
            cache, which holds its projection, it is ignored.
        mask: Boolean (batch, n), `False` for padding; taken from `x` if it has one.
            With a cache, of the cache's length.
        context_mask: Boolean (batch, m), `False` for padding; taken from `context` or
            the cache if it has one.
        cache: From `initial_cache`, for step-by-step generation: the outputs of all
            steps are those of one call with the whole sequence.
        cache_index: Position in the sequence of the call's first token.
        return_attention_scores: Whether the maps are returned as well.
        training: Whether dropout is on.

    Output:
        Tensor of the shape of `x`; then, if asked for, the map of the self-attention
        (batch, heads, n, n or the cache's length) and that of the context (batch,
        heads, n, m), `None` without one; then, with a cache, the new cache.

    Raises:
        ValueError: For sizes below 1, channels that the heads do not divide, a context
            in some calls alone, or a cache before the layer is built.
    """

    def build(self, x_shape: Shape, context_shape: Shape | None = None) -> None:
        self.self_attention = self._attention("self_attention", x_shape, x_shape)
        self.self_attention_norm = self._norm("self_attention_norm", x_shape)
        if context_shape is not None:
            self.cross_attention = self._attention(
                "cross_attention", x_shape, context_shape
            )
            self.cross_attention_norm = self._norm("cross_attention_norm", x_shape)
        self._build_feed_forward(x_shape)

    def initial_cache(
        self,
        batch_size: int,
        length: int,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> tuple[Cache | Tensor, ...]:
        """A cache for `length` tokens, in it the projected context if there is one.

        Its mask is kept as well, the given one or that which Keras attached to it.
        """
        if not self.built:
            raise ValueError(
                "Expected a layer that was built, by a call or by `build`, before "
                "`initial_cache`."
            )
        self._check_context(context is not None)
        cache = self.self_attention.initial_cache(batch_size, length)
        if context is None:
            return (cache,)
        projected = self.cross_attention.project_cache(context)
        if context_mask is None:
            context_mask = _MaskOf(name="mask_of")(context)
        if context_mask is None:
            return (cache, projected)
        return (cache, projected, context_mask)

    def _check_context(self, given):
        if given != hasattr(self, "cross_attention"):
            raise ValueError(
                "Expected a context in all calls or in none, as when the layer was "
                f"built. Received: {'a' if given else 'no'} context"
            )

    def call(
        self,
        x: Tensor,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        cache: tuple[Cache | Tensor, ...] | None = None,
        cache_index: int | Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        mask: Tensor | None = None,
    ) -> Tensor | tuple[Tensor | tuple[Cache | Tensor, ...] | None, ...]:
        if cache is None:
            self._check_context(context is not None)
        y = self.self_attention_norm(x)
        y, self_map, *new_cache = self.self_attention(
            y,
            y,
            value_mask=mask,
            use_causal_mask=True,
            cache=None if cache is None else cache[0],
            cache_index=cache_index,
            return_attention_scores=True,
            training=training,
        )
        x = x + self.drop(y, training=training)
        cross_map = None
        cached_context = None
        if cache is not None and len(cache) > 1:
            cached_context = cache[1]
            if context_mask is None and len(cache) > 2:
                context_mask = cache[2]
        if context is not None or cached_context is not None:
            y = self.cross_attention_norm(x)
            y, cross_map = self.cross_attention(
                y,
                # A cached context is read in place of the value, whatever it is.
                context if cached_context is None else y,
                value_mask=context_mask,
                cache=cached_context,
                return_attention_scores=True,
                training=training,
            )
            x = x + self.drop(y, training=training)
        outputs = [self._feed_forward(x, training)]
        if return_attention_scores:
            outputs += [self_map, cross_map]
        if cache is not None:
            outputs.append((*new_cache, *cache[1:]))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        # Traced, for what comes back depends on what was asked for.
        return keras.Operation.compute_output_spec(self, *args, **kwargs)


class _MaskOf(keras.layers.Layer):
    """The mask that Keras attached to a tensor, or `None`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor | None:
        return mask
