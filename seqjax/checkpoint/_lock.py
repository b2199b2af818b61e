"""One writer in a folder at a time."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from seqjax.errors import ArgumentError


class Lock:
    """The right to write in a folder, until `free`.

    A lock of the system rather than a file that is there or not: the system frees it when the process is killed, so
    that no stale lock is left. Where a file system knows no locks, none is held.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            # Not waited for: two runs in one folder are a slip, and waiting would hide it.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                os.close(self._descriptor)
                raise ArgumentError(f"{folder}: another process is saving there. One folder for each run?") from None

    def free(self) -> None:
        """Let others write."""
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # closing is not enough where a child process shares it
        os.close(self._descriptor)
