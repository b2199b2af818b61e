"""How often each unit of a gate is shut and open."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqjax.diagnostics import Saturation
from seqjax.errors import ArgumentError
from seqjax.plot._style import COLOURS

if TYPE_CHECKING:
    from seqjax.plot._figure import Figure


def saturation(found: Mapping[str, Saturation], paths: Sequence[str], title: str = "") -> "Figure":
    """A point for each unit: in what share of the steps its gate is shut, and open (Karpathy et al. 2015).

    Points near (0, 0) are gates that work in between, on the falling diagonal those that are always at a limit; at the
    right lower corner those that are never open, at the left upper one those that are never shut.

    Args:
        found: of `diagnostics.saturation`.
        paths: of gates in it, a panel each, as "0/f".
        title: above the figure.

    Raises:
        ArgumentError: no path, or one that is not in it.

    Examples:
        >>> import numpy as np
        >>> from seqjax import plot
        >>> from seqjax.diagnostics import Saturation
        >>> shares = Saturation(np.array([0.1, 0.0]), np.array([0.2, 0.9]), *[np.zeros(2)] * 3)
        >>> (axis,) = plot.saturation({"0/f": shares}, ["0/f"]).axes
        >>> axis.get_title(), axis.collections[0].get_offsets().tolist()
        ('0/f', [[0.1, 0.2], [0.0, 0.9]])
    """
    from seqjax.plot._figure import new_figure, tidy

    missing = [path for path in paths if path not in found]
    if missing or not paths:
        raise ArgumentError(f"saturation: paths must be some of {', '.join(found)}, found {list(paths)}")
    figure = new_figure(0.6 + 2.5 * len(paths), 3.0, title)
    for axis, path in zip(figure.subplots(1, len(paths), squeeze=False, sharey=True).ravel(), paths):
        low, high = (np.ravel(np.asarray(share, float)) for share in (found[path].low, found[path].high))
        axis.plot([0, 1], [1, 0], color="#999999", lw=0.8)
        axis.scatter(low, high, s=18, color=COLOURS[0], alpha=0.5, lw=0)
        axis.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), xlabel="share of steps shut (< 0.1)", aspect="equal")
        axis.set_title(path, fontsize=10)
        tidy(axis)
    figure.axes[0].set_ylabel("share of steps open (> 0.9)")
    return figure
