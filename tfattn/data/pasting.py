"""Completions put back into the picture that their image was cut from."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfattn.data.pictures import as_picture, flat, open_picture, upright_mask

if TYPE_CHECKING:  # Pillow is imported only where a picture is read
    from PIL.Image import Image

# Pillow's modes in which the visible pixels of a file can stay what they are.
_KEPT = ("L", "LA", "RGB", "RGBA")


def paste(
    completions: np.ndarray, visible: np.ndarray, mask: str, path: str | Path
) -> tuple[list["Image"], str]:
    """Completions in the place and the size of the picture, which is not changed.

    A mask file of the picture's proportions hides pixel by pixel, any other mask in
    the pixels of the model. What a mask hides outside the part that was cut out of the
    picture stays as it is.

    Args:
        completions: Images (n, h, w, c) in [0, 1].
        visible: Boolean array (h, w), what `read_mask` returned.
        mask: The mask that `read_mask` took.
        path: The picture file that `read_picture` took.

    Returns:
        A list of upright pictures, and words on what was done.
    """
    from PIL import Image

    from tfattn.data import masks  # imports Keras, which pictures do not need

    picture = open_picture(path)
    words = f"{path}: put back at {picture.width}×{picture.height} pixels"
    if picture.mode not in _KEPT:
        picture = flat(picture, channels=1 if picture.mode[0] in "1IF" else 3)
        words += f", made {picture.mode} of 8 bits"

    h, w = visible.shape
    left, top, zoom = _place(picture.size, (w, h))

    def enlarged(image, resampling):
        """At the picture's size; black outside the part that was cut out."""
        to_image = (1 / zoom, 0, -left / zoom, 0, 1 / zoom, -top / zoom)
        return image.transform(
            picture.size, Image.Transform.AFFINE, to_image, resampling
        )

    hidden = as_picture(1.0 - visible[..., None])
    hidden = enlarged(hidden, Image.Resampling.NEAREST)
    if mask not in masks.NAMES:
        whole, fits = upright_mask(mask, path)
        if fits:
            whole = flat(whole, channels=1)
            whole = whole.resize(picture.size, Image.Resampling.NEAREST)
            hidden = enlarged(Image.new("L", (w, h), 255), Image.Resampling.NEAREST)
            visible_in_file = np.asarray(whole)[..., None] >= 128
            hidden.paste(0, mask=as_picture(visible_in_file))

    pasted = []
    for completion in completions:
        large = enlarged(as_picture(completion), Image.Resampling.BICUBIC)
        answer = picture.copy()
        answer.paste(large.convert(picture.mode), mask=hidden)
        pasted.append(answer)
    return pasted, words


def _place(size, image_size):
    """Left, top and magnification of what `ImageOps.fit` cuts out, all in pixels."""
    zoom = min(side / of_image for side, of_image in zip(size, image_size, strict=True))
    left, top = (
        (side - zoom * of_image) / 2
        for side, of_image in zip(size, image_size, strict=True)
    )
    return left, top, zoom
