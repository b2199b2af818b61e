"""Printing to a reader that may have seen enough."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def allow_closed_output() -> Iterator[None]:
    """Let a command end without a traceback when its reader, such as `| head`, has closed the pipe."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # here, as the interpreter's own flush at the end would complain
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
