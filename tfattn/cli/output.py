"""Files that the command writes: whether they can be, and images one by one."""

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfattn.training.runs import write_figure

if TYPE_CHECKING:  # imported only where a picture is read or written
    from matplotlib.figure import Figure
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


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill, which then gets its name in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{uuid.uuid4().hex[:8]}.{folder.name}")
    part.mkdir()
    try:
        yield part
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_answers(folder: Path, answers: Sequence["Image"], sheet: "Figure") -> None:
    """Writes pictures one by one, and a figure of all, into a new folder; prints it."""
    with new_folder(folder) as part:
        write_each(part, answers)
        write_figure(part / "sheet.png", sheet)
    print(folder)


def write_each(folder: Path, pictures: Sequence["Image"]) -> None:
    """Writes pictures as PNG files into a folder, numbered from 1."""
    digits = max(2, len(str(len(pictures))))
    for number, picture in enumerate(pictures, start=1):
        picture.save(folder / f"{number:0{digits}}.png", dpi=picture.info.get("dpi"))
