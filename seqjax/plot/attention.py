"""Attention weights as maps of queries and keys, one for each head."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqjax._internal.types import Array, Float
from seqjax.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from seqjax.plot._figure import Figure

WIDEST, HIGHEST = 9.0, 6.0  # inches of all maps beside each other, and of one


def attention(
    weights: Float[Array, "T *N S"],
    queries: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    *,
    heads: Sequence[str] | None = None,
    title: str = "",
) -> "Figure":
    """Which keys each query looks at: a map for each head, queries from top to bottom and keys from left to right.

    One scale for all heads, from 0. A query that looks nowhere, as one that is not real, is hatched.

    Args:
        weights: of one sequence, `[T, N, S]`, or `[T, S]` of one head: `attention_weights(...)[path][0]`.
        queries: T tokens in words, from top to bottom; step numbers where None.
        keys: S tokens; the queries where None and S = T. Tokens that have no room are left out, and steps numbered.
        heads: N names above the maps.
        title: above the figure.

    Raises:
        ArgumentError, ArgumentTypeError: weights of another shape, or of several layers; names that are not as many.

    Examples:
        >>> import numpy as np
        >>> from seqjax import plot
        >>> weights = np.tril(np.ones((3, 3))) / np.arange(1, 4)[:, None]
        >>> figure = plot.attention(weights, "the cat sat".split(), title="all words so far alike")
        >>> axis, scale = figure.axes
        >>> [label.get_text() for label in axis.get_xticklabels()]
        ['the', 'cat', 'sat']
    """
    from seqjax.plot._figure import new_figure
    from seqjax.plot._words import label_words

    weights = _check(weights, queries, keys, heads)
    steps, count, size = weights.shape
    keys = queries if keys is None and size == steps else keys
    columns = min(4, count)
    rows = -(-count // columns)
    unit = min(0.16, WIDEST / columns / size, HIGHEST / steps)  # inches of a cell
    width, height = max(1.6, unit * size), max(1.4, unit * steps)
    figure = new_figure(0.9 + columns * (width + 0.7), 0.6 + rows * (height + 0.8), title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[count:]:
        axis.remove()
    top = float(weights.max()) or 1.0
    for n, axis in enumerate(axes[:count]):
        image = _map(axis, weights[:, n], top)
        axis.set_title(heads[n] if heads else f"head {n}" if count > 1 else "", fontsize=8)
        label_words(axis.yaxis, queries if n % columns == 0 else [""] * steps, steps, height)
        label_words(axis.xaxis, keys, size, width)
    figure.supxlabel("key", fontsize=8)
    figure.supylabel("query", fontsize=8)
    bar = figure.colorbar(image, ax=list(axes[:count]), pad=0.02, aspect=25)
    bar.ax.tick_params(labelsize=7)
    return figure


def _check(
    weights: Float[Array, "T *N S"],
    queries: Sequence[str] | None,
    keys: Sequence[str] | None,
    heads: Sequence[str] | None,
) -> np.ndarray:
    """Weights `[T, N, S]`, with as many names as there are of each."""
    if isinstance(weights, Mapping):
        raise ArgumentTypeError(
            f"weights must be an array, found those of several layers, {', '.join(map(repr, weights))}. Take one, and "
            "of it one sequence: weights[path][0]"
        )
    weights = np.asarray(weights, float)
    if weights.ndim == 2:
        weights = weights[:, None]
    if weights.ndim != 3:
        raise ArgumentError(
            f"weights have shape {weights.shape}, expected [T, N, S] or [T, S], of one sequence. Of a batch? Write "
            "weights[0]. Of several layers? Take one: weights[0][:, layer]"
        )
    steps, count, size = weights.shape
    for name, words, wanted in (("queries", queries, steps), ("keys", keys, size), ("heads", heads, count)):
        if words is not None and len(words) != wanted:
            raise ArgumentError(f"{name} has {len(words)} names, expected {wanted} for weights {weights.shape}")
    return weights


def _map(axis: "Axes", weights: np.ndarray, top: float) -> "AxesImage":
    from matplotlib import colormaps

    axis.patch.set(hatch="////", facecolor="white", edgecolor="#999999")
    shown = np.where(weights.sum(axis=-1, keepdims=True) > 0, weights, np.nan)
    colours = colormaps["Blues"].with_extremes(bad=(1, 1, 1, 0))
    return axis.imshow(shown, cmap=colours, vmin=0, vmax=top, aspect="auto", interpolation="nearest")
