"""Self-attention over the positions of a feature map (SAGAN, BigGAN)."""

from typing import Any, Literal, NamedTuple

import keras
from keras import ops

from tfattn._checks import check_choice, check_integer
from tfattn._typing import Shape, Tensor
from tfattn.layers.spectral_layers import SpectralDense
from tfattn.ops import attention, chunked_attention


class _Variant(NamedTuple):
    """What the three layers that call themselves SAGAN disagree about."""

    value_ratio: int
    pool_size: int
    use_bias: bool
    spectral_norm: bool
    has_output_kernel: bool
    gamma_shape: tuple[int, ...]


VARIANTS = {
    "biggan": _Variant(2, 2, False, True, True, ()),
    "paper": _Variant(8, 1, False, True, True, ()),
    "article": _Variant(1, 1, True, False, False, (1,)),
}

# With chunk_size="auto", as benchmarks/self_attention.py suggests: maps of up to so
# many entries per image are built whole; chunks would cost time and save little.
AUTO_WHOLE_ENTRIES = 2**20
# Larger ones come in chunks of so many entries, which stay in a processor's cache, but
# of at least so many rows, for matrix products of few rows are slow.
AUTO_CHUNK_ENTRIES = 2**18
AUTO_CHUNK_ROWS = 64


@keras.saving.register_keras_serializable(package="tfattn")
class SelfAttention2D(keras.layers.Layer):
    """Every position of a feature map attends to every position of it.

    With x of shape (batch, h, w, c), n = h·w positions, m key positions:

    1. query = x·W_q: (batch, n, c/key_ratio)
    2. key = pool(x·W_k): (batch, m, c/key_ratio)
    3. value = pool(x·W_v): (batch, m, c/value_ratio)
    4. a = softmax over the keys of query·keyᵀ, no scaling: (batch, n, m)
    5. o = (a·value)·W_o: (batch, h, w, c)
    6. y = x + γ·o, with γ learned from 0

    | variant | value_ratio | pool_size | W_o | biases | spectral norm |
    |---|---|---|---|---|---|
    | `"biggan"`: BigGAN and SAGAN's official code | 2 | 2 | yes | no | all kernels |
    | `"paper"`: as the SAGAN paper describes it | 8 | 1 | yes | no | all kernels |
    | `"article"`: a widely copied snippet | 1 | 1 | no | yes | no; if asked, W_v |

    The matrices are the kernels of the layers `query_dense`, `key_dense`, `value_dense`
    and `output_dense`, each a `keras.layers.Dense`, or a `SpectralDense` where the
    kernel has a spectral norm.

    Source: Zhang et al., arXiv:1805.08318, equations 1 to 3 (their f, g, h, v are our
    query, key, value, output); Brock et al., arXiv:1809.11096, appendix B.

    Args:
        variant: One of `"biggan"`, `"paper"`, `"article"`; gives the value of every
            argument below that is `None`.
        key_ratio: Query and key have c // key_ratio channels.
        value_ratio: The value has c // value_ratio channels. Without W_o
            (`"article"`) it must be 1.
        pool_size: Side and stride of the max-pooling of key and value, applied after
            the projection, incomplete windows dropped; 1 means none.
        use_bias: Whether the projections have biases.
        spectral_norm: Whether kernels are divided by their largest singular value,
            see `SpectralNorm`.
        gamma_initializer: Initializer of γ. At 0 the layer is the identity, and the
            gradients of all kernels are exactly zero.
        chunk_size: Number of query positions whose rows of the attention map exist
            at the same time, see `tfattn.ops.chunked_attention`: same output and
            gradients, but memory linear in n and m. `None` builds the whole map;
            `"auto"` does so where it is known to be small, and else picks a number.
            Exported to LiteRT, the loop over chunks needs TensorFlow's Select ops.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes
            `keras.config.image_data_format()`.

    Call arguments:
        x: Tensor (batch, h, w, c), or (batch, c, h, w) if channels first. Batch,
            height and width may be unknown.
        return_attention_scores: When `True`, the attention map is returned as well,
            for which it must be built whole, whatever `chunk_size` says.
        training: When `True`, the spectral norm's estimates advance.
        sharpness: Factor on the attention scores, an inverse temperature: 1 is the
            trained layer, 0 attends to all keys alike, large values to one.
        strength: Factor on γ; 0 switches the layer off.
        key_mask: Boolean tensor (key_h, key_w) or (batch, key_h, key_w); `True`
            where a key may be attended to. With no key left, o is 0 before W_o.

    Output:
        Tensor of the shape of `x`; with `return_attention_scores=True` also the map
        (batch, h, w, key_h, key_w), whose last two axes sum to 1.

    Raises:
        ValueError: For an unknown variant, sizes below 1, fewer channels than a
            ratio, a map smaller than its pooling window, or a `key_mask` of another
            shape.

    Example:
        >>> layer = tfattn.layers.SelfAttention2D()
        >>> layer(keras.random.normal((2, 6, 10, 16))).shape
        (2, 6, 10, 16)
    """

    def __init__(
        self,
        variant: Literal["biggan", "paper", "article"] = "biggan",
        key_ratio: int = 8,
        value_ratio: int | None = None,
        pool_size: int | None = None,
        use_bias: bool | None = None,
        spectral_norm: bool | None = None,
        gamma_initializer: str | keras.initializers.Initializer = "zeros",
        chunk_size: int | Literal["auto"] | None = "auto",
        data_format: Literal["channels_last", "channels_first"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("variant", variant, VARIANTS)
        default = VARIANTS[variant]
        self.variant = variant
        if value_ratio is None:
            value_ratio = default.value_ratio
        if pool_size is None:
            pool_size = default.pool_size
        self.key_ratio = check_integer("key_ratio", key_ratio, least=1)
        self.value_ratio = check_integer("value_ratio", value_ratio, least=1)
        self.pool_size = check_integer("pool_size", pool_size, least=1)
        is_auto = isinstance(chunk_size, str) and chunk_size == "auto"
        if chunk_size is not None and not is_auto:
            chunk_size = check_integer("chunk_size", chunk_size, least=1)
        self.use_bias = default.use_bias if use_bias is None else use_bias
        self.spectral_norm = (
            default.spectral_norm if spectral_norm is None else spectral_norm
        )
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.chunk_size: int | Literal["auto"] | None = chunk_size
        formats = [None, "channels_last", "channels_first"]
        check_choice("data_format", data_format, formats)
        self.data_format = data_format or keras.config.image_data_format()
        if not default.has_output_kernel and self.value_ratio != 1:
            raise ValueError(
                f"Variant {variant!r} has no output kernel, so its value must keep "
                "all channels. Expected value_ratio=1. "
                f"Received: value_ratio={value_ratio!r}"
            )

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) != 4:
            raise ValueError(
                "SelfAttention2D expects a 4-dimensional input (batch, height, width, "
                f"channels). Received: input_shape={tuple(input_shape)}"
            )
        _, h, w, channels = self._channels_last_shape(input_shape)
        if channels is None:
            raise ValueError(
                "The channel axis must be known when SelfAttention2D is built. "
                f"Received: input_shape={tuple(input_shape)}, "
                f"data_format={self.data_format!r}"
            )
        ratios = {"key_ratio": self.key_ratio, "value_ratio": self.value_ratio}
        for name, ratio in ratios.items():
            if channels < ratio:
                raise ValueError(
                    f"Dividing {channels} channels by {name}={ratio} leaves none. "
                    f"Expected at least {ratio} channels. "
                    f"Received: input_shape={tuple(input_shape)}"
                )
        if any(size is not None and size < self.pool_size for size in (h, w)):
            raise ValueError(
                f"Expected a feature map of at least {self.pool_size}×{self.pool_size}"
                f" positions for pool_size={self.pool_size}. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        key_channels = channels // self.key_ratio
        value_channels = channels // self.value_ratio
        variant = VARIANTS[self.variant]
        self.query_dense = self._projection("query", channels, key_channels)
        self.key_dense = self._projection("key", channels, key_channels)
        self.value_dense = self._projection("value", channels, value_channels)
        self.output_dense = None
        if variant.has_output_kernel:
            self.output_dense = self._projection("output", value_channels, channels)
        self.gamma = self.add_weight(
            shape=variant.gamma_shape,
            initializer=self.gamma_initializer,
            name="gamma",
        )
        channel_axis = -1 if self.data_format == "channels_last" else 1
        self.input_spec = keras.InputSpec(ndim=4, axes={channel_axis: channels})

    def _projection(self, name, inputs, outputs):
        normalized = self.spectral_norm and (
            self.variant != "article" or name == "value"
        )
        dense = SpectralDense if normalized else keras.layers.Dense
        projection = dense(
            outputs, use_bias=self.use_bias, dtype=self.dtype_policy, name=name
        )
        projection.build((None, inputs))
        return projection

    def _pooled(self, projection, x, training):
        """Keys or values (b, key_h, key_w, channels): x projected, then pooled."""
        x = projection(x, training=training)
        if self.pool_size == 1:
            return x
        # On JAX, Keras gets its own default for the strides wrong.
        return ops.max_pool(
            x, self.pool_size, strides=self.pool_size, data_format="channels_last"
        )

    def call(
        self,
        x: Tensor,
        return_attention_scores: bool = False,
        training: bool | None = None,
        sharpness: float = 1.0,
        strength: float = 1.0,
        key_mask: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        inputs = x
        if self.data_format == "channels_first":
            x = ops.transpose(x, (0, 2, 3, 1))
        b, h, w, c = ops.shape(x)
        query = self.query_dense(x, training=training)  # (b, h, w, d)
        key = self._pooled(self.key_dense, x, training)  # (b, key_h, key_w, d)
        value = self._pooled(self.value_dense, x, training)  # (b, key_h, key_w, e)
        _, key_h, key_w, _ = ops.shape(key)
        if key_mask is not None:
            key_mask = self._flat_mask(key_mask, key.shape)
        query, key, value = (_flatten_positions(part) for part in (query, key, value))
        chunk_size = None if return_attention_scores else self._chunk_size(h * w, key)
        if chunk_size is None:
            attended, weights = attention(
                query, key, value, mask=key_mask, sharpness=sharpness
            )  # (b, h*w, e), (b, h*w, key_h*key_w)
        else:
            weights = None
            attended = chunked_attention(
                query, key, value, chunk_size, mask=key_mask, sharpness=sharpness
            )
        if self.output_dense is not None:
            attended = self.output_dense(attended, training=training)
        attended = ops.reshape(attended, (b, h, w, c))
        if self.data_format == "channels_first":
            attended = ops.transpose(attended, (0, 3, 1, 2))
        y = inputs + strength * self.gamma * attended
        if return_attention_scores:
            return y, ops.reshape(weights, (b, h, w, key_h, key_w))
        return y

    def _chunk_size(self, num_queries, key):
        """Rows of the map at a time, `None` for all of them."""
        num_keys = ops.shape(key)[1]
        known = isinstance(num_queries, int) and isinstance(num_keys, int)
        size = self.chunk_size
        if size == "auto":
            if known and num_queries * num_keys <= AUTO_WHOLE_ENTRIES:
                return None
            larger = max if known else ops.maximum
            size = larger(AUTO_CHUNK_ENTRIES // num_keys, AUTO_CHUNK_ROWS)
        if known and size is not None and size >= num_queries:
            return None  # a single chunk
        return size

    def attention_map(self, x: Tensor, query: tuple[int, int]) -> Tensor:
        """The map of a single query position, without building the whole map.

        Args:
            x: Tensor as for the call.
            query: Position (row, col) of the query in the feature map; negative
                numbers count from the end.

        Returns:
            Tensor (batch, key_h, key_w), each image's entries summing to 1. Memory
            grows with the number of positions, not with its square.

        Raises:
            ValueError: If the position lies outside the map.
        """
        x = ops.convert_to_tensor(x, dtype=self.compute_dtype)
        if not self.built:
            self.build(x.shape)
        if self.data_format == "channels_first":
            x = ops.transpose(x, (0, 2, 3, 1))
        row, col = query
        b, h, w, c = ops.shape(x)
        if not (-h <= row < h and -w <= col < w):
            raise ValueError(
                f"Expected a query position inside the {h}×{w} feature map. "
                f"Received: query={tuple(query)}"
            )
        pixel = ops.reshape(x[:, row, col], (b, 1, c))
        query = self.query_dense(pixel, training=False)  # (b, 1, d)
        key = self._pooled(self.key_dense, x, training=False)
        _, key_h, key_w, _ = ops.shape(key)
        key = _flatten_positions(key)
        _, weights = attention(query, key, key)
        return ops.reshape(weights, (b, key_h, key_w))

    def _flat_mask(self, mask, key_shape):
        """(key_h, key_w) or (b, key_h, key_w) to (b or 1, 1, key_h*key_w)."""
        mask = ops.convert_to_tensor(mask, dtype="bool")
        expected = (key_shape[0], key_shape[1], key_shape[2])[3 - len(mask.shape) :]
        if len(mask.shape) not in (2, 3) or any(
            size is not None and known is not None and size != known
            for size, known in zip(mask.shape, expected, strict=True)
        ):
            raise ValueError(
                "Expected `key_mask` of shape (key_h, key_w) or (batch, key_h, key_w) "
                f"= {tuple(key_shape[:3])}. Received: key_mask of shape "
                f"{tuple(mask.shape)}"
            )
        if len(mask.shape) == 2:
            mask = ops.expand_dims(mask, 0)
        return ops.reshape(mask, (ops.shape(mask)[0], 1, -1))

    def _channels_last_shape(self, shape):
        if self.data_format == "channels_last":
            return tuple(shape)
        b, c, h, w = shape
        return (b, h, w, c)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def compute_output_spec(
        self, x: Tensor, return_attention_scores: bool = False, **kwargs: Any
    ) -> Tensor | tuple[Tensor, Tensor]:
        y = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return y
        b, h, w, _ = self._channels_last_shape(x.shape)
        key_h, key_w = (
            None if size is None else size // self.pool_size for size in (h, w)
        )
        scores = keras.KerasTensor((b, h, w, key_h, key_w), dtype=self.compute_dtype)
        return y, scores

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "variant": self.variant,
            "key_ratio": self.key_ratio,
            "value_ratio": self.value_ratio,
            "pool_size": self.pool_size,
            "use_bias": self.use_bias,
            "spectral_norm": self.spectral_norm,
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "chunk_size": self.chunk_size,
            "data_format": self.data_format,
        }


def _flatten_positions(x):
    """(b, h, w, c) to (b, h*w, c)."""
    b, h, w, c = ops.shape(x)
    return ops.reshape(x, (b, h * w, c))
