"""One process at a time in a folder, by a lock that ends with its process."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# The locks of this process, which may train in a folder again after an interruption.
_held: dict[Path, IO] = {}
# Those that `unlock` leaves, because a `locked` around it ends them.
_kept: set[Path] = set()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """`lock` on entry, and the end of it on exit, whatever calls `unlock` inside."""
    path = folder.resolve() / ".lock"
    lock(folder)
    _kept.add(path)
    try:
        yield
    finally:
        _kept.discard(path)
        unlock(folder)


def lock(folder: Path) -> None:
    """Keeps other processes out of a folder until `unlock`, or the process ends.

    Where the file system knows no locks, nothing is kept out.

    Raises:
        ValueError: If another process keeps this one out.
    """
    path = folder.resolve() / ".lock"
    if path in _held:
        return
    file = open(path, "a")  # noqa: SIM115 - closing it would end the lock
    try:
        _acquire(file)
    # Windows has no permission, the others block.
    except (BlockingIOError, PermissionError):
        file.close()
        raise ValueError(
            f"Expected no other process to train in {folder}. One does."
        ) from None
    except OSError:
        pass
    _held[path] = file


def unlock(folder: Path) -> None:
    """Ends the lock of a folder, if this process has one."""
    path = folder.resolve() / ".lock"
    if path in _kept:
        return
    file = _held.pop(path, None)
    if file is not None:
        file.close()
        Path(file.name).unlink(missing_ok=True)


def _acquire(file):
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
