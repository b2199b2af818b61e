"""Learning curves: what `train.fit` has noted, over seeds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqjax._internal.types import Float, Int
from seqjax.errors import ArgumentError
from seqjax.plot._style import line_style

if TYPE_CHECKING:
    from seqjax.plot._figure import Figure

History = Sequence[Mapping[str, float]]
"""Rows of `Result.history` of `train.fit`: "step" and what was measured there."""


def learning_curves(
    runs: Mapping[str, Sequence[History]], measure: str = "loss", baseline: float | None = None, title: str = ""
) -> "Figure":
    """A measure over training: for each name a line of means over its runs, in a band from the least to the greatest.

    Steps are those at which all runs of a name have the measure. Where values span more than 1.5 powers of ten the
    scale is logarithmic.

    Args:
        runs: name -> one history for each seed.
        measure: the column, such as "loss", "norm" or "evaluation/accuracy".
        baseline: a dotted line.
        title: above the figure.

    Raises:
        ArgumentError: a name has no run, or its runs have no step with the measure in common.

    Examples:
        >>> from seqjax import plot
        >>> seeds = [[{"step": 100, "loss": 0.7}, {"step": 200, "loss": last}] for last in (0.2, 0.4)]
        >>> figure = plot.learning_curves({"GRU(16)": seeds}, baseline=0.69)
        >>> figure.axes[0].get_xlabel(), figure.axes[0].lines[0].get_ydata().round(3).tolist()
        ('training step', [0.7, 0.3])
    """
    from seqjax.plot._figure import NARROW, log_scale, new_figure, tidy

    figure = new_figure(6, 3.6, title)
    axis = figure.subplots()
    lowest = []
    for i, (name, histories) in enumerate(runs.items()):
        steps, values = _common(name, histories, measure)
        axis.plot(steps, values.mean(0), label=name, **line_style(i))
        if len(values) > 1:
            axis.fill_between(steps, values.min(0), values.max(0), color=line_style(i)["color"], alpha=0.2, lw=0)
        lowest.append(values.min())
    if baseline is not None:
        axis.axhline(baseline, color="#777777", ls=":", lw=1.2, label="baseline")
    axis.set(xlabel="training step", ylabel=measure)
    low, high = axis.get_ylim()
    if lowest and min(lowest) > 0 and high > 10**NARROW * min(lowest):
        axis.set_ylim(min(lowest) / 1.3, high)
        log_scale(axis, "y")
    tidy(axis)
    if len(axis.get_legend_handles_labels()[1]) > 1:
        axis.legend(fontsize=7)
    return figure


def _common(
    name: str, histories: Sequence[History], measure: str
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "runs n"]]:
    """Steps that all runs share, and the values there."""
    curves = [{row["step"]: row[measure] for row in history if measure in row} for history in histories]
    steps = sorted(set.intersection(*map(set, curves))) if curves else []
    if not steps:
        raise ArgumentError(
            f"learning_curves: the runs of {name!r} have no step with {measure!r} in common. "
            "Each name takes a list of histories: {name: [result.history]}"
        )
    return np.array(steps, int), np.array([[curve[step] for step in steps] for curve in curves], float)
