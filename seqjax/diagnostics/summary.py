"""Logarithms of norms over examples: mean, median and quantiles, of any size."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqjax._internal.types import Array, Float, Int
from seqjax._internal.validation import real_number
from seqjax.errors import ArgumentError


class Summary(NamedTuple):
    """Natural logarithms of what `summarize` finds of norms; `...` are the axes but that of the examples.

    mean: of the norms. median: half of the examples are below it. quantiles: `[Q, ...]`. examples: how many.
    """

    mean: Float[np.ndarray, "..."]
    median: Float[np.ndarray, "..."]
    quantiles: Float[np.ndarray, "Q ..."]
    examples: Int[np.ndarray, "..."]


def summarize(logs: Float[Array, "..."], quantiles: Sequence[float] = (0.1, 0.9), axis: int = 0) -> Summary:
    """What norms, given as logarithms, are over examples; NaN entries, steps that are not real, are left out.

    The mean follows the few largest: one example in a hundred with an exploding gradient decides it. The median says
    what the typical example meets. Both are of norms, linear between two of them as `numpy.quantile` has it, though
    norms beyond the range of floats are taken as they are. Cost: a sort.

    Args:
        logs: natural logarithms, as of `gradient_flow(...).joint`, `[B, T + 1]`.
        quantiles: shares of examples in 0 ... 1, so many of which are below.
        axis: that of the examples.

    Raises:
        ArgumentError: a share outside of 0 ... 1; no such axis.

        >>> import numpy as np
        >>> from seqjax.diagnostics import summarize
        >>> found = summarize(np.log([[1.0], [2.0], [9.0]]), quantiles=(0.0, 1.0))
        >>> np.exp(found.mean).round(6).item(), np.exp(found.median).round(6).item()
        (4.0, 2.0)
        >>> np.exp(found.quantiles).round(6).ravel().tolist()
        [1.0, 9.0]
        >>> summarize(np.array([-4000.0, -4000.0])).median.item()
        -4000.0
    """
    logs = np.asarray(logs, np.float64)
    if not -logs.ndim <= axis < logs.ndim:
        raise ArgumentError(f"summarize: logs {logs.shape} have no axis {axis}")
    shares = [real_number("quantiles", share) for share in quantiles]
    if not all(0 <= share <= 1 for share in shares):
        raise ArgumentError(f"summarize: quantiles must be shares in 0 ... 1, found {tuple(quantiles)}. Percent?")
    rows = np.sort(np.moveaxis(logs, axis, 0), axis=0)  # NaN last
    count = np.sum(~np.isnan(rows), axis=0)
    found = [_log_quantile(rows, count, share) for share in (0.5, *shares)]
    return Summary(log_mean(logs, axis), found[0], np.array(found[1:]).reshape(len(shares), *count.shape), count)


def _log_quantile(rows: Float[np.ndarray, "N ..."], count: Int[np.ndarray, "..."], share: float) -> np.ndarray:
    """Between two sorted norms: log((1 - w) a + w b)."""
    if rows.shape[0] == 0:
        return np.full(count.shape, np.nan)
    place = share * np.maximum(count - 1, 0)
    low = np.floor(place).astype(int)
    below, above = (
        np.take_along_axis(rows, i[None], 0)[0] for i in (low, np.minimum(low + 1, np.maximum(count - 1, 0)))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.logaddexp(below + np.log1p(low - place), above + np.log(place - low))


def log_mean(logs: Float[Array, "..."], axis: int = 0) -> Float[np.ndarray, "..."]:
    """The logarithm of the mean of norms given as logarithms, NaN entries left out.

    >>> import numpy as np
    >>> from seqjax.diagnostics import log_mean
    >>> logs = np.log([[1.0, 4.0], [3.0, np.nan]])
    >>> np.exp(log_mean(logs)).round(6).tolist()
    [2.0, 4.0]
    >>> log_mean(np.array([-1000.0, -1000.0])).item()  # far below the smallest float
    -1000.0
    """
    logs = np.asarray(logs, np.float64)
    count = np.sum(~np.isnan(logs), axis=axis)
    logs = np.where(np.isnan(logs), -np.inf, logs)
    largest = np.max(logs, axis=axis, keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.log(np.sum(np.exp(logs - largest), axis=axis))
        return np.where(count > 0, total + np.squeeze(largest, axis) - np.log(count), np.nan)
