"""Images to the vectors that another network attends to."""

from typing import Any

from keras import layers, ops

from tfattn._checks import check_integer
from tfattn._typing import Tensor
from tfattn.layers import PatchEmbedding, PositionalEncoding, TransformerEncoderLayer


class PatchEncoder(layers.Layer):
    """Vectors of patches and of their positions, through encoder layers.

    Args:
        patch_size: (patch_h, patch_w).
        num_layers: Number of encoder layers.
        num_heads: Number of heads; divides the width.
        width: Channels of a patch's vector.
        dropout: As in `TransformerEncoderLayer`.

    Call arguments:
        images: Tensor (n, h, w, c), h and w divisible by the patch's.
        training: Whether dropout is on.

    Output:
        Tensor (n, patches, width), row by row.

    Raises:
        ValueError: For sizes below 1, or images that patches do not tile.
    """

    def __init__(
        self,
        patch_size: tuple[int, int],
        num_layers: int,
        num_heads: int,
        width: int,
        dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.embedding = PatchEmbedding(patch_size, width)
        self.positions = PositionalEncoding()
        self.encoder_layers = [
            TransformerEncoderLayer(num_heads, 4 * width, dropout)
            for _ in range(check_integer("num_layers", num_layers, least=1))
        ]
        self.norm = layers.LayerNormalization(epsilon=1e-5)

    def build(self, input_shape: Any) -> None:
        self.embedding.build(input_shape)
        self.grid = self.embedding.compute_output_shape(input_shape)[1:3]
        width = self.embedding.width
        self.positions.build((None, *self.grid, width))
        shape = (None, self.grid[0] * self.grid[1], width)
        for layer in (*self.encoder_layers, self.norm):
            layer.build(shape)

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        x = self.positions(self.embedding(images))
        x = ops.reshape(x, (-1, self.grid[0] * self.grid[1], x.shape[-1]))
        for layer in self.encoder_layers:
            x = layer(x, training=training)
        return self.norm(x)
