"""Writing files so that nothing half-written is ever seen."""

import glob
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from seqjax.errors import DataError

STALE_SECONDS = 24 * 3600


def write_atomically(
    path: Path, write: Callable[[BinaryIO], object], remedy: str = "Is there room, and may it be written?"
) -> None:
    """Write a file all at once: a reader sees the old one or the new one, also when two processes write it.

    Raises:
        DataError: the folder cannot be written, or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_parts(path)
        # In the same folder, as a rename is one move only within a file system; a name of its own for each writer.
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # before the rename: else a power cut may leave the new name on an empty file
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}. {remedy}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _remove_stale_parts(path: Path) -> None:
    """Remove what killed writers of this file left a day ago or earlier."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        try:
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                part.unlink()
        except OSError:
            continue  # another process has finished it, or it is another user's
