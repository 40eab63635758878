"""The parts of a Transformer: patches, positions, encoder and decoder layers."""

import keras
import numpy as np
from keras import ops

from tfattn.checks import check_integer, check_share
from tfattn.layers.multi_head_attention import MultiHeadAttention


def images_to_patches(x, patch_size):
    """Images as grids of patches.

    Args:
        x: Tensor (batch, h, w, c).
        patch_size: (patch_h, patch_w), which divide h and w.

    Returns:
        Tensor (batch, h/patch_h, w/patch_w, patch_h·patch_w·c): rows of a patch, then
        columns, then channels.
    """
    b, h, w, c = ops.shape(x)
    patch_h, patch_w = patch_size
    x = ops.reshape(x, (b, h // patch_h, patch_h, w // patch_w, patch_w, c))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (b, h // patch_h, w // patch_w, patch_h * patch_w * c))


def patches_to_images(patches, patch_size):
    """The inverse of `images_to_patches`: (batch, rows, columns, size) to images."""
    b, rows, columns, size = ops.shape(patches)
    patch_h, patch_w = patch_size
    c = size // (patch_h * patch_w)
    x = ops.reshape(patches, (b, rows, columns, patch_h, patch_w, c))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (b, rows * patch_h, columns * patch_w, c))


@keras.saving.register_keras_serializable(package="tfattn")
class PatchEmbedding(keras.layers.Layer):
    """Cuts images into patches and projects each to a vector.

    Source: Dosovitskiy et al., *An Image is Worth 16x16 Words*, arXiv:2010.11929,
    equation 1, without its class token and positions.

    Args:
        patch_size: (patch_h, patch_w).
        width: Channels of a patch's vector.

    Call arguments:
        x: Tensor (batch, h, w, c), h and w divisible by the patch's.

    Output:
        Tensor (batch, h/patch_h, w/patch_w, width).

    Raises:
        ValueError: For sizes below 1, or images that patches do not tile.
    """

    def __init__(self, patch_size, width, **kwargs):
        super().__init__(**kwargs)
        for size in patch_size:
            check_integer("patch_size", size, least=1)
        check_integer("width", width, least=1)
        self.patch_size = tuple(patch_size)
        self.width = width

    def build(self, input_shape):
        patch_h, patch_w = self.patch_size
        if len(input_shape) != 4 or input_shape[-1] is None:
            raise ValueError(
                "Expected images (batch, h, w, c), the channels known. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        _, h, w, c = input_shape
        if (h is not None and h % patch_h) or (w is not None and w % patch_w):
            raise ValueError(
                f"Expected height and width divisible by {patch_h} and {patch_w}. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            shape=(patch_h * patch_w * c, self.width),
            initializer="glorot_uniform",
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.width,), initializer="zeros", name="bias"
        )

    def call(self, x):
        return ops.matmul(images_to_patches(x, self.patch_size), self.kernel) + (
            self.bias
        )

    def compute_output_shape(self, input_shape):
        b, h, w, _ = input_shape
        patch_h, patch_w = self.patch_size
        return (
            b,
            None if h is None else h // patch_h,
            None if w is None else w // patch_w,
            self.width,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "width": self.width,
        }


@keras.saving.register_keras_serializable(package="tfattn")
class PositionalEncoding(keras.layers.Layer):
    """Adds to each vector of a sequence or a grid what tells its position.

    * `"learned"`: one table for each axis, of which each position adds its row: on a
      grid, that of its row and that of its column.
    * `"sinusoidal"`: of k axes each has 1/k of the channels. With d of them, position
      p has sin(p/10000^(2i/d)) in channel 2i and cos(p/10000^(2i/d)) in channel 2i+1.

    Source: Vaswani et al., *Attention Is All You Need*, arXiv:1706.03762, section 3.5;
    two axes as in Parmar et al., *Image Transformer*, arXiv:1802.05751, section 3.1.

    Args:
        kind: `"learned"` or `"sinusoidal"`.

    Call arguments:
        x: Tensor (batch, n, channels) or (batch, rows, columns, channels); sizes other
            than the batch's must be known.

    Output:
        Tensor of the shape of `x`.

    Raises:
        ValueError: For an unknown kind, unknown sizes, or, if sinusoidal, channels that
            two for each axis do not divide.
    """

    def __init__(self, kind="learned", **kwargs):
        super().__init__(**kwargs)
        if kind not in ("learned", "sinusoidal"):
            raise ValueError(
                f"Expected kind in ['learned', 'sinusoidal']. Received: kind={kind!r}"
            )
        self.kind = kind
        self.supports_masking = True

    def build(self, input_shape):
        _, *sizes, channels = input_shape
        if not sizes or None in (*sizes, channels):
            raise ValueError(
                "Expected (batch, positions…, channels), all known but the batch. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.sizes = tuple(sizes)
        if self.kind == "learned":
            self.tables = [
                self.add_weight(
                    shape=(size, channels),
                    initializer=keras.initializers.RandomNormal(stddev=0.02),
                    name=f"axis_{axis}",
                )
                for axis, size in enumerate(sizes)
            ]
        elif channels % (2 * len(sizes)):
            raise ValueError(
                f"Expected channels divisible by {2 * len(sizes)}, two for each axis. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        else:
            self.fixed = _sinusoids(sizes, channels)

    def encodings(self):
        """What is added: tensor (positions…, channels)."""
        if self.kind == "sinusoidal":
            return ops.cast(self.fixed, self.compute_dtype)
        rank = len(self.sizes)
        found = 0.0
        for axis, table in enumerate(self.tables):
            others = [i for i in range(rank) if i != axis]
            found = found + ops.expand_dims(ops.cast(table, self.compute_dtype), others)
        return found

    def call(self, x):
        return x + self.encodings()

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


def _sinusoids(sizes, channels):
    """NumPy array (*sizes, channels), see `PositionalEncoding`."""
    d = channels // len(sizes)
    parts = []
    for axis, size in enumerate(sizes):
        angles = np.arange(size)[:, None] / 10000 ** (np.arange(0, d, 2) / d)
        waves = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(size, d)
        shape = [1] * len(sizes) + [d]
        shape[axis] = size
        parts.append(np.broadcast_to(waves.reshape(shape), (*sizes, d)))
    return np.concatenate(parts, axis=-1).astype("float32")


class _TransformerLayer(keras.layers.Layer):
    """What the encoder's and the decoder's layer share: their feed-forward part."""

    def __init__(self, num_heads, intermediate_dim, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        check_integer("num_heads", num_heads, least=1)
        check_integer("intermediate_dim", intermediate_dim, least=1)
        check_share("dropout", dropout)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.supports_masking = True

    def _build_attention(self, name, query_shape, value_shape):
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
        setattr(self, name, attention)
        self._build_norm(f"{name}_norm", query_shape)

    def _build_norm(self, name, shape):
        norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=self.dtype_policy, name=name
        )
        norm.build(shape)
        setattr(self, name, norm)

    def _build_feed_forward(self, shape):
        self._build_norm("feed_forward_norm", shape)
        dense = keras.layers.Dense
        self.expand = dense(
            self.intermediate_dim,
            activation="gelu",
            dtype=self.dtype_policy,
            name="expand",
        )
        self.expand.build(shape)
        self.contract = dense(shape[-1], dtype=self.dtype_policy, name="contract")
        self.contract.build((*shape[:-1], self.intermediate_dim))
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)

    def _feed_forward(self, x, training):
        y = self.contract(self.expand(self.feed_forward_norm(x)))
        return x + self.drop(y, training=training)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="tfattn")
class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention and a feed-forward network, each behind a normalisation.

    1. y = x + attention(norm(x), norm(x))
    2. output = y + W_2·gelu(W_1·norm(y))

    Source: Vaswani et al., arXiv:1706.03762, section 3.1; normalised before instead
    of after as in Xiong et al., arXiv:2002.04745, figure 1b.

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

    def build(self, input_shape):
        self._build_attention("self_attention", input_shape, input_shape)
        self._build_feed_forward(input_shape)

    def call(self, x, mask=None, training=None):
        y = self.self_attention_norm(x)
        y = self.self_attention(y, y, value_mask=mask, training=training)
        x = x + self.drop(y, training=training)
        return self._feed_forward(x, training)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


@keras.saving.register_keras_serializable(package="tfattn")
class TransformerDecoderLayer(_TransformerLayer):
    """Causal self-attention, attention to a context, a feed-forward network.

    1. y = x + causal attention(norm(x), norm(x))
    2. z = y + attention(norm(y), context), only with a context
    3. output = z + W_2·gelu(W_1·norm(z))

    Source: as `TransformerEncoderLayer`.

    Args:
        num_heads, intermediate_dim, dropout: As `TransformerEncoderLayer`.

    Call arguments:
        x: Tensor (batch, n, channels).
        context: Tensor (batch, m, context channels); in all calls or in none, and of no
            account with a cache, which holds it.
        context_mask: Boolean (batch, m), `False` for padding; taken from `context` if
            it has one.
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
        ValueError: For sizes below 1, or channels that the heads do not divide.
    """

    def build(self, x_shape, context_shape=None):
        self._build_attention("self_attention", x_shape, x_shape)
        if context_shape is not None:
            self._build_attention("cross_attention", x_shape, context_shape)
        self._build_feed_forward(x_shape)

    def initial_cache(self, batch_size, length, context=None):
        """A cache for `length` tokens, in it the projected context if there is one."""
        cache = self.self_attention.initial_cache(batch_size, length)
        if context is None:
            return (cache,)
        return (cache, self.cross_attention.project_cache(context))

    def call(
        self,
        x,
        context=None,
        context_mask=None,
        cache=None,
        cache_index=None,
        return_attention_scores=False,
        training=None,
    ):
        y = self.self_attention_norm(x)
        y, self_map, *new_cache = self.self_attention(
            y,
            y,
            use_causal_mask=True,
            cache=None if cache is None else cache[0],
            cache_index=cache_index,
            return_attention_scores=True,
            training=training,
        )
        x = x + self.drop(y, training=training)
        cross_map = None
        has_cached_context = cache is not None and len(cache) == 2
        if context is not None or has_cached_context:
            y = self.cross_attention_norm(x)
            y, cross_map = self.cross_attention(
                y,
                # A cached context is read in place of the value, whatever it is.
                y if has_cached_context else context,
                value_mask=context_mask,
                cache=cache[1] if has_cached_context else None,
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

    def compute_output_spec(self, *args, **kwargs):
        # Traced, for what comes back depends on what was asked for.
        return keras.Operation.compute_output_spec(self, *args, **kwargs)
