"""The gradient of the loss of one step in the state of another: a map of both."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqjax._internal.types import Array, Float
from seqjax.errors import ArgumentError

if TYPE_CHECKING:
    from seqjax.plot._figure import Figure

MOST = 2000  # columns: of more steps every so many is drawn
WIDEST, HIGHEST = 9.0, 6.0  # inches


def position_matrix(
    logs: Float[Array, "S T"],
    positions: Sequence[int] | None = None,
    words: Sequence[str] | None = None,
    title: str = "",
    *,
    of: str = "h",
) -> "Figure":
    """log10 of the norms of dL_s/dh_t, losses from top to bottom and states from left to right; zero is hatched.

    Args:
        logs: natural logarithms, `[S, T]`, as `gradient_by_position(...).layers["h"][0]`.
        positions: s of each row, from 0; where None, S must be T.
        words: T tokens that name steps; numbers where None.
        title: above the figure.
        of: the state, as the axis has it.

    Raises:
        ArgumentError: logs of another shape, positions or words that are not as many.

    Examples:
        >>> import numpy as np
        >>> from seqjax import plot
        >>> s, t = np.arange(3)[:, None], np.arange(3)
        >>> logs = np.where(t <= s, (t - s) * np.log(10), -np.inf)
        >>> figure = plot.position_matrix(logs, words="the cat sat".split())
        >>> figure.axes[0].images[0].get_clim(), figure.axes[0].get_ylabel()
        ((-2.0, 0.0), 'loss of step s')
    """
    from matplotlib import colormaps

    from seqjax.plot._figure import new_figure
    from seqjax.plot._words import label_words

    powers, rows = _powers(logs, positions, words)
    count, steps = powers.shape
    width, height = (
        float(np.clip(0.24 * n, least, most)) for n, least, most in ((steps, 2.4, WIDEST), (count, 1.6, HIGHEST))
    )
    figure = new_figure(width + 1.9, height + 1.0, title)
    axis = figure.subplots()
    axis.patch.set(hatch="////", facecolor="white", edgecolor="#999999")
    finite = powers[np.isfinite(powers)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (-1.0, 0.0)
    image = axis.imshow(
        np.where(np.isfinite(powers), powers, np.nan)[:, :: -(-steps // MOST)],
        cmap=colormaps["cividis"].with_extremes(bad=(1, 1, 1, 0)), vmin=low, vmax=high,
        aspect="auto", interpolation="nearest", extent=(-0.5, steps - 0.5, count - 0.5, -0.5),
    )  # fmt: skip
    label_words(axis.xaxis, words, steps, width)
    names = [str(s) if words is None else words[s] for s in rows]
    label_words(axis.yaxis, names, count, height)
    axis.set_xlabel("state of step t" + ("; hatched: zero" if len(finite) < powers.size else ""), fontsize=8)
    axis.set_ylabel("loss of step s", fontsize=8)
    bar = figure.colorbar(image, ax=axis, pad=0.02)
    bar.set_label(f"log₁₀ ‖∂L_s / ∂{of}_t‖ (L in nats)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def _powers(
    logs: Float[Array, "S T"], positions: Sequence[int] | None, words: Sequence[str] | None
) -> tuple[Float[np.ndarray, "S T"], list[int]]:
    """log10 norms, and s of each row."""
    powers = np.asarray(logs, float) / np.log(10)
    if powers.ndim != 2:
        raise ArgumentError(f"logs have shape {powers.shape}, expected [S, T]. Of a batch? Write logs[0]")
    rows, steps = powers.shape
    if positions is None and rows != steps:
        raise ArgumentError(
            f"logs are of {rows} losses and {steps} steps: say with positions= which steps those are of"
        )
    found = list(range(steps)) if positions is None else [int(s) for s in positions]
    if len(found) != rows or not all(-steps <= s < steps for s in found):
        raise ArgumentError(f"positions must be {rows} steps in 0 ... {steps - 1}, found {found}")
    if words is not None and len(words) != steps:
        raise ArgumentError(f"words has {len(words)} names, expected one for each of {steps} steps")
    return powers, [s % steps for s in found]
