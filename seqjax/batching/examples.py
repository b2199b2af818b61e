"""Batches of whole examples, padded to one length."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from seqjax._internal.validation import true_or_false, whole_number
from seqjax.batching.batch import Batch
from seqjax.batching.order import permutation
from seqjax.batching.ragged import Ragged
from seqjax.batching.rows import as_array, cut, length_mask, sequences
from seqjax.batching.source import Ordered, Rows, count_batches, take_rows
from seqjax.errors import ArgumentError


class Examples(Ordered):
    """What the sources of whole examples share: `inputs`, `targets`, and the filling of rows.

    lengths, target_lengths: int64 `[n]`, steps of inputs and targets; for labels both are those of the inputs.
    """

    inputs: Ragged | ArrayLike
    targets: Ragged | ArrayLike | None
    lengths: np.ndarray
    target_lengths: np.ndarray
    seed: int
    pairs: bool

    def padding_share(self, epoch: int = 0) -> float:
        """The part of all input steps of an epoch that is padding, in [0, 1).

        >>> f"{Shuffled([[1, 2, 3], [4]], [0, 1], batch_size=2).padding_share():.2f}"  # 4 real steps of 2 x 3
        '0.33'
        """
        real_steps = steps = 0
        for place in range(self.steps_per_epoch):
            rows = self._rows(whole_number("epoch", epoch), place)
            real_steps += int(self.lengths[rows.ids[rows.ids >= 0]].sum())
            steps += self.batch_size * rows.length
        return 1 - real_steps / steps if steps else 0.0

    def _check(self) -> None:
        """Bring inputs and targets into one form, and check what all sources of examples have."""
        true_or_false("pairs", self.pairs)
        inputs = sequences("inputs", self.inputs)
        targets = None if self.targets is None else _targets(self.targets)
        lengths = inputs.lengths if targets is not None else np.maximum(inputs.lengths - 1, 0)
        if targets is not None and len(targets) != len(inputs):
            raise ArgumentError(f"targets has {len(targets)} entries, expected one for each of {len(inputs)} inputs")
        if self.pairs and not isinstance(targets, Ragged):
            raise ArgumentError("pairs=True is for targets that are sequences; leave it out for labels and for None")
        own = targets.lengths if isinstance(targets, Ragged) else lengths
        if not self.pairs and not np.array_equal(own, lengths):
            i = int(np.argmax(own != lengths))
            raise ArgumentError(
                f"targets[{i}] has {own[i]} steps, but inputs[{i}] has {lengths[i]}. "
                "Sequences of their own lengths, as in translation? Pass pairs=True"
            )
        if lengths.max() == 0 or own.max() == 0:
            raise ArgumentError("no example has a step. For targets=None an input needs two of them")
        whole_number("batch_size", self.batch_size, 1)
        whole_number("seed", self.seed)
        found = {"inputs": inputs, "targets": targets, "lengths": lengths, "target_lengths": own}
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def _check_not_empty(self) -> None:
        if self.steps_per_epoch == 0:
            raise ArgumentError(
                f"{len(self.lengths)} examples do not fill one batch of {self.batch_size}, and remainder is "
                '"drop": take a smaller batch_size, or remainder="pad"'
            )

    def _fill(self, rows: Rows) -> Batch:
        there, found = rows.ids >= 0, cast(Ragged, self.inputs)
        counts = np.where(there, self.lengths[rows.ids], 0)
        starts = found.offsets[rows.ids]
        inputs, lengths = cut(found.values, starts, counts, rows.length), counts.astype(np.int32)
        if self.targets is None:
            targets = cut(found.values, starts + 1, counts, rows.length)
            return Batch(inputs, targets, length_mask(counts, rows.length), lengths)
        if isinstance(self.targets, Ragged):
            counts = np.where(there, self.target_lengths[rows.ids], 0)
            targets = cut(self.targets.values, self.targets.offsets[rows.ids], counts, rows.target_length)
            return Batch(inputs, targets, length_mask(counts, rows.target_length), lengths)
        labels = cast(np.ndarray, self.targets)
        targets = np.where(there, labels[rows.ids], 0).astype(labels.dtype)
        return Batch(inputs, targets, there, lengths)


def _targets(given: Ragged | ArrayLike) -> Ragged | np.ndarray:
    """Labels `[n]`, or sequences."""
    listed = isinstance(given, (list, tuple)) and len(given) > 0 and all(np.ndim(label) == 0 for label in given)
    if listed or getattr(given, "ndim", 0) == 1:
        labels = as_array("targets", given)
        return labels.astype(np.int32) if labels.dtype.kind in "iu" else labels
    return sequences("targets", given)


@dataclass(frozen=True, eq=False, repr=False)
class Shuffled(Examples):
    """Batches of examples in a new order each epoch, padded to one length: `permutation(seed, epoch, n)`.

    Batch: inputs `[B, L, ...]`, lengths `[B]`, zeros beyond them, and by kind of targets

    * labels `[n]`: targets `[B]`, weights `[B]`;
    * sequences as long as their inputs: targets `[B, L, ...]`, weights `[B, L]`;
    * sequences of their own lengths, with pairs=True: targets `[B, M, ...]`, weights `[B, M]` by their lengths;
    * None: the next step. Inputs are x[:-1], targets x[1:], so a sequence of n steps has length n - 1 (and one of 0 or
      1 step has length 0).

    >>> source = Shuffled([[1, 2, 3], [4, 5], [6]], [0, 1, 0], batch_size=2, seed=0)
    >>> source
    <Shuffled: 2 batches of 2 in an epoch>
    >>> for step in range(source.steps_per_epoch):
    ...     batch = source.batch(step)
    ...     print(batch.inputs.tolist(), batch.targets, batch.weights, batch.lengths)
    [[1, 2, 3], [6, 0, 0]] [0 0] [ True  True] [3 1]
    [[4, 5, 0], [0, 0, 0]] [1 0] [ True False] [2 0]

    Args:
        inputs: a `Ragged`, an array `[n, T, ...]`, or a list of arrays `[T, ...]`.
        targets: as many labels, as many sequences in one of these forms, or None.
        batch_size: rows of a batch, B.
        seed: of the order.
        pairs: targets are sequences of their own lengths, as in translation.
        shuffle: False keeps the order of the data.
        length, target_length: the steps to pad to, L and M; where None, those of the longest. A longer example is an
            error, never cut.
        multiple: pad each batch to its own longest, rounded up to a multiple of this, instead of to `length`.
        remainder: the last batch of an epoch where batch_size does not divide n: "pad" fills it with rows of
            length 0 and weights False, so that each example comes exactly once and shapes stay; "drop" leaves it out.

    Raises:
        ArgumentError, ArgumentTypeError: no data, inputs and targets that differ in number or (without `pairs`) in
            steps, an example longer than `length`, or an option that cannot be right.
    """

    inputs: Ragged | ArrayLike
    targets: Ragged | ArrayLike | None
    batch_size: int
    seed: int = 0
    pairs: bool = field(default=False, kw_only=True)
    shuffle: bool = field(default=True, kw_only=True)
    length: int | None = field(default=None, kw_only=True)
    target_length: int | None = field(default=None, kw_only=True)
    multiple: int | None = field(default=None, kw_only=True)
    remainder: str = field(default="pad", kw_only=True)
    _padded: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self._check()
        true_or_false("shuffle", self.shuffle)
        if self.multiple is not None:
            whole_number("multiple", self.multiple, 1)
            if self.length is not None or self.target_length is not None:
                raise ArgumentError("multiple and length were both given; a batch has one length, so pass one")
        if self.target_length is not None and not self.pairs:
            raise ArgumentError("target_length is for pairs=True; other targets are padded as their inputs")
        length = _bound("length", self.length, self.lengths)
        own = _bound("target_length", self.target_length, self.target_lengths) if self.pairs else length
        object.__setattr__(self, "_padded", (length, own))
        self._check_not_empty()

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return count_batches(len(self.lengths), self.batch_size, self.remainder)

    def _new_order(self, epoch: int) -> np.ndarray:
        n = len(self.lengths)
        return permutation(self.seed, epoch, n) if self.shuffle else np.arange(n)

    def _rows(self, epoch: int, place: int) -> Rows:
        ids = take_rows(self._order(epoch), place * self.batch_size, self.batch_size)
        if self.multiple is None:
            return Rows(ids, *self._padded)
        there = ids[ids >= 0]
        longest, longest_target = int(self.lengths[there].max()), int(self.target_lengths[there].max())
        return Rows(ids, _round_up(longest, self.multiple), _round_up(longest_target, self.multiple))


def _bound(name: str, given: int | None, lengths: np.ndarray) -> int:
    longest = int(lengths.max())
    if given is None:
        return longest
    if longest > whole_number(name, given):
        raise ArgumentError(
            f"{name} is {given}, but example {int(np.argmax(lengths))} has {longest} steps; nothing is cut. "
            "Cut the data first, or leave the argument out"
        )
    return given


def _round_up(length: int, multiple: int) -> int:
    return max(-(-length // multiple), 1) * multiple
