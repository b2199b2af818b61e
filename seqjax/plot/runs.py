"""Runs beside each other, over training and by their results."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqjax.plot._style import line_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seqjax.plot._figure import Figure

Curve = tuple[Sequence[float], Sequence[float]]
Bounds = tuple[float, float]
ANY = (-math.inf, math.inf)
FEW_NAMES, MOST_NAMES = 4, 12  # in a legend: within the panel up to the first number, none above the second
MOST_TICKS = 12  # where there are more points than that, ticks stand where they are not in each other's way


def comparison(
    curves: Mapping[str, Sequence[Curve]],
    ends: Mapping[str, tuple[float, float]],
    measure: str,
    baselines: Sequence[float] = (),
    title: str = "",
    bounds: Bounds = ANY,
) -> "Figure":
    """A measure over training steps, a line for each seed, and the result, a point with an interval for each name.

    Args:
        curves: name -> one (steps, values) for each seed; {} leaves that panel out.
        ends: name -> (mean, half of the interval or NaN).
        measure: what it is called.
        baselines: dotted lines.
        title: above the figure.
        bounds: what the measure cannot leave, such as (0, inf) for an error; intervals are cut off there.

    Examples:
        >>> from seqjax import plot
        >>> curves = {"GRU(64)": [([250, 500], [0.1, 0.004])], "RNN(64)": [([250, 500], [0.17, 0.168])]}
        >>> ends = {"GRU(64)": (0.004, 0.005), "RNN(64)": (0.167, 0.005)}
        >>> figure = plot.comparison(curves, ends, "mse", [1 / 6], "adding", bounds=(0, float("inf")))
        >>> over_training, results = figure.axes
        >>> over_training.get_xlabel(), results.get_xlabel()
        ('training step', 'mse, result')
        >>> [text.get_text() for text in over_training.get_legend().get_texts()]
        ['GRU(64)', 'RNN(64)', 'baseline']
    """
    from seqjax.plot._figure import new_figure, tidy

    width = 10 if curves else 6
    names = list(dict.fromkeys([*ends, *curves]))
    below = bool(curves) and FEW_NAMES < len(names) <= MOST_NAMES  # a legend that would cover the lines
    figure = new_figure(width, max(3.2, 1.4 + 0.32 * len(ends)) + (0.4 + 0.09 * len(names) if below else 0), title)
    axes = figure.subplots(1, 2 if curves else 1, squeeze=False)[0]
    if curves:
        _draw_curves(axes[0], names, curves, measure, baselines)
    _draw_results(axes[-1], names, ends, measure, bounds)
    for i, value in enumerate(baselines):
        for axis, draw in zip(axes[::-1], ("axvline", "axhline")):
            getattr(axis, draw)(value, color="#777777", ls=":", lw=1.2, label=None if i else "baseline")
    tidy(*axes)
    if below:
        axes[0].legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    elif (curves and len(names) <= MOST_NAMES) or baselines:
        axes[0].legend(fontsize=7)
    return figure


def trend(
    lines: Mapping[str, Sequence[tuple[float, float, float]]], x: str, y: str, title: str = "", bounds: Bounds = ANY
) -> "Figure":
    """Results over a number, such as the length of sequences: a line of points with intervals for each name.

    Args:
        lines: name -> points (x, mean, half of the interval or NaN).
        x: what the number is called.
        y: what the result is called.
        title: above the figure.
        bounds: what the result cannot leave; intervals are cut off there.

    Examples:
        >>> from seqjax import plot
        >>> figure = plot.trend({"LSTM": [(50, 4.9, 0.2), (200, 21.7, 1.0)]}, "length", "step_ms")
        >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
        ('length', 'step_ms')
    """
    from seqjax.plot._figure import log_scale, new_figure, tidy

    figure = new_figure(6, 3.6, title)
    axis = figure.subplots()
    for i, (name, points) in enumerate(lines.items()):
        at, means, halves = np.transpose(np.asarray(points, float))
        errors = _errors(means, halves, bounds)
        axis.errorbar(at, means, yerr=errors, marker="o", ms=4, capsize=3, label=name, **line_style(i))
    places, means = (np.array([point[k] for points in lines.values() for point in points]) for k in (0, 1))
    axis.set(xlabel=x, ylabel=y)
    if _spans_powers(places):
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
    if _spans_powers(means) and not np.isfinite(bounds).all():  # a share is read on a linear scale
        log_scale(axis, "y")
    if len(np.unique(places)) <= MOST_TICKS:
        axis.set_xticks(np.unique(places))
    tidy(axis)
    if len(lines) > 1:
        figure.legend(loc="outside right center", fontsize=7)
    return figure


def _draw_curves(
    axis: "Axes",
    names: Sequence[str],
    curves: Mapping[str, Sequence[Curve]],
    measure: str,
    baselines: Sequence[float],
) -> None:
    for i, name in enumerate(names):
        for seed, (steps, values) in enumerate(curves.get(name, ())):
            label = name if seed == 0 and len(names) <= 12 else None
            axis.plot(steps, values, **line_style(i) | {"lw": 1.1}, alpha=0.8, label=label)
    axis.set(xlabel="training step", ylabel=measure)
    _show_the_end(axis, [values for seeds in curves.values() for _, values in seeds], baselines)


def _draw_results(
    axis: "Axes", names: Sequence[str], ends: Mapping[str, tuple[float, float]], measure: str, bounds: Bounds
) -> None:
    """A row for each name, the first one on top."""
    from seqjax.plot._figure import log_scale

    for i, name in enumerate(names):
        if name in ends:
            mean, half = ends[name]
            error = _errors(np.array([mean]), np.array([half]), bounds)
            color = line_style(i)["color"]
            axis.errorbar(mean, len(names) - i, xerr=error, fmt="o", ms=5, capsize=3, color=color)
    axis.set(xlabel=f"{measure}, result", yticks=range(len(names), 0, -1), yticklabels=names)
    axis.set_ylim(0.4, len(names) + 0.6)
    axis.tick_params(axis="y", labelsize=7)
    least = [mean - np.nan_to_num(half) for mean, half in ends.values()]
    if least and min(least) > 0 and max(mean for mean, _ in ends.values()) > 30 * min(least):
        log_scale(axis, "x")


def _errors(means: np.ndarray, halves: np.ndarray, bounds: Bounds) -> np.ndarray | None:
    """How far intervals reach down and up, `[2, N]`, cut off at the bounds; None where there is none at all."""
    if np.isnan(halves).all():
        return None
    low, high = bounds
    return np.stack([np.minimum(halves, np.maximum(means - low, 0)), np.minimum(halves, np.maximum(high - means, 0))])


def _spans_powers(values: np.ndarray) -> bool:
    return bool(len(values) and values.min() > 0 and values.max() >= 8 * values.min())


def _show_the_end(axis: "Axes", lines: Sequence[Sequence[float]], baselines: Sequence[float]) -> None:
    """Leave out what only the first tenth of the lines reaches, and use powers of ten where values span several."""
    from seqjax.plot._figure import log_scale

    later = [value for values in lines for value in values[len(values) // 10 :] if np.isfinite(value)]
    if not later:
        return
    low, high = min([*later, *baselines]), max([*later, *baselines])
    if low > 0 and high > 30 * low:
        axis.set_ylim(low / 1.3, high * 1.3)
        log_scale(axis, "y")
    elif high > low:
        axis.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
