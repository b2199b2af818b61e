"""Gradient norms by distance, by length and by training step."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from seqjax.diagnostics import Summary
from seqjax.errors import ArgumentTypeError
from seqjax.plot._style import line_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seqjax.plot._figure import Figure

LONGEST = 30  # letters of a name that has room in a panel

Values = Sequence[float | None] | np.ndarray
"""Numbers; None where there is none, as a norm of zero has no logarithm."""


def norm_by_distance(
    panels: Mapping[str, Mapping[str, Mapping[str, Values] | Summary]], title: str = "", *, of: str = "carry"
) -> "Figure":
    """Gradient norm by distance from the end of the sequence; a straight line is an exponential.

    Args:
        panels: group -> name -> {"mean": log10 norms `[T + 1]`, and if there, "p10" and "p90"}; None is zero. Or what
            `diagnostics.summarize` gives: its mean, a thin line for the median, and a band between its outer quantiles.
        title: above the figure.
        of: what the gradient is taken in, as the axis has it.

    Examples:
        >>> from seqjax import plot
        >>> curves = {"RNN(64)": {"mean": [0.0, -1.5, -3.0]}, "LSTM(64)": {"mean": [0.0, -0.1, -0.2]}}
        >>> figure = plot.norm_by_distance({"before training": curves}, "2 steps of Shakespeare")
        >>> [line.get_label() for line in figure.axes[0].lines], figure.axes[0].get_xlabel()
        (['RNN(64)', 'LSTM(64)'], 'steps back from the loss')
    """
    from seqjax.plot._figure import label_exponents

    figure, axes = _panels(list(panels), title, "steps back from the loss", f"‖∂L_T / ∂{of}‖")
    for axis, curves in zip(axes, panels.values()):
        for i, (name, curve) in enumerate(curves.items()):
            curve = _in_powers(curve) if isinstance(curve, Summary) else curve
            mean = np.asarray(curve["mean"], float)
            axis.plot(np.arange(len(mean)), mean, **line_style(i), label=name)
            if "p10" in curve:
                low, high = (np.asarray(curve[q], float) for q in ("p10", "p90"))
                axis.fill_between(np.arange(len(mean)), low, high, color=line_style(i)["color"], alpha=0.15, lw=0)
            if "median" in curve:
                axis.plot(np.asarray(curve["median"], float), **line_style(i) | {"lw": 0.6}, label="_median")
        label_exponents(axis)
    _legends(figure, axes, "lower left")
    return figure


def _in_powers(summary: Summary) -> dict[str, Values]:
    """log10 of what is natural logarithms there; NaN for zero."""
    low, high = (summary.quantiles[i] if len(summary.quantiles) else summary.median for i in (0, -1))
    found = {"mean": summary.mean, "median": summary.median, "p10": low, "p90": high}
    return {name: np.where(np.isfinite(logs), logs, np.nan) / np.log(10) for name, logs in found.items()}


def norm_by_step(
    panels: Mapping[str, Mapping[str, Values]], step: int, title: str = "", *, of: str = "x_t"
) -> "Figure":
    """Gradient norm by step for the loss of one amid the sequence: left of it what lies behind, right what is ahead.

    Args:
        panels: group -> name -> log10 norms by step, `[T]`; None is zero.
        step: whose loss it is, counted from 0.
        title: above the figure.
        of: what the gradient is taken in, as the axis has it.

    Examples:
        >>> from seqjax import plot
        >>> curves = {"GRU(8)": [-2.0, -1.0, 0.0, None], "bidirectional(GRU(8))": [-2.0, -1.0, 0.0, -1.0]}
        >>> figure = plot.norm_by_step({"before training": curves}, step=2)
        >>> figure.axes[0].get_xlabel(), figure.axes[0].lines[0].get_xdata().tolist()
        ('step, from that of the loss', [-2, -1, 0, 1])
    """
    from seqjax.plot._figure import label_exponents

    figure, axes = _panels(list(panels), title, "step, from that of the loss", f"‖∂L / ∂{of}‖")
    for axis, curves in zip(axes, panels.values()):
        for i, (name, logs) in enumerate(curves.items()):
            axis.plot(np.arange(len(logs)) - step, np.asarray(logs, float), **line_style(i), label=name)
        label_exponents(axis)
    _legends(figure, axes, "below")
    return figure


def norm_by_length(panels: Mapping[str, Mapping[str, Values]], lengths: Sequence[int], title: str = "") -> "Figure":
    """Norm of the parameter gradient by sequence length.

    Args:
        panels: group -> name -> log10 norms, one for each of `lengths`.
        lengths: T.
        title: above the figure.

    Examples:
        >>> from seqjax import plot
        >>> figure = plot.norm_by_length({"after training": {"GRU(64)": [0.1, 0.2, 0.2]}}, [10, 100, 1000])
        >>> (axis,) = figure.axes
        >>> axis.get_xlabel(), axis.get_xscale()
        ('sequence length T', 'log')
    """
    from seqjax.plot._figure import label_exponents, log_scale

    figure, axes = _panels(list(panels), title, "sequence length T", "‖∂L_T / ∂params‖", sharey=False)
    for axis, curves in zip(axes, panels.values()):
        for i, (name, logs) in enumerate(curves.items()):
            axis.plot(lengths, np.asarray(logs, float), **line_style(i), marker="o", ms=3, label=name)
        log_scale(axis, "x")
        low, high = axis.get_ylim()
        axis.set_ylim(low, high + 0.4 * (high - low))  # lines may be anywhere: the names stand above them
        label_exponents(axis)
    _legends(figure, axes, "upper left")
    return figure


def training(norms: Mapping[str, Values], losses: Mapping[str, Values], title: str = "") -> "Figure":
    """Gradient norm and loss by training step, one line a name.

    Args:
        norms: name -> log10 of the norm before clipping, for each step.
        losses: name -> loss in nats, for each step.
        title: above the figure.

    Raises:
        ArgumentTypeError: norms or losses are not by name.

    Examples:
        >>> from seqjax import plot
        >>> figure = plot.training({"clipped": [0.0, 4.8, 1.0]}, {"clipped": [4.6, 3.9, 3.1]}, "RNN(64) under SGD")
        >>> [axis.get_title() for axis in figure.axes]
        ['gradient norm before clipping', 'loss in nats']
    """
    from seqjax.plot._figure import label_exponents

    for argument, value in (("norms", norms), ("losses", losses)):
        if not isinstance(value, Mapping):
            raise ArgumentTypeError(
                f"{argument} must be a dict of name -> a number for each step, found {type(value).__name__}. "
                'The history of fit? {"GRU(64)": [row["loss"] for row in result.history if "loss" in row]}; '
                "of norms, their log10"
            )
    names = ["gradient norm before clipping", "loss in nats"]
    figure, axes = _panels(names, title, "training step", "", sharey=False)
    for axis, curves in zip(axes, (norms, losses)):
        for i, (name, values) in enumerate(curves.items()):
            axis.plot(np.asarray(values, float), **line_style(i), label=name)
        axis.legend(fontsize=7)
    label_exponents(axes[0])
    return figure


def _legends(figure: "Figure", axes: "Sequence[Axes]", place: Literal["lower left", "upper left", "below"]) -> None:
    """The names in each panel; below all where they are too long for one, below each where a style stands for two."""
    named = [line for axis in axes for line in axis.lines if not str(line.get_label()).startswith("_")]
    lines = {str(line.get_label()): line for line in named}
    if place != "below" and max(map(len, lines)) <= LONGEST:
        for axis in axes:
            axis.legend(fontsize=7, loc=place)
    elif len({(line.get_color(), line.get_linestyle()) for line in named}) == len(lines):
        figure.legend(list(lines.values()), list(lines), fontsize=7, loc="outside lower center")
        figure.set_figheight(figure.get_figheight() + 0.16 * len(lines))
    else:
        for axis in axes:
            axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2))
        rows = [max(len(axis.lines) for axis in axes[i : i + 2]) for i in range(0, len(axes), 2)]
        figure.set_figheight(figure.get_figheight() + 0.16 * sum(rows))


def _panels(
    names: Sequence[str], title: str, xlabel: str, ylabel: str, sharey: bool = True
) -> "tuple[Figure, list[Axes]]":
    """A grid two panels wide."""
    from seqjax.plot._figure import new_figure, tidy

    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(4.4 * columns, 0.5 + 2.9 * rows, title, size=11)
    axes = list(figure.subplots(rows, columns, sharey=sharey, squeeze=False).ravel())
    for axis in axes[len(names) :]:
        axis.remove()
    for axis, name in zip(axes, names):
        axis.set(xlabel=xlabel, ylabel=ylabel)
        axis.set_title(name, fontsize=10)
        tidy(axis)
    return figure, axes[: len(names)]
