"""Numbers as words, and rows as aligned columns: the only place where results become text."""

from collections.abc import Sequence
from typing import Any


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as aligned columns, the first row as head."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def text_rows(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Rows as text under a head, without columns of lists."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if not any(isinstance(row.get(name), (list, dict)) for row in rows)]
    return [names, *([word(row.get(name)) for name in names] for row in rows)]


def word(value: object) -> str:
    """A value of any kind; "-" where there is none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(word, value))
    return number(value) if isinstance(value, (int, float)) else str(value)


def label(name: str, value: object) -> str:
    """A value that says what it is of: `batch_size 32`, `not permuted`, but `GRU(64)`."""
    if isinstance(value, bool):
        return name if value else f"not {name}"
    return f"{name} {word(value)}" if isinstance(value, (int, float)) else word(value)


def number(value: float) -> str:
    """Four digits; whole numbers in full, with commas."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.4g}"
