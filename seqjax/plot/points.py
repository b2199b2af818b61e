"""Points of two measures, named by colour and shape."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqjax._internal.types import Array, Float
from seqjax.errors import ArgumentError
from seqjax.plot._style import COLOURS

if TYPE_CHECKING:
    from seqjax.plot._figure import Figure

SHAPES = "os^DvPX*"
TICKS = (1, 3, 10, 100, 1000)
Pairs = Sequence[tuple[float, float]] | Float[Array, "N 2"]


def scatter(
    panels: Mapping[str, Mapping[str, Pairs]], x: str, y: str, title: str = "", *, is_stretched: bool = False
) -> "Figure":
    """Points (x, y), all of one name in one colour and shape, on the same axes in all panels.

    Args:
        panels: group -> name -> points `[N, 2]`, say one for each seed. Those that are not finite are left out.
        x, y: what the numbers are called.
        title: above the figure.
        is_stretched: x is linear from -1 to 1 and logarithmic beyond, on both sides, so that powers of ten of a
            gradient that hardly changes can be told apart beside those of one that is lost.

    Raises:
        ArgumentError: no panel, or points that are not pairs.

    Examples:
        >>> from seqjax import plot
        >>> points = {"RNN(64)": [(-23.0, 1.0), (-21.0, 0.98)], "LSTM(64)": [(-2.0, 0.01)]}
        >>> figure = plot.scatter({"adding": points}, "log₁₀ of the gradient", "error", is_stretched=True)
        >>> figure.axes[0].get_xlabel(), figure.axes[0].get_xscale(), len(figure.axes[0].collections)
        ('log₁₀ of the gradient', 'symlog', 2)
    """
    from matplotlib.ticker import FixedLocator

    from seqjax.plot._figure import new_figure, tidy

    if not panels:
        raise ArgumentError("scatter: give at least one panel")
    found = {group: {name: _pairs(name, each) for name, each in rows.items()} for group, rows in panels.items()}
    names = list(dict.fromkeys(name for rows in found.values() for name in rows))
    letters = max(map(len, names), default=0)
    figure = new_figure(3.8 * len(found) + 0.7 + 0.062 * letters, max(3.6, 0.6 + 0.17 * len(names)), title, size=11)
    axes = figure.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)[0]
    for axis, (group, rows) in zip(axes, found.items()):
        for name, points in rows.items():
            i = names.index(name)
            look = {"color": COLOURS[i % len(COLOURS)], "marker": SHAPES[i % len(SHAPES)]}
            axis.scatter(*points.T, s=34, alpha=0.8, edgecolors="white", linewidths=0.5, label=name, **look)
        axis.set_title(group, fontsize=10)
        axis.set_xlabel(x)
    axes[0].set_ylabel(y)
    if is_stretched:
        axes[0].set_xscale("symlog", linthresh=1)
        axes[0].xaxis.set_major_locator(FixedLocator([-tick for tick in TICKS] + [0, *TICKS]))
        axes[0].xaxis.set_major_formatter("{x:g}")
    tidy(*axes)
    handles = {label: h for axis in axes for h, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(list(handles.values()), list(handles), fontsize=7, loc="outside right center")
    return figure


def _pairs(name: str, points: Pairs) -> Float[np.ndarray, "N 2"]:
    pairs = np.asarray(points, float)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ArgumentError(f"scatter: points of {name!r} have shape {pairs.shape}, expected [N, 2]. Write [(x, y)]")
    return pairs[np.isfinite(pairs).all(1)]
