"""Colours and line styles, the same in all figures; free of matplotlib."""

from typing import Any

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Apart for the colour-blind too (Okabe and Ito)."""

STYLES = ("-", "--", ":", "-.")


def line_style(i: int) -> dict[str, Any]:
    """Options of matplotlib for line number i: 28 in a row look different."""
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)], "lw": 1.6}
