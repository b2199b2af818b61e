"""What steps do to differences in the state: singular values by lag, Lyapunov exponents."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqjax._internal.types import Array, Float
from seqjax.errors import ArgumentError
from seqjax.plot._style import STYLES, line_style

if TYPE_CHECKING:
    from seqjax.plot._figure import Figure

POINTS = 1000  # of a curve; a figure has not more
LINES = 7  # singular values that are drawn
MARKS = ("o", "s", "^", "D", "v", "P", "X")
MARKED = 40  # so many exponents have marks of their own


def spectrum_by_lag(panels: Mapping[str, Float[Array, "T+1 n"]], title: str = "") -> "Figure":
    """Singular values of d carry_T / d carry_(T-k) by lag k: how the n directions are kept, lost or magnified.

    A straight line is an exponential. The largest, the smallest and some between are drawn, from dark to light, on a
    ground that reaches over all; lines end where a value is zero.

    Args:
        panels: name -> natural logarithms `[T + 1, n]` of one sequence, as `jacobian_spectrum(...).logs[0]`.
        title: above the figure.

    Raises:
        ArgumentError: no panel; values of another shape, as those of a batch.

    Examples:
        >>> import numpy as np
        >>> from seqjax import plot
        >>> logs = -np.arange(51)[:, None] * np.array([0.01, 0.1, 0.7])  # a diagonal cell
        >>> figure = plot.spectrum_by_lag({"three rates": logs})
        >>> [line.get_label() for line in figure.axes[0].lines], figure.axes[0].get_xlabel()
        (['$s_{1}$', '$s_{2}$', '$s_{3}$'], 'lag k in steps')
    """
    from matplotlib import colormaps

    from seqjax.plot._figure import label_exponents, new_figure, tidy

    curves = {name: _matrix(name, logs) / np.log(10) for name, logs in panels.items()}
    if not curves:
        raise ArgumentError("spectrum_by_lag: give at least one panel")
    figure = new_figure(0.8 + 4.2 * len(curves), 3.6, title, size=11)
    axes = figure.subplots(1, len(curves), sharey=True, squeeze=False).ravel()
    for axis, (name, logs) in zip(axes, curves.items()):
        lags = np.unique(np.linspace(0, len(logs) - 1, min(POINTS, len(logs))).round().astype(int))
        shown = np.where(np.isfinite(logs), logs, np.nan)[lags]
        chosen = np.unique(np.linspace(0, shown.shape[1] - 1, min(LINES, shown.shape[1])).round().astype(int))
        axis.fill_between(lags, _least(shown), shown[:, 0], color="#888888", alpha=0.12, lw=0)
        for i, j in enumerate(chosen):
            shade = colormaps["cividis"](0.85 * i / max(1, len(chosen) - 1))
            axis.plot(lags, shown[:, j], color=shade, ls=STYLES[i % len(STYLES)], lw=1.6, label=f"$s_{{{j + 1}}}$")
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("lag k in steps")
        axis.legend(fontsize=7, loc="lower left")
        tidy(axis)
    axes[0].set_ylabel("singular value of ∂(last carry)\n/ ∂(carry k steps before)")
    label_exponents(axes[0])
    return figure


def exponents(
    curves: Mapping[str, Float[Array, " n"]],
    errors: Mapping[str, Float[Array, " n"]] | None = None,
    title: str = "",
) -> "Figure":
    """Lyapunov exponents from the largest to the smallest: above the line at 0 differences grow, below it they shrink.

    Args:
        curves: name -> exponents in nats a step, `[n]` of one sequence or a mean over some, as
            `lyapunov_exponents(...).exponents[0]`. Those of -inf are left out.
        errors: name -> standard errors `[n]`, drawn as bars of two of them.
        title: above the figure.

    Raises:
        ArgumentError: no curve; values of another shape; errors that are not as many.

    Examples:
        >>> from seqjax import plot
        >>> figure = plot.exponents({"Hénon map": [0.419, -1.623]}, {"Hénon map": [0.005, 0.005]})
        >>> figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()
        ('Lyapunov exponent in nats a step', 'number i, from the largest')
    """
    from matplotlib.ticker import MaxNLocator

    from seqjax.plot._figure import new_figure, tidy

    if not curves:
        raise ArgumentError("exponents: give at least one curve")
    figure = new_figure(5.4, 3.6, title, size=11)
    axis = figure.subplots()
    axis.axhline(0, color="#777777", lw=1)
    for i, (name, found) in enumerate(curves.items()):
        values = _vector(name, found)
        spread = None if errors is None or name not in errors else 2 * _vector(name, errors[name])
        if spread is not None and len(spread) != len(values):
            raise ArgumentError(f"errors[{name!r}] has {len(spread)} numbers, expected {len(values)} as in curves")
        values = np.where(np.isfinite(values), values, np.nan)
        mark = MARKS[i % len(MARKS)] if len(values) <= MARKED else None
        place = np.arange(1, len(values) + 1)
        axis.errorbar(place, values, spread, marker=mark, ms=4, capsize=2, label=name, **line_style(i))
    axis.set(xlabel="number i, from the largest", ylabel="Lyapunov exponent in nats a step")
    axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axis.legend(fontsize=7, loc="lower left")
    tidy(axis)
    return figure


def _least(logs: np.ndarray) -> np.ndarray:
    """The smallest that is not zero at each lag."""
    return np.min(logs, axis=1, initial=np.inf, where=~np.isnan(logs))


def _matrix(name: str, logs: Float[Array, "T+1 n"]) -> np.ndarray:
    found = np.asarray(logs, float)
    if found.ndim != 2 or 0 in found.shape:
        raise ArgumentError(
            f"panels[{name!r}] has shape {found.shape}, expected [T + 1, n] of one sequence. A batch? Write logs[0]"
        )
    return found


def _vector(name: str, values: Float[Array, " n"] | Sequence[float]) -> np.ndarray:
    found = np.asarray(values, float)
    if found.ndim != 1 or not found.size:
        raise ArgumentError(
            f"{name!r} has values of shape {found.shape}, expected [n] of one sequence. A batch? Write exponents[0], "
            "or take a mean"
        )
    return found
