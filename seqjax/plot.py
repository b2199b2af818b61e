"""Figures of the package's measures, with matplotlib. Each returns the figure; saving it is the caller's."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLES = ("-", "--", ":", "-.")


def norm_by_distance(panels: Mapping[str, Mapping[str, Mapping[str, Any]]], title: str = "") -> Any:
    """Gradient norm by distance from the end of the sequence, one panel a group, one line a name.

    Args:
        panels: group -> name -> {"mean": log10 norms `[T + 1]`, and if there, "p10" and "p90"}.
        title: above the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(panels), 3.8), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axis, (group, curves) in zip(axes, panels.items()):
        for i, (name, curve) in enumerate(curves.items()):
            colour, style = COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]
            mean = np.asarray(curve["mean"], float)
            steps = np.arange(len(mean))
            axis.plot(steps, mean, style, color=colour, label=name, lw=1.6)
            if "p10" in curve:
                low, high = (np.asarray(curve[q], float) for q in ("p10", "p90"))
                axis.fill_between(steps, low, high, color=colour, alpha=0.15, lw=0)
        axis.set_xscale("symlog", linthresh=10)
        axis.set_title(group, fontsize=10)
        axis.set_xlabel("steps back from the loss")
        axis.grid(alpha=0.25)
        axis.legend(fontsize=7, loc="lower left")
    _decades(axes[0])
    axes[0].set_ylabel("‖∂L_T / ∂carry‖, mean over examples")
    figure.suptitle(title, fontsize=11)
    return figure


def norm_by_length(panels: Mapping[str, Mapping[str, Sequence[float]]], lengths: Sequence[int], title: str = "") -> Any:
    """Norm of the parameter gradient by sequence length, one panel a group, one line a name.

    Args:
        panels: group -> name -> log10 norms, one for each of `lengths`.
        lengths: T.
        title: above the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axis, (group, curves) in zip(axes, panels.items()):
        for i, (name, logs) in enumerate(curves.items()):
            colour, style = COLOURS[i % len(COLOURS)], STYLES[i % len(STYLES)]
            axis.plot(lengths, logs, style, marker="o", ms=3, color=colour, label=name)
        axis.set_xscale("log")
        axis.set_title(group, fontsize=10)
        axis.set_xlabel("sequence length T")
        axis.grid(alpha=0.25)
        axis.legend(fontsize=7)
    _decades(axes[0])
    axes[0].set_ylabel("‖∂L_T / ∂params‖")
    figure.suptitle(title, fontsize=11)
    return figure


def _decades(axis: Any) -> None:
    axis.yaxis.set_major_formatter(lambda value, _: f"$10^{{{value:g}}}$")
