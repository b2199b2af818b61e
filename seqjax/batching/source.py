"""A source of batches: a value that gives batch `step` for any step."""

import abc
from typing import Any, NamedTuple, Protocol, SupportsIndex, runtime_checkable

import numpy as np

from seqjax._internal.types import PyTree
from seqjax._internal.validation import whole_number
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError


class Rows(NamedTuple):
    """What a batch is made of.

    ids: int64 `[B]`, numbers of examples or places in a series; -1 is an empty row.
    length, target_length: the steps that inputs and targets are padded to.
    """

    ids: np.ndarray
    length: int
    target_length: int


@runtime_checkable
class Batches(Protocol):
    """What gives a batch for a number: a `Source`, a `Synthetic`, or a class of one's own."""

    def batch(self, step: int) -> PyTree:
        """Batch number `step`."""
        ...


class Source(abc.ABC):
    """Batches by number, epoch after epoch: step `s` is batch `s % steps_per_epoch` of epoch `s // steps_per_epoch`.

    >>> from seqjax.batching import Stream
    >>> source = Stream(range(50), batch_size=2, length=6)
    >>> source
    <Stream: 4 batches of 2 in an epoch>
    >>> source.batch(5).inputs.tolist() == source.batch(1).inputs.tolist()  # the second epoch of a stream is the first
    True

    A source is frozen, holds its data and can be pickled. A new kind says which rows a batch has (`_rows`) and fills
    them (`_fill`); rows are filled one by one, so that a process fills only its own.
    """

    batch_size: int

    @property
    @abc.abstractmethod
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    def batch(self, step: SupportsIndex, index: int = 0, count: int = 1) -> Batch:
        """Batch number `step`: NumPy arrays, whole numbers as int32, other dtypes as in the data.

        Args:
            step: 0, 1, 2, ... through all epochs.
            index, count: where `count` processes share a batch, the rows of process `index`: those from
                `index * batch_size / count` on. The whole batch does not depend on `count`.

        Raises:
            ArgumentError, ArgumentTypeError: a step or index that is no whole number in range, or rows that cannot be
                shared equally.
        """
        epoch, place = divmod(whole_number("step", step), self.steps_per_epoch)
        rows = self._rows(epoch, place)
        return self._fill(rows._replace(ids=rows.ids[share(self.batch_size, index, count)]))

    @abc.abstractmethod
    def _rows(self, epoch: int, place: int) -> Rows: ...

    @abc.abstractmethod
    def _fill(self, rows: Rows) -> Batch: ...

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.steps_per_epoch} batches of {self.batch_size} in an epoch>"


class Ordered(Source):
    """A source whose epochs each have an order (`_new_order`)."""

    _last: tuple[int, Any] = (-1, None)

    @abc.abstractmethod
    def _new_order(self, epoch: int) -> Any: ...

    def _order(self, epoch: int) -> Any:
        """`_new_order(epoch)`, kept for the latest epoch."""
        last = self._last
        if last[0] != epoch:
            last = (epoch, self._new_order(epoch))
            object.__setattr__(self, "_last", last)
        return last[1]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_last"}


def share(size: int, index: int, count: int) -> slice:
    """The rows of process `index` of `count`.

    Raises:
        ArgumentError, ArgumentTypeError: they cannot be shared equally, or there is no such process.
    """
    count, index = whole_number("count", count, 1), whole_number("index", index)
    if index >= count:
        raise ArgumentError(f"index must be below count, found process {index} of {count}. They count from 0")
    if size % count:
        raise ArgumentError(f"a batch of {size} rows cannot be shared by {count} processes; take a multiple of {count}")
    each = size // count
    return slice(index * each, (index + 1) * each)


def count_batches(count: int, batch_size: int, remainder: str) -> int:
    """Batches that `count` examples make.

    Raises:
        ArgumentError: an unknown remainder.
    """
    if remainder not in ("drop", "pad"):
        raise ArgumentError(f'remainder must be "pad" or "drop", found {remainder!r}')
    return count // batch_size if remainder == "drop" else -(-count // batch_size)


def take_rows(order: np.ndarray, start: int, size: int) -> np.ndarray:
    """`order[start : start + size]`, filled up with -1."""
    ids = np.full(size, -1, np.int64)
    found = order[start : start + size]
    ids[: len(found)] = found
    return ids
