"""What `diagnostics.watch` has seen over a training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqjax.errors import ArgumentError
from seqjax.plot._style import line_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seqjax.plot._figure import Figure

PREFIX = "evaluation/"
NORM = "gradient/log10_at_"
TIMES = {"gradient/half_life": "half-life", "gradient/centroid": "centroid"}
LONGEST = 1000  # steps
LIMITS = {"low": "below 0.1", "high": "above 0.9", "outer": "beyond ± 0.9"}


def watched(history: Sequence[Mapping[str, Any]], title: str = "", *, shares: Sequence[str] = ()) -> "Figure":
    """Gradient norms by distance, memory in steps, and saturation, by training step.

    There is no half-life where norms grow with distance: a gap. Beyond 1,000 steps it is not drawn.

    Args:
        history: the rows of a training, as `train.fit(...).history` or `train.read_rows(path)`; those without metrics
            of `diagnostics.watch` are passed over.
        title: above the figure.
        shares: of what saturation is drawn, "PATH/low", "PATH/high" or "PATH/outer", as "0/f/high".

    Raises:
        ArgumentError: no row has such metrics, or a share that is not in them.

    Examples:
        >>> from seqjax import plot
        >>> row = {"evaluation/gradient/log10_at_1": -0.5, "evaluation/gradient/half_life": 4.0,
        ...        "evaluation/saturation/f/high": 0.1}
        >>> figure = plot.watched([{"step": 100} | row, {"step": 200} | row], shares=["f/high"])
        >>> [axis.get_ylabel() for axis in figure.axes]
        ['mean ‖∂L / ∂carry‖', 'steps', 'share']
        >>> figure.axes[2].lines[0].get_label()
        'f above 0.9'
    """
    from seqjax.plot._figure import label_exponents, log_scale, new_figure, tidy

    rows = [row for row in history if any(name.removeprefix(PREFIX).startswith("gradient/") for name in row)]
    if not rows:
        raise ArgumentError("watched: no row has metrics of diagnostics.watch. Were they in the evaluation of fit?")
    named = {name.removeprefix(PREFIX): name for name in rows[0]}
    norms = {name: f"{name.removeprefix(NORM)} back" for name in named if name.startswith(NORM)}
    panels = [("mean ‖∂L / ∂carry‖", norms), ("steps", {name: word for name, word in TIMES.items() if name in named})]
    if shares:
        panels.append(("share", {f"saturation/{share}": _word(share, named) for share in shares}))
    figure = new_figure(3.6 * len(panels), 3.0, title, size=11)
    axes = list(figure.subplots(1, len(panels), squeeze=False).ravel())
    for axis, (label, lines) in zip(axes, panels):
        _draw(axis, rows, {named[name]: word for name, word in lines.items()})
        axis.set_ylabel(label)
        tidy(axis)
    if norms:
        label_exponents(axes[0])
    if np.isfinite(np.concatenate([line.get_ydata() for line in axes[1].lines] or [[]])).any():
        log_scale(axes[1], "y")
    return figure


def _word(share: str, named: Mapping[str, str]) -> str:
    path, _, limit = share.rpartition("/")
    if f"saturation/{share}" not in named or limit not in LIMITS:
        known = sorted(name.removeprefix("saturation/") for name in named if name.startswith("saturation/"))
        raise ArgumentError(f"watched: shares has {share!r}, which is not among {', '.join(known) or 'the metrics'}")
    return f"{path} {LIMITS[limit]}"


def _draw(axis: "Axes", rows: Sequence[Mapping[str, Any]], lines: Mapping[str, str]) -> None:
    steps = [row["step"] for row in rows]
    for i, (name, word) in enumerate(lines.items()):
        values = np.array([row.get(name, np.nan) for row in rows], float)
        if name.removeprefix(PREFIX) in TIMES:
            values[~((values > 0) & (values <= LONGEST))] = np.nan  # a half-life passes through infinity
        values[~np.isfinite(values)] = np.nan
        marker = "o" if len(rows) < 3 else None
        axis.plot(steps, values, **line_style(i), marker=marker, ms=3, label=word)
    axis.set_xlabel("training step")
    axis.legend(fontsize=7)
