"""Files that the command writes: whether they can be, and images one by one."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfattn.training.runs import write_whole

if TYPE_CHECKING:  # Pillow is imported only where a picture is read or written
    from PIL.Image import Image


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


def write_each(folder: Path, pictures: Sequence["Image"]) -> None:
    """Writes pictures as PNG files, numbered from 1, into a new folder."""
    folder.mkdir(parents=True)
    digits = max(2, len(str(len(pictures))))
    for number, picture in enumerate(pictures, start=1):
        write_whole(
            folder / f"{number:0{digits}}.png",
            lambda part, picture=picture: picture.save(
                part, format="PNG", dpi=picture.info.get("dpi")
            ),
        )
