"""Figures without pyplot: what a figure is made of in all files of this room. Importing this loads matplotlib."""

import io
from typing import Literal

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

DPI = 110
FEWEST = 3  # ticks of an axis
NARROW = 1.5  # powers of ten: an axis that spans fewer has ticks between them


class Figure(matplotlib.figure.Figure):
    """A figure that Jupyter shows where it is the last line of a cell, once, and that no script has to close.

    Jupyter knows figures of pyplot alone, and those only after a magic line. pyplot would keep each figure until it is
    closed, and needs a screen or a choice of backend.
    """

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=DPI)
        return file.getvalue()


def new_figure(width: float, height: float, title: str = "", size: float = 10) -> Figure:
    """An empty figure, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=size)
    return figure


def tidy(*axes: Axes) -> None:
    """A light grid, and no frame above and on the right."""
    for axis in axes:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)


def label_exponents(axis: Axes) -> None:
    """Ticks of a y axis of log10 values: at powers of ten, or at 1, 2 and 5 times these where there are few.

    Call it when everything is drawn, as it looks at the limits.
    """
    low, high = axis.get_ylim()
    if high - low < NARROW:
        axis.yaxis.set_major_locator(FixedLocator([float(np.log10(tick)) for tick in _ticks(10**low, 10**high)]))
    else:
        axis.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _power_of_ten(value)))


def log_scale(axis: Axes, way: Literal["x", "y"]) -> None:
    """A logarithmic scale, with ticks as `label_exponents` has them."""
    getattr(axis, f"set_{way}scale")("log")
    one = axis.xaxis if way == "x" else axis.yaxis
    low, high = one.get_view_interval()
    if high < low * 10**NARROW:
        one.set_major_locator(FixedLocator(_ticks(low, high)))
    one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    one.set_minor_formatter(NullFormatter())


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten; equally far numbers where these are too few."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)))
    found = [float(times * power) for power in powers for times in (1, 2, 5) if low <= times * power <= high]
    if len(found) < FEWEST:
        found = [
            float(tick)
            for tick in MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(low, high)
            if low <= tick <= high and tick > 0
        ]
    return found


def _power_of_ten(exponent: float) -> str:
    return f"{10**exponent:.3g}" if abs(exponent) < 3 else f"1e{exponent:g}"
