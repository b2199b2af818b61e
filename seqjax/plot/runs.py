"""Runs beside each other, over training and by their results."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqjax.plot.norms import _line

Curve = tuple[Sequence[float], Sequence[float]]


def comparison(
    curves: Mapping[str, Sequence[Curve]],
    ends: Mapping[str, tuple[float, float]],
    measure: str,
    baselines: Sequence[float] = (),
    title: str = "",
) -> Any:
    """A measure over training steps, a line for each seed, and the result, a point with an interval for each name.

    Args:
        curves: name -> one (steps, values) for each seed; {} leaves that panel out.
        ends: name -> (mean, half of the interval or NaN).
        measure: what it is called.
        baselines: dotted lines.
        title: above the figure.
    """
    from matplotlib.figure import Figure

    wide = bool(curves)
    height = max(3.2, 1.4 + 0.32 * len(ends))
    figure = Figure(figsize=(10 if wide else 6, height), layout="constrained")
    axes = figure.subplots(1, 2 if wide else 1, squeeze=False)[0]
    names = list(dict.fromkeys([*ends, *curves]))
    for i, name in enumerate(names):
        line = _line(i)
        for seed, (steps, values) in enumerate(curves.get(name, ())):
            axes[0].plot(steps, values, **line | {"lw": 1.1}, alpha=0.8, label=None if seed else name)
        if name in ends:
            mean, half = ends[name]
            error = None if np.isnan(half) else half
            axes[-1].errorbar(mean, len(names) - i, xerr=error, fmt="o", ms=5, capsize=3, color=line["color"])
    if wide:
        axes[0].set(xlabel="training step", ylabel=measure)
        _show_the_end(axes[0], [values for seeds in curves.values() for _, values in seeds], baselines)
        if len(names) <= 12:
            axes[0].legend(fontsize=7)
    axes[-1].set(xlabel=f"{measure}, result", yticks=range(len(names), 0, -1), yticklabels=names)
    axes[-1].set_ylim(0.4, len(names) + 0.6)
    axes[-1].tick_params(axis="y", labelsize=7)
    least = [mean - np.nan_to_num(half) for mean, half in ends.values()]
    if least and min(least) > 0 and max(mean for mean, _ in ends.values()) > 30 * min(least):
        axes[-1].set_xscale("log")
    for value in baselines:
        for axis, draw in zip(axes[::-1], ("axvline", "axhline")):
            getattr(axis, draw)(value, color="#777777", ls=":", lw=1)
    for axis in axes:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10)
    return figure


def trend(lines: Mapping[str, Sequence[tuple[float, float, float]]], x: str, y: str, title: str = "") -> Any:
    """Results over a number, such as the length of sequences: a line of points with intervals for each name.

    Args:
        lines: name -> points (x, mean, half of the interval or NaN).
        x: what the number is called.
        y: what the result is called.
        title: above the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axis = figure.subplots()
    for i, (name, points) in enumerate(lines.items()):
        at, means, halves = np.transpose(np.asarray(points, float))
        axis.errorbar(at, means, yerr=halves, marker="o", ms=4, capsize=3, label=name, **_line(i))
    places, means = (np.array([point[k] for points in lines.values() for point in points]) for k in (0, 1))
    axis.set(xlabel=x, ylabel=y)
    for values, way in ((places, "x"), (means, "y")):
        if values.min() > 0 and values.max() >= 8 * values.min():
            getattr(axis, f"set_{way}scale")("log", base=2 if way == "x" else 10)
            getattr(axis, f"{way}axis").set_major_formatter("{x:g}")
    axis.set_xticks(np.unique(places))
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        figure.legend(loc="outside right center", fontsize=7)
    figure.suptitle(title, fontsize=10)
    return figure


def _show_the_end(axis: Any, lines: Sequence[Sequence[float]], baselines: Sequence[float]) -> None:
    """Leave out what only the first tenth of the lines reaches, and use powers of ten where values span several."""
    later = [value for values in lines for value in values[len(values) // 10 :] if np.isfinite(value)]
    if not later:
        return
    low, high = min([*later, *baselines]), max([*later, *baselines])
    if low > 0 and high > 30 * low:
        axis.set_yscale("log")
        axis.set_ylim(low / 1.3, high * 1.3)
    elif high > low:
        axis.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
