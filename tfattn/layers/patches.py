"""Images as patches, and back."""

from typing import Any

import keras
from keras import ops

from tfattn._checks import check_integer, check_patch_size, check_tiled
from tfattn._typing import Shape, Tensor


def images_to_patches(x: Tensor, patch_size: tuple[int, int]) -> Tensor:
    """Images as grids of patches.

    Args:
        x: Tensor (batch, h, w, c).
        patch_size: (patch_h, patch_w), which divide h and w.

    Returns:
        Tensor (batch, h/patch_h, w/patch_w, patch_h·patch_w·c): rows of a patch, then
        columns, then channels.

    Raises:
        ValueError: For images that patches do not tile.
    """
    check_tiled(x.shape, patch_size)
    patch_h, patch_w = patch_size
    b, h, w, c = ops.shape(x)
    x = ops.reshape(x, (b, h // patch_h, patch_h, w // patch_w, patch_w, c))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (b, h // patch_h, w // patch_w, patch_h * patch_w * c))


def patches_to_images(patches: Tensor, patch_size: tuple[int, int]) -> Tensor:
    """The inverse of `images_to_patches`.

    Args:
        patches: Tensor (batch, rows, columns, patch_h·patch_w·c).
        patch_size: (patch_h, patch_w).

    Returns:
        Tensor (batch, rows·patch_h, columns·patch_w, c).

    Raises:
        ValueError: For patches of another size.
    """
    patch_h, patch_w = patch_size
    if len(patches.shape) != 4 or patches.shape[-1] % (patch_h * patch_w):
        raise ValueError(
            "Expected patches (batch, rows, columns, size), the size divisible by "
            f"{patch_h * patch_w}. Received: patches of shape {tuple(patches.shape)}"
        )
    b, rows, columns, size = ops.shape(patches)
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

    def __init__(self, patch_size: tuple[int, int], width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_patch_size(patch_size)
        width = check_integer("width", width, least=1)
        patch_h, patch_w = patch_size
        self.patch_size = (patch_h, patch_w)
        self.width = width
        self.projection = keras.layers.Dense(
            width, dtype=self.dtype_policy, name="projection"
        )

    def build(self, input_shape: Shape) -> None:
        patch_h, patch_w = self.patch_size
        if len(input_shape) != 4 or input_shape[-1] is None:
            raise ValueError(
                "Expected images (batch, h, w, c), the channels known. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.projection.build((None, patch_h * patch_w * input_shape[-1]))

    def call(self, x: Tensor) -> Tensor:
        return self.projection(images_to_patches(x, self.patch_size))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_tiled(input_shape, self.patch_size)
        b, h, w, _ = input_shape
        patch_h, patch_w = self.patch_size
        return (
            b,
            None if h is None else h // patch_h,
            None if w is None else w // patch_w,
            self.width,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "width": self.width,
        }
