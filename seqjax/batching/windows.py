"""Windows of time series for forecasting, and the scaling of their columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from seqjax._internal.validation import true_or_false, whole_number
from seqjax.batching.batch import Batch
from seqjax.batching.order import permutation
from seqjax.batching.ragged import Ragged
from seqjax.batching.rows import as_array, cut, length_mask, sequences
from seqjax.batching.scaler import check_columns
from seqjax.batching.source import Ordered, Rows, count_batches, take_rows
from seqjax.errors import ArgumentError


@dataclass(frozen=True, eq=False, repr=False)
class Windows(Ordered):
    """Windows of time series: `context` steps to read, and the `horizon` steps after them to forecast.

    A window lies within one series. So split a series by cutting it, and fit the scaler on the first part alone:

        train, test = series[:8000], series[8000:]
        scaler = Scaler.fit(train)
        batches = Windows(scaler(train), 96, 24, batch_size=32)

    >>> import numpy as np
    >>> source = Windows(np.arange(7.0), context=3, horizon=2, batch_size=3, shuffle=False)
    >>> batch = source.batch(0)
    >>> batch.inputs[..., 0].tolist(), batch.targets[..., 0].tolist()
    ([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]], [[3.0, 4.0], [4.0, 5.0], [5.0, 6.0]])

    Batch: inputs `[B, context, D]`, targets `[B, horizon, columns]`, weights `[B, horizon]`, lengths `[B]` = context
    (0 and weights False for rows that fill up the last batch).

    Args:
        series: one series `[N, D]` (or `[N]`, for D = 1); or several, as a list or `Ragged` of such.
        context, horizon: steps.
        batch_size: rows of a batch, B.
        seed: of the order, `permutation(seed, epoch, number of windows)`.
        stride: steps from a window to the next one.
        columns: the columns to forecast, by number; None for all.
        gaps: what to do about missing values (NaN): "error", or "skip" the windows that hold one.
        shuffle: False keeps the order of time.
        remainder: "pad" or "drop" the last batch, as in `Shuffled`.

    Raises:
        ArgumentError, ArgumentTypeError: no window fits, a NaN without gaps="skip", an infinite value, a column that
            there is not, or another argument that cannot be right.
    """

    series: Ragged | ArrayLike
    context: int
    horizon: int
    batch_size: int = field(kw_only=True)
    seed: int = field(default=0, kw_only=True)
    stride: int = field(default=1, kw_only=True)
    columns: Sequence[int] | None = field(default=None, kw_only=True)
    gaps: str = field(default="error", kw_only=True)
    shuffle: bool = field(default=True, kw_only=True)
    remainder: str = field(default="pad", kw_only=True)
    places: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        for name in ("context", "horizon", "batch_size", "stride"):
            whole_number(name, getattr(self, name), 1)
        whole_number("seed", self.seed)
        true_or_false("shuffle", self.shuffle)
        if self.gaps not in ("error", "skip"):
            raise ArgumentError(f'gaps must be "error" or "skip", found {self.gaps!r}')
        series = _series(self.series)
        if self.columns is not None:
            check_columns(self.columns, series.values.shape[1])
        object.__setattr__(self, "series", series)
        object.__setattr__(self, "places", self._starts(series))
        if self.steps_per_epoch == 0:
            raise ArgumentError(
                f"no batch: {len(self.places)} windows of {self.context} + {self.horizon} steps in series of up to "
                f"{series.lengths.max()} steps, batch_size {self.batch_size}, remainder {self.remainder!r}"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return count_batches(len(self.places), self.batch_size, self.remainder)

    def _starts(self, series: Ragged) -> np.ndarray:
        """First steps of all windows: within a series, and free of missing values."""
        span = self.context + self.horizon
        ends = series.offsets[1:] - span + 1
        starts = np.concatenate([np.arange(a, b, self.stride) for a, b in zip(series.offsets, ends)])
        missing = _missing(series.values, self.gaps)
        if missing is not None:
            before = np.concatenate([[0], np.cumsum(missing)])
            starts = starts[before[starts + span] == before[starts]]
        return starts.astype(np.int64)

    def _new_order(self, epoch: int) -> np.ndarray:
        return self.places[permutation(self.seed, epoch, len(self.places))] if self.shuffle else self.places

    def _rows(self, epoch: int, place: int) -> Rows:
        starts = take_rows(self._order(epoch), place * self.batch_size, self.batch_size)
        return Rows(starts, self.context, self.horizon)

    def _fill(self, rows: Rows) -> Batch:
        lengths, ahead = (np.where(rows.ids >= 0, n, 0) for n in (rows.length, rows.target_length))
        values = cast(Ragged, self.series).values
        inputs = cut(values, rows.ids, lengths, rows.length)
        targets = cut(values, rows.ids + self.context, ahead, rows.target_length)
        if self.columns is not None:
            targets = targets[..., list(self.columns)]
        return Batch(inputs, targets, length_mask(ahead, rows.target_length), lengths.astype(np.int32))


def _series(given: Ragged | ArrayLike) -> Ragged:
    """One or several series `[N]` or `[N, D]` as `Ragged` of `[N, D]`."""
    if hasattr(given, "ndim"):
        array = as_array("series", given)
        if array.ndim not in (1, 2):
            raise ArgumentError(f"series has shape {array.shape}, expected [N, D] or [N]. Several series? Pass a list")
        found = Ragged(array, np.array([0, len(array)], np.int64))
    else:
        found = sequences("series", given)
    values = found.values
    if values.ndim > 2:
        raise ArgumentError(f"series must be [N, D], found {values.ndim - 1} feature axes")
    return Ragged(values[:, None], found.offsets) if values.ndim == 1 else found


def _missing(values: np.ndarray, gaps: str) -> np.ndarray | None:
    """Which steps hold a NaN, bool `[N]`; None where there can be none."""
    if values.dtype.kind in "iub":
        return None
    wrong = np.isinf(values) if gaps == "skip" else ~np.isfinite(values)
    if wrong.any():
        step, column = np.argwhere(wrong)[0].tolist()
        hint = '. Missing values? gaps="skip" leaves their windows out' if np.isnan(values[step, column]) else ""
        raise ArgumentError(f"series holds {values[step, column]} at step {step}, column {column}{hint}")
    return np.isnan(values).any(1)
