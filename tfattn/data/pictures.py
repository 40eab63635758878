"""A user's own pictures: read, and brought to a model's size."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # Pillow is imported only where a picture is read
    from PIL.Image import Image

_ORIENTATION = 0x0112  # EXIF's tag


def read_picture(
    path: str | Path, image_shape: tuple[int, int, int]
) -> tuple[np.ndarray, str]:
    """A picture file as an image that a model takes.

    Turned as its camera says, cut to the shape of the model's images about the
    middle, resized, made gray if the model has one channel.

    Args:
        path: File in a format that Pillow reads.
        image_shape: (h, w, c), c 1 or 3.

    Returns:
        Float32 array `image_shape` in [0, 1], and words on what was done.

    Raises:
        ValueError: If the file is missing or no picture.
    """
    h, w, channels = image_shape
    picture = open_picture(path)
    words = f"{path}: {picture.width}×{picture.height} pixels, {picture.mode}"
    if (picture.width, picture.height) != (w, h):
        words += f", cut about the middle where needed and resized to {w}×{h}"
    if picture.mode != mode_of(channels):
        words += ", made gray" if channels == 1 else ", made RGB"
    image = fitted(flat(picture, channels), image_shape)
    return image / np.float32(255), words


def read_mask(
    name: str, size: tuple[int, ...], picture: str | Path
) -> tuple[np.ndarray, str]:
    """Visible pixels by a mask's name or from a picture file: white is visible.

    A file of the size of the picture, or of its proportions, is turned, cut and resized
    as `read_picture` does the picture. Where the picture file is stored lying on its
    side, the mask may be, too; of the same size either way, it is taken as upright. Any
    other file is resized to what was cut out of the picture.

    Args:
        name: One of `tfattn.data.masks.NAMES`, or a picture file.
        size: (h, w).
        picture: The file of the picture that the mask belongs to.

    Returns:
        Boolean array (h, w), and words on what was done.

    Raises:
        ValueError: If it is neither, or if nothing or all is visible.
    """
    from PIL import Image, ImageOps

    from tfattn.data import masks  # imports Keras, which pictures do not need

    if name in masks.NAMES:
        return masks.draw(name, 1, size)[0], f"mask: {name}"
    if not Path(name).exists():
        raise ValueError(
            f"Expected --mask to be one of {masks.NAMES} or a picture file. "
            f"Received: {name}"
        )
    h, w = size
    mask, fits = upright_mask(name, picture)
    words = f"{name}: {mask.width}×{mask.height} pixels"
    if fits:
        words += ", turned, cut and resized as the picture"
        mask = ImageOps.fit(flat(mask, channels=1), (w, h), Image.Resampling.NEAREST)
    else:
        words += ", resized to the part of the picture that was cut out"
        mask = flat(mask, channels=1).resize((w, h), Image.Resampling.NEAREST)
    visible = np.asarray(mask) >= 128
    if visible.all() or not visible.any():
        raise ValueError(
            "Expected a mask with white (visible) and black (hidden) pixels. Received: "
            f"{name}, which is all {'white' if visible.all() else 'black'}"
        )
    return visible, words


def read_drawing(path: str | Path, size: tuple[int, ...]) -> tuple[np.ndarray, str]:
    """Where a picture file has white lines, on an image that may be much smaller.

    Turned as its camera says and cut about the middle. A pixel of the image belongs to
    a line if a part of it is white in the picture, so that thin lines stay.

    Args:
        path: File in a format that Pillow reads.
        size: (h, w).

    Returns:
        Float32 array (h, w, 1), 1 on a line and 0 elsewhere, and words on what was
        done.

    Raises:
        ValueError: If the file is missing, no picture, or not white lines on black.
    """
    from PIL import Image, ImageOps

    h, w = size
    picture = flat(open_picture(path), channels=1)
    white = Image.fromarray(
        np.where(np.asarray(picture) >= 128, 255, 0).astype("uint8")
    )
    lines = np.asarray(ImageOps.fit(white, (w, h), Image.Resampling.BOX)) > 0
    words = f"{path}: {picture.width}×{picture.height} pixels"
    if picture.size != (w, h):
        words += f", cut about the middle where needed and brought to {w}×{h}"
    if not 0 < lines.mean() < 0.5:
        raise ValueError(
            "Expected white lines on black, on less than half of the pixels. Received: "
            f"{path}, where {lines.mean():.0%} of {w}×{h} pixels are white"
        )
    return lines[..., None].astype("float32"), words


def upright_mask(path: str | Path, picture: str | Path) -> tuple["Image", bool]:
    """A mask file turned as its picture is, and whether it has its proportions."""
    stored = _open(picture)
    upright = _turned(stored).size
    mask = open_picture(path)
    if mask.size == stored.size != upright:
        exif = mask.getexif()
        exif[_ORIENTATION] = stored.getexif()[_ORIENTATION]
        mask = _turned(mask)
    # But for the rounding of its sides.
    fits = abs(mask.width * upright[1] - mask.height * upright[0]) < max(upright)
    return mask, fits


def as_picture(image: np.ndarray) -> "Image":
    """An image (h, w, c) in [0, 1] as a picture of 8 bits."""
    from PIL import Image

    levels = np.rint(255 * image).astype("uint8")
    return Image.fromarray(levels.squeeze(-1) if levels.shape[-1] == 1 else levels)


def mode_of(channels: int) -> str:
    """Pillow's mode of pictures with 1 or 3 channels."""
    return "L" if channels == 1 else "RGB"


def open_picture(path: str | Path) -> "Image":
    """The picture in a file, of animations the first, turned as its camera says.

    Raises:
        ValueError: If the file is missing or no picture.
    """
    return _turned(_open(path))


def flat(picture: "Image", channels: int) -> "Image":
    """A picture of 8 bits without transparency, which becomes white.

    ValueError for pixels that are not numbers, or colors that Pillow does not know.
    """
    from PIL import Image

    # Pillow would cut these off instead of scaling them.
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        levels = np.asarray(picture, "float64")
        if not np.isfinite(levels).all():
            raise ValueError("Expected pixels that are numbers. Received: NaN or ∞")
        if picture.mode != "F":
            levels = levels / 65535
        elif levels.max() > 1:
            levels = levels / 255
        levels = np.rint(255 * levels.clip(0, 1))
        picture = Image.fromarray(levels.astype("uint8"))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert(mode_of(channels))


def fitted(picture: "Image", image_shape: tuple[int, int, int]) -> np.ndarray:
    """A flat picture cut about the middle and resized, no aliasing: bytes (h, w, c)."""
    from PIL import ImageOps

    h, w, channels = image_shape
    picture = ImageOps.fit(picture.convert(mode_of(channels)), (w, h))
    return np.asarray(picture).reshape(image_shape)


def _open(path):
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.load()
    # A damaged file can break any part of Pillow.
    except Exception as error:
        raise ValueError(
            f"Expected a picture file. Received: {path} ({error})"
        ) from None
    return picture


def _turned(picture):
    """Upright, as far as the camera has said it legibly."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    # Of damaged words of a camera any part may break; its pixels are none the worse.
    except Exception:
        return picture
