"""Gradient norms in every layer of a model, by step."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqjax.plot._style import line_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from seqjax.plot._figure import Figure

Norms = Sequence[float | None]

MEASURE = "log₁₀ mean ‖∂L_T / ∂v_t‖\n(L in nats)"


def layer_norms(
    panels: Mapping[str, Mapping[str, Norms]],
    lines: Collection[str] | None = None,
    title: str = "",
    *,
    step: int | None = None,
) -> "Figure":
    """Heat maps of layers by time, one for each group and on one scale, and below each its curves by distance.

    Args:
        panels: group -> name of the value v -> log10 norms by step t = 1 ... T, `[T]`; None is a norm of zero. The
            names are the same in all groups, the first layer first; it is drawn at the bottom.
        lines: the names that are drawn as curves too; None for all.
        title: above the figure.
        step: whose loss it is, counted from 0, as in `norm_by_step`; None for the last.

    Examples:
        >>> from seqjax import plot
        >>> norms = {"0/h  RNN(32)": [-3.0, -2.0, -1.0], "1/c  LSTM(32)": [-1.2, -1.1, -1.0]}
        >>> figure = plot.layer_norms({"before training": norms}, title="3 steps")
        >>> heat_map, curves, scale = figure.axes
        >>> [label.get_text() for label in heat_map.get_yticklabels()]
        ['0/h  RNN(32)', '1/c  LSTM(32)']
    """
    values = {group: {name: _numbers(logs) for name, logs in rows.items()} for group, rows in panels.items()}
    names = list(next(iter(values.values())))
    figure, maps, curves, scale = _axes(len(panels), len(names))
    for (group, rows), above, below in zip(values.items(), maps, curves):
        image = _heat_map(above, list(rows.values()), step, *_limits(values))
        above.set_title(group, fontsize=10)
        _curves(below, {name: rows[name] for name in names if lines is None or name in lines}, step)
    maps[0].set_yticks(range(len(names)), names, fontsize=7)
    measure = MEASURE if step is None else MEASURE.replace("L_T", "L")
    curves[0].set_ylabel(measure, fontsize=8)
    bar = figure.colorbar(image, cax=scale)
    bar.set_label(measure, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    for axis in (scale, curves[0]):
        axis.locator_params(axis="y", integer=True)
    handles = curves[0].get_legend_handles_labels()
    figure.legend(*handles, fontsize=7, loc="outside lower center", ncols=max(1, min(4, len(handles[0]))))
    figure.suptitle(title, fontsize=11)
    return figure


def _axes(groups: int, names: int) -> "tuple[Figure, list[Axes], list[Axes], Axes]":
    """Figure, axes of the maps, of the curves, and those of the colour bar beside the maps."""
    from seqjax.plot._figure import new_figure

    above, below = 0.8 + 0.2 * names, 2.4
    figure = new_figure(2.6 + 4 * groups, 1.6 + above + below)
    grid = figure.add_gridspec(2, groups + 1, width_ratios=[4] * groups + [0.13], height_ratios=[above, below])
    rows = []
    for i in range(2):
        first = figure.add_subplot(grid[i, 0])
        rows.append([first, *(figure.add_subplot(grid[i, j], sharey=first) for j in range(1, groups))])
        for axis in rows[i][1:]:
            axis.tick_params(labelleft=False)
    return figure, rows[0], rows[1], figure.add_subplot(grid[0, groups])


def _heat_map(axis: "Axes", rows: Sequence[np.ndarray], step: int | None, low: float, high: float) -> "AxesImage":
    """Steps from left to right; a norm of zero leaves the hatched ground to be seen."""
    from matplotlib import colormaps

    steps = len(rows[0])
    axis.patch.set(hatch="////", facecolor="white", edgecolor="#999999")
    colours = colormaps["cividis"].with_extremes(bad=(1, 1, 1, 0))
    place = (0.5, steps + 0.5, -0.5, len(rows) - 0.5)
    options: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", "origin": "lower", "extent": place}
    image = axis.imshow(np.stack(rows), cmap=colours, vmin=low, vmax=high, **options)
    hatched = "; hatched: zero" if any(np.isnan(row).any() for row in rows) else ""
    axis.set_xlabel(f"step t, the loss is of step {steps if step is None else step + 1}{hatched}", fontsize=8)
    axis.tick_params(labelsize=7)
    return image


def _curves(axis: "Axes", rows: Mapping[str, np.ndarray], step: int | None) -> None:
    for i, (name, logs) in enumerate(rows.items()):
        marker = "o" if np.isfinite(logs).sum() == 1 else None  # a line would not show it
        back = (len(logs) - 1 if step is None else step) - np.arange(len(logs))
        axis.plot(back[::-1], logs[::-1], **line_style(i), marker=marker, ms=3, label=name)
    axis.set_xlabel("steps back from the loss" + ("" if step is None else "; left of 0: ahead of it"), fontsize=8)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _numbers(logs: Norms) -> np.ndarray:
    """NaN for a norm of zero."""
    return np.array([np.nan if log is None else log for log in logs], float)


def _limits(values: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[float, float]:
    """The least and the largest number of all; (-1, 0) where there is none."""
    numbers = np.concatenate([logs for rows in values.values() for logs in rows.values()])
    numbers = numbers[np.isfinite(numbers)]
    return (float(numbers.min()), float(numbers.max())) if len(numbers) else (-1.0, 0.0)
