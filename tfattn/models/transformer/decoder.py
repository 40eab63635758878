"""The network of `ImageTransformer`: from tokens to the logits of their successors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import layers, ops

from tfattn._checks import check_integer
from tfattn._typing import Tensor
from tfattn.densities import IMPOSSIBLE
from tfattn.layers import PositionalEncoding, TransformerDecoderLayer
from tfattn.models.patch_encoder import PatchEncoder
from tfattn.models.text_encoder import TextEncoder
from tfattn.models.transformer.sampling import draw_tokens
from tfattn.models.transformer.tokens import ImageTokens

# Rows of all neighbors' tables together. Up to this number, embeddings are looked up
# and summed by one product with one-hot vectors, which is faster than look-ups, mainly
# because the gradient of a look-up is slow. benchmarks/transformer_training.py found a
# gain at 410 rows and none at 1285.
MOST_ROWS_AS_PRODUCT = 512


class TokenDecoder(layers.Layer):
    """Decoder layers over a sequence of tokens, to the logits of each token.

    The vector at a place is the sum of embeddings of its neighbors that come before
    it, see `ImageTokens`, as a causal convolution would make it, of its position, of
    the class, if there are classes, and of the encoder's output for the patch of the
    token's place in the grid, if another image is the condition. Each decoder layer
    attends to the places up to its own, and to the words of a text or the patches of
    another image, if there is one.

    Args:
        tokens: `ImageTokens`.
        num_layers: Number of decoder layers.
        num_heads: Number of heads; divides the width.
        width: Channels of a token's vector.
        dropout: As in `TransformerDecoderLayer`.
        num_classes: Number of classes, or `None`.
        text_encoder: `TextEncoder`, or `None`.
        image_encoder: `PatchEncoder` of patches as large as the tokens', or `None`.

    Call arguments:
        tokens: Integers (n, tokens).
        condition: Classes (n,), words (n, max_words), images (n, h, w, c) or `None`.
        training: Whether dropout is on.

    Output:
        Logits (n, tokens, values) in float32, of each token from those before it.

    Raises:
        ValueError: For sizes below 1, or a width that the heads do not divide.
    """

    def __init__(
        self,
        tokens: ImageTokens,
        num_layers: int,
        num_heads: int,
        width: int,
        dropout: float = 0.0,
        num_classes: int | None = None,
        text_encoder: TextEncoder | None = None,
        image_encoder: PatchEncoder | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        num_layers = check_integer("num_layers", num_layers, least=1)
        width = check_integer("width", width, least=1)
        self.tokens = tokens
        self.width = width
        self.class_embedding = (
            layers.Embedding(num_classes, width) if num_classes else None
        )
        self.text_encoder = text_encoder
        self.image_encoder = image_encoder
        # The patch of each token's place in the grid.
        *_, rows, columns, _ = np.unravel_index(tokens.order, tokens.grid)
        self.patches = (rows * tokens.grid[-2] + columns).astype("int32")
        # For each kind of neighbor a table, in which the last number stands for none.
        num_neighbors = tokens.neighbors.shape[1]
        self.token_embedding = layers.Embedding(
            num_neighbors * (tokens.no_part + 1), width
        )
        self.positions = PositionalEncoding()
        self.decoder_layers = [
            TransformerDecoderLayer(num_heads, 4 * width, dropout)
            for _ in range(num_layers)
        ]
        self.norm = layers.LayerNormalization(epsilon=1e-5)
        # Densities are sums of many logarithms: never in half precision.
        self.head = layers.Dense(tokens.num_values, dtype="float32")

    def build(self, tokens_shape: Any, condition_shape: Any = None) -> None:
        shape, context_shape = (*tokens_shape, self.width), None
        self.token_embedding.build()
        if self.class_embedding:
            self.class_embedding.build()
        if self.text_encoder:
            self.text_encoder.build(condition_shape)
            context_shape = (*condition_shape, self.width)
        if self.image_encoder:
            self.image_encoder.build(condition_shape)
            context_shape = (None, int(np.prod(self.image_encoder.grid)), self.width)
        self.positions.build((None, *self.tokens.grid, self.width))
        for layer in self.decoder_layers:
            layer.build(shape, context_shape)
        self.norm.build(shape)
        self.head.build(shape)

    def call(
        self,
        tokens: Tensor,
        condition: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        context, mask = self._encode(condition, training)
        x = self._embed_all(tokens, condition, context)
        for layer in self.decoder_layers:
            x = layer(x, context, context_mask=mask, training=training)
        logits, possible = self.head(self.norm(x)), self.tokens.possible
        return logits if possible is None else ops.where(possible, logits, IMPOSSIBLE)

    def attention_maps(
        self, tokens: Tensor, condition: Tensor | None = None
    ) -> list[list[Tensor]]:
        """Maps of the layers, see `TransformerDecoderLayer`: a pair for each."""
        context, mask = self._encode(condition)
        x = self._embed_all(tokens, condition, context)
        maps = []
        for layer in self.decoder_layers:
            x, *of_layer = layer(
                x, context, context_mask=mask, return_attention_scores=True
            )
            maps.append(of_layer)
        return maps

    def draw(
        self,
        uniform: Tensor,
        temperature: Tensor,
        given: Sequence[Tensor] | None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """A sequence (n, tokens) by `draw_tokens`, with the cache of each layer."""
        context, mask = self._encode(condition)
        n, length = ops.shape(uniform)
        positions = self._position_vectors(context)
        neighbors = ops.convert_to_tensor(self.tokens.neighbors)

        def next_logits(step, sequence, caches):
            around = ops.take(neighbors, [step], axis=0)
            position = ops.take(positions, [step], axis=1)
            x = self._embed(sequence, around, position, condition)
            new_caches = []
            for layer, cache in zip(self.decoder_layers, caches, strict=True):
                x, cache = layer(x, context_mask=mask, cache=cache, cache_index=step)
                new_caches.append(cache)
            return self.head(self.norm(x))[:, 0], new_caches

        caches = [
            layer.initial_cache(n, length, context) for layer in self.decoder_layers
        ]
        return self._draw_tokens(next_logits, caches, uniform, temperature, given)

    def draw_without_cache(
        self,
        uniform: Tensor,
        temperature: Tensor,
        given: Sequence[Tensor] | None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """The same, all logits computed again for each token."""

        def next_logits(step, sequence, state):
            # Tokens at this step and later have no influence.
            return ops.take(self(sequence[:, 1:], condition), step, axis=1), state

        return self._draw_tokens(next_logits, [], uniform, temperature, given)

    def _draw_tokens(self, next_logits, state, uniform, temperature, given):
        return draw_tokens(
            next_logits,
            state,
            uniform,
            temperature,
            start=self.tokens.num_values,
            given=given,
            pixels=self.tokens.pixels,
            possible=self.tokens.possible,
        )

    def _encode(self, condition, training=None):
        """Context (n, m, width) and its mask (n, m), `None` where there is none."""
        if self.text_encoder:
            return self.text_encoder(condition, training=training)
        if self.image_encoder:
            return self.image_encoder(condition, training=training), None
        return None, None

    def _embed(self, sequence, neighbors, positions, condition):
        """The vectors of k places.

        Args:
            sequence: Tokens behind a number that stands for none (n, 1 + tokens).
            neighbors: Of these places, see `ImageTokens`, (k, neighbors).
            positions: Vectors of these places (1 or n, k, width).
            condition: As for `call`.

        Returns:
            Tensor (n, k, width).
        """
        num_parts = self.tokens.parts.shape[1]
        around = ops.take(sequence, neighbors // num_parts, axis=1)
        around = ops.take(  # (n, k, neighbors)
            self.tokens.parts.reshape(-1), around * num_parts + neighbors % num_parts
        )
        x = self._sum_of_embeddings(around) + positions
        if self.class_embedding:
            x = x + ops.expand_dims(self.class_embedding(condition), 1)
        return x

    def _sum_of_embeddings(self, parts):
        """The sum over the neighbors of each part's embedding, from their tables:
        (n, k, neighbors) to (n, k, width)."""
        n, k, num_neighbors = ops.shape(parts)
        num_rows = self.tokens.no_part + 1
        if num_neighbors * num_rows > MOST_ROWS_AS_PRODUCT:
            tables = np.arange(num_neighbors, dtype="int32") * num_rows
            return ops.sum(self.token_embedding(parts + tables), axis=2)
        rows = self.token_embedding(np.arange(num_neighbors * num_rows, dtype="int32"))
        hot = ops.one_hot(parts, num_rows, dtype=rows.dtype)
        return ops.matmul(ops.reshape(hot, (n, k, num_neighbors * num_rows)), rows)

    def _embed_all(self, tokens, condition, context):
        """The vectors of all places of a sequence (n, tokens)."""
        none = self.tokens.num_values
        sequence = ops.pad(tokens, ((0, 0), (1, 0)), constant_values=none)
        positions = self._position_vectors(context)
        return self._embed(sequence, self.tokens.neighbors, positions, condition)

    def _position_vectors(self, context):
        """Of all places (1 or n, tokens, width), with what another image has there."""
        vectors = ops.reshape(self.positions.encodings(), (1, -1, self.width))
        vectors = ops.take(vectors, self.tokens.order, axis=1)
        if self.image_encoder:
            vectors = vectors + ops.take(context, self.patches, axis=1)
        return vectors
