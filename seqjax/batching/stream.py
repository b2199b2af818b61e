"""Batches from one long sequence: streams that go on from batch to batch, and random windows."""

from dataclasses import dataclass
from typing import SupportsIndex, cast

import numpy as np
from numpy.typing import ArrayLike

from seqjax._internal.validation import whole_number
from seqjax.batching.batch import Batch
from seqjax.batching.order import draw_below
from seqjax.batching.ragged import Ragged
from seqjax.batching.rows import as_array, cut
from seqjax.batching.source import Rows, Source
from seqjax.errors import ArgumentError


@dataclass(frozen=True, eq=False, repr=False)
class Stream(Source):
    """A long sequence read in `batch_size` contiguous rows, for models that hand their carry on.

    Row b reads its own part, `ids[b * P : (b + 1) * P]`, and in step k of an epoch `length` steps of it, from where
    step k - 1 ended. Targets are the next tokens. P is the largest multiple of `length` that all rows have; up to
    `batch_size * length` tokens at the end are not read.

    Before the steps for which `starts(step)` is True, at the beginning of each epoch, begin with a new carry:

        carry = None if stream.starts(step) else carry
        carry, logits = scan(model, params, batch.inputs, carry)

    >>> stream = Stream(range(13), batch_size=2, length=3)
    >>> for step in range(stream.steps_per_epoch):
    ...     batch = stream.batch(step)
    ...     print(stream.starts(step), batch.inputs.tolist(), batch.targets.tolist())
    True [[0, 1, 2], [6, 7, 8]] [[1, 2, 3], [7, 8, 9]]
    False [[3, 4, 5], [9, 10, 11]] [[4, 5, 6], [10, 11, 12]]

    Batch: inputs and targets `[B, T]` (int32), weights all True, lengths all `length`.

    Args:
        ids: token ids `[N]`, features `[N, D]`, or a `Ragged` of them, read end to end.
        batch_size: rows, B.
        length: steps of a batch, T: how far gradients reach back.

    Raises:
        ArgumentError, ArgumentTypeError: fewer than `batch_size * length + 1` tokens, or no numbers.
    """

    ids: Ragged | ArrayLike
    batch_size: int
    length: int

    def __post_init__(self) -> None:
        _check_ids(self)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return (len(_tokens(self)) - 1) // (self.batch_size * self.length)

    def starts(self, step: SupportsIndex) -> bool:
        """Whether an epoch begins with this step, so that no carry goes into it."""
        return whole_number("step", step) % self.steps_per_epoch == 0

    def _rows(self, epoch: int, place: int) -> Rows:
        part = self.steps_per_epoch * self.length
        places = np.arange(self.batch_size, dtype=np.int64) * part + place * self.length
        return Rows(places, self.length, self.length)

    def _fill(self, rows: Rows) -> Batch:
        return _windows(_tokens(self), rows)


@dataclass(frozen=True, eq=False, repr=False)
class RandomWindows(Source):
    """Windows of `length` steps from random places of one long sequence, each place equally likely.

    Batch `step` is drawn anew from (seed, step), so places may repeat. An epoch is as many batches as read about as
    many tokens as there are, at least one. Targets are the next tokens.

    >>> batch = RandomWindows(range(100), batch_size=2, length=4).batch(0)
    >>> print(batch.inputs.tolist(), batch.targets.tolist())
    [[92, 93, 94, 95], [52, 53, 54, 55]] [[93, 94, 95, 96], [53, 54, 55, 56]]

    Batch: inputs and targets `[B, T]` (int32), weights all True, lengths all `length`.

    Args:
        ids: token ids `[N]`, features `[N, D]`, or a `Ragged` of them, read end to end.
        batch_size: rows of a batch, B.
        length: steps of a window, T.
        seed: of the places.

    Raises:
        ArgumentError, ArgumentTypeError: fewer than `length + 1` tokens, or no numbers.
    """

    ids: Ragged | ArrayLike
    batch_size: int
    length: int
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number("seed", self.seed)
        _check_ids(self, rows=1)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return max((len(_tokens(self)) - 1) // (self.batch_size * self.length), 1)

    def _rows(self, epoch: int, place: int) -> Rows:
        step = epoch * self.steps_per_epoch + place
        places = draw_below(len(_tokens(self)) - self.length, self.seed, step, self.batch_size)
        return Rows(places, self.length, self.length)

    def _fill(self, rows: Rows) -> Batch:
        return _windows(_tokens(self), rows)


def _check_ids(source: "Stream | RandomWindows", rows: int | None = None) -> None:
    """Check the fields; `rows` parts must fit side by side."""
    whole_number("batch_size", source.batch_size, 1)
    whole_number("length", source.length, 1)
    ids = as_array("ids", source.ids.values if isinstance(source.ids, Ragged) else source.ids)
    if ids.ndim == 0:
        raise ArgumentError("ids must be one long sequence [N], found a single number")
    needed = (source.batch_size if rows is None else rows) * source.length + 1
    if len(ids) < needed:
        each = "batch_size * length + 1" if rows is None else "length + 1"
        raise ArgumentError(f"ids has {len(ids)} steps (shape {ids.shape}), expected at least {each} = {needed}")
    object.__setattr__(source, "ids", ids)


def _tokens(source: "Stream | RandomWindows") -> np.ndarray:
    """What `_check_ids` left in `ids`."""
    return cast(np.ndarray, source.ids)


def _windows(ids: np.ndarray, rows: Rows) -> Batch:
    counts = np.full(len(rows.ids), rows.length, np.int32)
    inputs, targets = (cut(ids, rows.ids + shift, counts, rows.length) for shift in (0, 1))
    return Batch(inputs, targets, np.ones(inputs.shape[:2], bool), counts)
