"""A folder of pictures as a data set."""

import hashlib
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from tfattn._checks import check_choice, check_integer, check_share
from tfattn.data import pictures
from tfattn.data.dataset import Dataset

if TYPE_CHECKING:
    import tensorflow as tf

# What a picture is by its name: formats that Pillow reads, and no films or documents.
SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".ico", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm"),
    *(".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
# Names in a message; the others are only counted.
MOST_NAMES = 20


class PictureWarning(UserWarning):
    """Files of a folder could not be read and were left out."""


class _Picture(NamedTuple):
    """A picture that was read: its file's name in the folder, and what it holds."""

    name: str
    image: np.ndarray  # (h, w, c), bytes
    sha256: bytes  # of all its pixels
    size: tuple[int, int]  # width and height before it was resized


def from_folder(
    path: str | Path,
    image_size: int | tuple[int, int],
    channels: int = 3,
    labels: Literal["folders"] | None = None,
    test_share: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Reads a folder of pictures, and the folders in it, as arrays.

    ```python
    dataset = tfattn.data.from_folder("~/birds", image_size=64)
    tfattn.models.SelfAttentionGAN((64, 64, 3))
    ```

    Files whose names end as in `SUFFIXES` are read: PNG, JPEG, WebP, TIFF and others;
    of an animation the first picture. Pictures are turned as their camera says, cut
    about the middle to the proportions of `image_size`, resized without aliasing; what
    is transparent becomes white. Other files, and hidden ones, are passed over. A
    picture that cannot be read is left out, and named in a `PictureWarning`.

    Whether a picture is for training or for testing depends on `seed` and its pixels,
    not on its name, its format or other pictures. So copies are on the same side, and
    when pictures are added, the test images stay test images. There are exceptions in
    small folders: of four or more different pictures at least two are for testing and
    two for training, and each class has one for training.

    Args:
        path: The folder.
        image_size: Side of the images in pixels, or (h, w).
        channels: 1 for gray, 3 for color.
        labels: `"folders"`: each folder in `path` that holds a picture is a class, in
            the order of their names; `None`: no labels.
        test_share: Share of the pictures that are for testing, in [0, 1).
        seed: Integer; another one chooses other pictures for testing.

    Returns:
        A `Dataset`. Images are in the order of their files' names.

    Raises:
        ValueError: For an argument outside the ranges above, for a folder without a
            picture that can be read, and with `labels="folders"` for pictures outside
            of its folders or fewer than two classes.
    """
    folder = checked_folder(path)
    image_shape = _image_shape(image_size, channels)
    check_choice("labels", labels, ("folders", None))
    check_share("test_share", test_share)
    seed = check_integer("seed", seed, least=0)
    names, unreadable = picture_names(folder)
    if labels:
        _classes(folder, names)  # before all are read
    read: list[_Picture] = []
    with ThreadPoolExecutor() as pool:
        for found in pool.map(lambda name: _read(folder, name, image_shape), names):
            if isinstance(found, _Picture):
                read.append(found)
            else:
                unreadable.append(found)
    if unreadable:
        warnings.warn(
            f"{len(unreadable)} of the files in {folder} cannot be read and are left "
            f"out: {_listed(unreadable)}",
            PictureWarning,
            stacklevel=2,
        )
    if not read:
        raise ValueError(
            f"Expected a folder with at least one picture. Received: {folder}, with "
            f"none among {len(names)} files that are pictures by their names"
        )
    classes = None
    if labels:
        classes = _classes(folder, [picture.name for picture in read])
    for_testing = _test_side(
        read, classes[1] if classes else np.zeros(len(read)), test_share, seed
    )
    sides = {}
    for side, chosen in (("train", ~for_testing), ("test", for_testing)):
        indices = np.flatnonzero(chosen)
        images = np.empty((len(indices), *image_shape), "float32")
        for place, index in enumerate(indices):
            np.divide(read[index].image, np.float32(255), out=images[place])
        sides[f"x_{side}"] = images
        sides[f"y_{side}"] = classes[1][chosen] if classes else None
    return Dataset(
        name=str(path),
        source=_in_words(read, image_shape, len(unreadable)),
        class_names=classes[0] if classes else None,
        **sides,
    )


def stream(
    path: str | Path,
    image_size: int | tuple[int, int],
    channels: int = 3,
    labels: Literal["folders"] | None = None,
    batch_size: int = 32,
    seed: int = 0,
) -> "tf.data.Dataset":
    """Reads a folder of pictures batch by batch, for sets larger than memory.

    By Keras's `image_dataset_from_directory`; the data set goes into `fit` on every
    backend and needs TensorFlow. It is simpler than `from_folder`: it knows PNG, JPEG,
    BMP and GIF, does not turn pictures as their camera says, ignores transparency and
    follows no links to folders. A picture that cannot be read ends the pass with an
    error of TensorFlow; `from_folder` would name it. All pictures are in the data set:
    keep those for testing in another folder.

    Args:
        path: The folder.
        image_size: Side of the images in pixels, or (h, w).
        channels: 1 for gray, 3 for color.
        labels: `"folders"`: each folder in `path` is a class, in the order of their
            names; `None`: no labels.
        batch_size: Number of images in a batch.
        seed: Integer seed of the order, which is another in each epoch.

    Returns:
        `tf.data.Dataset` of batches of images in [0, 1], or of pairs of images and
        classes.

    Raises:
        ValueError: For an argument outside the ranges above, or a folder without
            pictures.
    """
    import keras
    import tensorflow as tf

    h, w, _ = _image_shape(image_size, channels)
    check_choice("labels", labels, ("folders", None))
    batch_size = check_integer("batch_size", batch_size, least=1)
    seed = check_integer("seed", seed, least=0)
    folder = checked_folder(path)
    if labels:
        _classes(folder, picture_names(folder)[0])
    batches = keras.utils.image_dataset_from_directory(
        folder,
        labels="inferred" if labels else None,
        label_mode="int" if labels else None,
        color_mode="grayscale" if channels == 1 else "rgb",
        batch_size=batch_size,
        image_size=(h, w),
        seed=seed,
        interpolation="area",
        crop_to_aspect_ratio=True,
        verbose=False,
    )

    def scaled(images, *labels):
        # The interpolation may overshoot by a rounding.
        images = tf.clip_by_value(images / 255, 0.0, 1.0)
        return (images, *labels) if labels else images

    return batches.map(scaled)


def picture_names(folder: Path) -> tuple[list[str], list[str]]:
    """Names of all pictures in a folder, sorted, and words for folders out of reach.

    Links to folders are followed, each folder is visited once.
    """
    names, unreadable = [], []
    seen = {os.path.realpath(folder)}

    def out_of_reach(error):
        unreadable.append(f"{error.filename} ({error.strerror})")

    for place, folders, files in os.walk(
        folder, followlinks=True, onerror=out_of_reach
    ):
        kept = []
        for name in sorted(folders):
            target = os.path.realpath(os.path.join(place, name))
            if not name.startswith(".") and target not in seen:
                seen.add(target)
                kept.append(name)
        folders[:] = kept
        names += [
            os.path.relpath(os.path.join(place, name), folder)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    return sorted(names), unreadable


def checked_folder(path: str | Path) -> Path:
    """The folder of this name; ValueError if there is none."""
    if not isinstance(path, str | Path) or not str(path):
        raise ValueError(f"Expected the name of a folder. Received: {path!r}")
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ValueError(f"Expected a folder of pictures. Received: {folder}")
    return folder


def _image_shape(image_size: Any, channels: int) -> tuple[int, int, int]:
    sizes = image_size if isinstance(image_size, tuple | list) else (image_size,) * 2
    if len(sizes) != 2:
        raise ValueError(
            "Expected image_size as a number of pixels or (height, width). "
            f"Received: image_size={image_size!r}"
        )
    h, w = (check_integer("image_size", size, least=1) for size in sizes)
    if check_integer("channels", channels, least=1) not in (1, 3):
        raise ValueError(f"Expected channels 1 or 3. Received: channels={channels!r}")
    return h, w, channels


def _read(folder, name, image_shape) -> _Picture | str:
    """The picture, or its name and why it cannot be read."""
    # Opening a pipe would wait for ever.
    if not (folder / name).is_file():
        return f"{name} (no file)"
    try:
        picture = pictures.flat(pictures.open_picture(folder / name), channels=3)
        image = pictures.fitted(picture, image_shape)
        pixels = f"{picture.size} ".encode() + picture.tobytes()
    except (ValueError, OSError) as error:
        reason = str(error).partition(f"{name} (")[2].removesuffix(")")
        return f"{name} ({reason or error})"
    return _Picture(name, image, hashlib.sha256(pixels).digest(), picture.size)


def _listed(words):
    rest = len(words) - MOST_NAMES
    return "; ".join(words[:MOST_NAMES]) + (f"; and {rest} more" if rest > 0 else "")


def _classes(folder, names) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the classes, and the class of each picture, by its file's name."""
    parts = [Path(name).parts for name in names]
    outside = [part[0] for part in parts if len(part) == 1]
    if outside:
        raise ValueError(
            f'Expected each picture of labels="folders" in a folder of its class. '
            f"Received: {len(outside)} in {folder} itself, such as {outside[0]}"
        )
    classes, labels = np.unique([part[0] for part in parts], return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"Expected a folder for each class, at least two. Received: {folder} with "
            f"{classes.tolist()}"
        )
    return tuple(classes.tolist()), labels.astype("int64")


def _test_side(read, labels, test_share, seed) -> np.ndarray:
    """Whether each picture is for testing."""
    digests = [
        hashlib.sha256(f"{seed} ".encode() + picture.sha256).digest()
        for picture in read
    ]
    draws = np.array([int.from_bytes(digest[:6]) / 2**48 for digest in digests])
    chosen = draws < test_share
    different = np.unique(draws)
    if test_share and len(different) > 1:
        # A mean needs two images for its interval.
        least = 2 if len(different) >= 4 else 1
        chosen |= draws <= different[least - 1]
        chosen &= draws < different[-least]
    for label in np.unique(labels):
        # What is not trained on cannot be learned.
        of_class = labels == label
        chosen[of_class] &= draws[of_class] < draws[of_class].max()
    return chosen


def _in_words(read, image_shape, num_unreadable):
    h, w, channels = image_shape
    sizes = np.array([picture.size for picture in read])
    words = f"{len(read)} pictures of "
    low, high = (f"{a}×{b}" for a, b in (sizes.min(axis=0), sizes.max(axis=0)))
    words += low if low == high else f"{low} to {high}"
    words += f" pixels, cut about the middle and resized to {w}×{h}, "
    words += "gray" if channels == 1 else "RGB"
    smaller = int(((sizes < (w, h)).any(axis=1)).sum())
    if smaller:
        words += f"; {smaller} of them enlarged"
    if num_unreadable:
        words += f"; {num_unreadable} more could not be read"
    return words
