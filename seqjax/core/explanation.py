"""What `explain` tells: a line for each path that a cell takes, collected while the program is traced."""

import contextlib
import contextvars
from collections.abc import Iterator

_lines: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("lines", default=None)


@contextlib.contextmanager
def collect_lines() -> Iterator[list[str]]:
    """Collect a line for each path taken by the cells that run inside the block."""
    lines: list[str] = []
    token = _lines.set(lines)
    try:
        yield lines
    finally:
        _lines.reset(token)


def is_collecting() -> bool:
    """Whether a block of `collect_lines` is active."""
    return _lines.get() is not None


def add_line(line: str) -> None:
    """Add a line to those of `collect_lines`, if anybody collects them."""
    lines = _lines.get()
    if lines is not None and line not in lines:
        lines.append(line)
