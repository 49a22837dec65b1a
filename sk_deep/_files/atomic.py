"""Files that are written whole or not at all."""

import contextlib
import errno
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where an open file can be neither removed nor replaced
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Write a file that replaces an existing one when it is complete, and only then.

    Until then the path has the former file, or none. Temporary files of a killed
    process are removed by the next one that writes to the same path.

    Parameters
    ----------
    path : str or path-like
        Path of the file. The target of a link is replaced, not the link.

    Yields
    ------
    file : binary file
        To write to; a temporary one in the same folder.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written to, if the path is not that of
        a file, or if the disk is full.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a device, say
        raise OSError(errno.EINVAL, "path must be that of a file, got", str(path))
    _remove_abandoned(target)
    file = _open_temporary(target)
    try:
        with file:
            yield file
            file.flush()
            if target.exists():
                shutil.copymode(target, file.name)
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()
            os.replace(file.name, target)  # while locked: else it looks abandoned
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _open_temporary(target: Path) -> BinaryIO:
    """Create a file beside the target, locked as long as it is open."""
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        file = path.open("xb")
        if fcntl is None:
            return file
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # not taken for abandoned before the lock
            return file
        file.close()


def _remove_abandoned(target: Path) -> None:
    """Remove temporary files of the target which no living process has open."""
    for path in target.parent.glob(
        f".{glob.escape(target.name)}.{'[0-9a-f]' * 16}.tmp"
    ):
        with contextlib.suppress(OSError):  # open on Windows, or another has removed it
            if fcntl is None:
                path.unlink()
                continue
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _sync_folder(folder: Path) -> None:
    """Let the new name survive a loss of power, where folders can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
