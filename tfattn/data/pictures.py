"""A user's own pictures: read, brought to a model's size, written beside others."""

from pathlib import Path

import numpy as np

from tfattn.data import masks

_ORIENTATION = 0x0112  # EXIF's tag


def read_picture(
    path: str | Path, image_shape: tuple[int, int, int]
) -> tuple[np.ndarray, str]:
    """A picture file as an image that a model takes.

    Turned as its camera says, cut to the shape of the model's images about the
    middle, resized, made grey if the model has one channel.

    Args:
        path: File in a format that Pillow reads.
        image_shape: (h, w, c), c 1 or 3.

    Returns:
        Float32 array `image_shape` in [0, 1], and words on what was done.

    Raises:
        ValueError: If the file is missing or no picture.
    """
    from PIL import ImageOps

    h, w, channels = image_shape
    picture = ImageOps.exif_transpose(_open(path))
    mode = "L" if channels == 1 else "RGB"
    words = f"{path}: {picture.width}×{picture.height} pixels, {picture.mode}"
    if (picture.width, picture.height) != (w, h):
        words += f", cut about the middle where needed and resized to {w}×{h}"
    if picture.mode != mode:
        words += ", made grey" if mode == "L" else ", made RGB"
    picture = ImageOps.fit(_flat(picture, mode), (w, h))
    image = np.asarray(picture, "float32").reshape(image_shape) / 255
    return image, words


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

    if name in masks.NAMES:
        return masks.draw(name, 1, size)[0], f"mask: {name}"
    if not Path(name).exists():
        raise ValueError(
            f"Expected --mask to be one of {masks.NAMES} or a picture file. "
            f"Received: {name}"
        )
    h, w = size
    stored = _open(picture)
    upright = ImageOps.exif_transpose(stored).size
    mask = ImageOps.exif_transpose(_open(name))
    words = f"{name}: {mask.width}×{mask.height} pixels"
    if mask.size == stored.size != upright:
        exif = mask.getexif()
        exif[_ORIENTATION] = stored.getexif()[_ORIENTATION]
        mask = ImageOps.exif_transpose(mask)
    # Of the same proportions, but for the rounding of its sides.
    if abs(mask.width * upright[1] - mask.height * upright[0]) < max(upright):
        words += ", turned, cut and resized as the picture"
        mask = ImageOps.fit(_flat(mask, "L"), (w, h), Image.Resampling.NEAREST)
    else:
        words += ", resized to the part of the picture that was cut out"
        mask = _flat(mask, "L").resize((w, h), Image.Resampling.NEAREST)
    visible = np.asarray(mask) >= 128
    if visible.all() or not visible.any():
        raise ValueError(
            "Expected a mask with white (visible) and black (hidden) pixels. Received: "
            f"{name}, which is all {'white' if visible.all() else 'black'}"
        )
    return visible, words


def write_picture(path: str | Path, image: np.ndarray) -> None:
    """An image (h, w, c) in [0, 1] as a PNG file."""
    from PIL import Image

    levels = np.rint(255 * image).astype("uint8")
    Image.fromarray(levels.squeeze(-1) if levels.shape[-1] == 1 else levels).save(
        path, format="PNG"
    )


def _open(path):
    from PIL import Image

    try:
        picture = Image.open(path)
        picture.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"Expected a picture file. Received: {path} ({error})"
        ) from None
    return picture


def _flat(picture, mode):
    """A picture of 8 bits without transparency, which becomes white."""
    from PIL import Image

    if picture.mode.startswith("I;16") or picture.mode == "I":
        # Pillow would cut 16 bits off instead of scaling them.
        levels = np.asarray(picture, "float64")
        picture = Image.fromarray(np.rint(levels / 65535 * 255).astype("uint8"))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert(mode)
