"""Files that the command writes: whether they can be, and images one by one."""

import tempfile
from pathlib import Path

import numpy as np

from tfattn.data import pictures
from tfattn.training.runs import write_whole


def check_writable(path: Path) -> None:
    """OSError where a file or a folder cannot be written, before the work for it."""
    if path.is_dir():
        raise IsADirectoryError(f"Expected a file to write. Received: {path}, a folder")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"Expected a folder. Received: {folder}, a file")
    # Asked of the file system: the permissions alone do not say it.
    with tempfile.TemporaryFile(dir=folder):
        pass


def check_free(folder: Path) -> None:
    """Raises ValueError or OSError where a folder cannot be made."""
    if folder.exists():
        raise ValueError(f"{folder} already exists. Expected another --out.")
    check_writable(folder)


def write_each(folder: Path, images: np.ndarray) -> None:
    """Writes images (n, h, w, c) as PNG files, numbered from 1, into a new folder."""
    folder.mkdir(parents=True)
    digits = max(2, len(str(len(images))))
    for number, image in enumerate(images, start=1):
        write_whole(
            folder / f"{number:0{digits}}.png",
            lambda part, image=image: pictures.write_picture(part, image),
        )
