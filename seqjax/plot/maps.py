"""A map of numbers by row and column, each written into its cell."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqjax.errors import ArgumentError

if TYPE_CHECKING:
    from seqjax.plot._figure import Figure

DARK = 0.55  # of the scale: below it words are white

Cell = tuple[float, ...]


def heat_map(
    rows: Sequence[str],
    columns: Mapping[str, Sequence[Cell]],
    title: str = "",
    *,
    bounds: tuple[float, float] = (0.0, 100.0),
    break_after: int = 0,
) -> "Figure":
    r"""Numbers by row and column: the first of a cell is its shade, and all of them are written into it.

    Args:
        rows: their names, from top to bottom.
        columns: name -> for each row `(value,)`, or `(value, another)`, which stands below in brackets; `()` where
            there is none, which is hatched.
        title: above the figure.
        bounds: numbers of the darkest and of the lightest shade.
        break_after: a white line stands after so many columns; 0 for none.

    Raises:
        ArgumentError: a column that has not as many cells as there are rows, or no column.

    Examples:
        >>> from seqjax import plot
        >>> figure = plot.heat_map(["parity", "reverse"], {"RNN(64)": [(100, 100), (58, 60)], "no run yet": [(), ()]})
        >>> [text.get_text() for text in figure.axes[0].texts if text.get_text()]
        ['100\n(100)', '58\n(60)']
    """
    from seqjax.plot._figure import new_figure

    for name, column in columns.items():
        if len(column) != len(rows):
            raise ArgumentError(f"columns[{name!r}] has {len(column)} cells, expected one for each of {len(rows)} rows")
    if not columns or not rows:
        raise ArgumentError("heat_map: give at least one row and one column")
    values = np.array([[cell[0] if cell else np.nan for cell in column] for column in columns.values()]).T
    figure = new_figure(3.4 + 0.72 * len(columns), 2.0 + 0.38 * len(rows), title)
    axis = figure.subplots()
    axis.patch.set(hatch="////", facecolor="white", edgecolor="#999999")
    low, high = bounds
    image = axis.imshow(values, cmap="cividis", vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    for (y, x), value in np.ndenumerate(values):
        words = "\n".join(f"{v:.3g}" if i == 0 else f"({v:.3g})" for i, v in enumerate(list(columns.values())[x][y]))
        colour = "white" if value < low + DARK * (high - low) else "black"
        axis.text(x, y, words, ha="center", va="center", fontsize=7, color=colour)
    if break_after:
        axis.axvline(break_after - 0.5, color="white", lw=5)
    axis.set_xticks(range(len(columns)), list(columns), fontsize=7, rotation=35, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.colorbar(image, ax=axis, pad=0.01).ax.tick_params(labelsize=7)
    return figure
