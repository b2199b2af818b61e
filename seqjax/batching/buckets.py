"""Batches of examples of similar length, so that little is padding and few shapes are compiled."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from seqjax._internal.validation import true_or_false, whole_number
from seqjax.batching.examples import Examples
from seqjax.batching.order import BATCHES, permutation, shuffle
from seqjax.batching.ragged import Ragged
from seqjax.batching.source import Rows, count_batches, take_rows
from seqjax.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True, eq=False, repr=False)
class Buckets(Examples):
    """Batches each of one bucket, that is of examples whose length lies between two boundaries.

    A batch is padded to its bucket's boundary, so there are at most as many shapes as buckets. Within an epoch the
    examples of a bucket come in the order of `permutation(seed, epoch, n)`, and the batches of all buckets in a random
    order. Inputs, targets and batches are those of `Shuffled`; with pairs=True targets are padded to the longest of
    the bucket. `padding_share()` tells what is left to save.

    >>> source = Buckets([[1], [2, 2], [3, 3], [4, 4, 4, 4, 4]], [0, 1, 0, 1], batch_size=2, buckets=(2, 5))
    >>> [source.batch(step).inputs.shape for step in range(source.steps_per_epoch)]
    [(2, 5), (2, 2), (2, 2)]
    >>> f"{source.padding_share():.2f}"  # 10 real steps of 2 x 2 + 2 x 2 + 2 x 5
    '0.44'

    Args:
        inputs: a `Ragged`, an array `[n, T, ...]`, or a list of arrays `[T, ...]`.
        targets: labels `[n]`, sequences, or None for the next step.
        batch_size: rows of a batch, B.
        seed: of the order.
        pairs: targets are sequences of their own lengths, as in translation.
        buckets: the number of buckets, equally full as far as equal lengths stay together; or the boundaries: rising
            padded lengths, the last at least the longest. For `targets=None` a length is that of the inputs, n - 1.
        shuffle: False goes through the buckets in order, each in the order of the data.
        remainder: the last batch of each bucket: "pad" fills it with rows of length 0, so that each example comes
            exactly once an epoch; "drop" leaves it out.

    Raises:
        ArgumentError, ArgumentTypeError: as `Shuffled`; boundaries that do not rise, or an example beyond the last.
    """

    inputs: Ragged | ArrayLike
    targets: Ragged | ArrayLike | None
    batch_size: int
    seed: int = 0
    pairs: bool = field(default=False, kw_only=True)
    buckets: int | Sequence[int] = field(default=8, kw_only=True)
    shuffle: bool = field(default=True, kw_only=True)
    remainder: str = field(default="pad", kw_only=True)
    _bucket: np.ndarray = field(init=False)
    _table: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._check()
        true_or_false("shuffle", self.shuffle)
        boundaries = _boundaries(self.buckets, self.lengths)
        bucket = np.searchsorted(boundaries, self.lengths)
        object.__setattr__(self, "_bucket", bucket)
        object.__setattr__(self, "_table", self._batches(bucket, boundaries))
        self._check_not_empty()

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return len(self._table)

    def _batches(self, bucket: np.ndarray, boundaries: np.ndarray) -> np.ndarray:
        """A line for each batch of an epoch: first place, end of its bucket, length, target length."""
        lines, first = [], 0
        for i, length in enumerate(boundaries.tolist()):
            mine = bucket == i
            end = first + int(mine.sum())
            longest = int(self.target_lengths[mine].max(initial=0)) if self.pairs else length
            for batch in range(count_batches(end - first, self.batch_size, self.remainder)):
                lines.append((first + batch * self.batch_size, end, length, longest))
            first = end
        return np.array(lines, np.int64).reshape(-1, 4)

    def _new_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """All examples bucket by bucket, and the lines of the batches in order."""
        n, steps = len(self.lengths), self.steps_per_epoch
        order = permutation(self.seed, epoch, n) if self.shuffle else np.arange(n)
        by_bucket = order[np.argsort(self._bucket[order], kind="stable")]
        return by_bucket, shuffle(self.seed, epoch, steps, BATCHES) if self.shuffle else np.arange(steps)

    def _rows(self, epoch: int, place: int) -> Rows:
        examples, batches = self._order(epoch)
        first, end, length, target_length = self._table[batches[place]].tolist()
        return Rows(take_rows(examples[:end], first, self.batch_size), length, target_length)


def _boundaries(given: int | Sequence[int] | np.ndarray, lengths: np.ndarray) -> np.ndarray:
    if isinstance(given, str) or not isinstance(given, (int, np.integer, Sequence, np.ndarray)):
        raise ArgumentTypeError(f"buckets must be a number of buckets or their boundaries, found {given!r}")
    if isinstance(given, (int, np.integer)):
        count = whole_number("buckets", given, 1)
        shares = np.arange(1, count + 1) / count
        return np.unique(np.quantile(np.maximum(lengths, 1), shares, method="inverted_cdf")).astype(np.int64)
    boundaries = np.array([whole_number("buckets", boundary, 1) for boundary in given], np.int64)
    if len(boundaries) == 0 or (np.diff(boundaries) <= 0).any():
        raise ArgumentError(f"buckets must be rising padded lengths, at least one, found {given!r}")
    if lengths.max() > boundaries[-1]:
        raise ArgumentError(
            f"example {np.argmax(lengths)} has {lengths.max()} steps, beyond the last of buckets, {boundaries[-1]}; "
            "nothing is cut. Add a boundary, or cut the data first"
        )
    return boundaries
