"""Gradient norms by distance, by length and by training step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLES = ("-", "--", ":", "-.")

Panels = Mapping[str, Mapping[str, Any]]


def norm_by_distance(panels: Panels, title: str = "") -> Any:
    """Gradient norm by distance from the end of the sequence; a straight line is an exponential.

    Args:
        panels: group -> name -> {"mean": log10 norms `[T + 1]`, and if there, "p10" and "p90"}; None is zero.
        title: above the figure.
    """
    figure, axes = _panels(panels, title, "steps back from the loss", "‖∂L_T / ∂carry‖")
    for axis, curves in zip(axes, panels.values()):
        for i, (name, curve) in enumerate(curves.items()):
            mean = np.asarray(curve["mean"], float)
            axis.plot(np.arange(len(mean)), mean, **_line(i), label=name)
            if "p10" in curve:
                low, high = (np.asarray(curve[q], float) for q in ("p10", "p90"))
                axis.fill_between(np.arange(len(mean)), low, high, color=_line(i)["color"], alpha=0.15, lw=0)
        axis.legend(fontsize=7, loc="lower left")
    return figure


def norm_by_length(panels: Panels, lengths: Sequence[int], title: str = "") -> Any:
    """Norm of the parameter gradient by sequence length.

    Args:
        panels: group -> name -> log10 norms, one for each of `lengths`.
        lengths: T.
        title: above the figure.
    """
    figure, axes = _panels(panels, title, "sequence length T", "‖∂L_T / ∂params‖", sharey=False)
    for axis, curves in zip(axes, panels.values()):
        for i, (name, logs) in enumerate(curves.items()):
            axis.plot(lengths, np.asarray(logs, float), **_line(i), marker="o", ms=3, label=name)
        axis.set_xscale("log")
        axis.legend(fontsize=7)
    return figure


def training(norms: Mapping[str, Any], losses: Mapping[str, Any], title: str = "") -> Any:
    """Gradient norm (log10) and loss by training step, one line a name."""
    panels = {"gradient norm before clipping": norms, "loss in nats": losses}
    figure, axes = _panels(panels, title, "training step", "", sharey=False)
    for axis, curves in zip(axes, panels.values()):
        for i, (name, values) in enumerate(curves.items()):
            axis.plot(np.asarray(values, float), **_line(i), label=name)
        axis.legend(fontsize=7)
    axes[1].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return figure


def _line(i: int) -> dict[str, Any]:
    return {"color": COLOURS[i % len(COLOURS)], "linestyle": STYLES[i % len(STYLES)], "lw": 1.6}


def _panels(panels: Panels, title: str, xlabel: str, ylabel: str, sharey: bool = True) -> tuple[Any, Any]:
    """A grid two panels wide whose y axes are labelled as powers of ten."""
    from matplotlib.figure import Figure

    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.4 * columns, 0.5 + 2.9 * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns, sharey=sharey)).ravel()
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis, name in zip(axes, panels):
        axis.set_title(name, fontsize=10)
        axis.set_xlabel(xlabel)
        axis.set_ylabel(ylabel)
        axis.grid(alpha=0.25)
        axis.yaxis.set_major_formatter(lambda value, _: _power_of_ten(value))
    figure.suptitle(title, fontsize=11)
    return figure, axes


def _power_of_ten(exponent: float) -> str:
    return f"{10**exponent:.3g}" if abs(exponent) < 3 else f"1e{exponent:g}"
