"""Sequences of different lengths, kept end to end in one array."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from seqjax.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True, eq=False)
class Ragged:
    """n sequences: the i-th is `values[offsets[i] : offsets[i + 1]]`.

    values: `[N, ...]`, all steps of all sequences.
    offsets: int64 `[n + 1]`, from 0 to N, never falling.

    >>> words = Ragged.of(["to be", "or", "not"])
    >>> words
    <Ragged: 3 sequences, 10 steps, uint8[T]>
    >>> words.lengths.tolist(), words[1].tolist(), words[1:].texts()
    ([5, 2, 3], [111, 114], ['or', 'not'])

    Raises:
        ArgumentError: the offsets do not divide the values.
    """

    values: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values))
        object.__setattr__(self, "offsets", offsets := np.asarray(self.offsets))
        if offsets.ndim != 1 or len(offsets) < 1 or not np.issubdtype(offsets.dtype, np.integer):
            raise ArgumentError(f"offsets must be whole numbers [n + 1], found {offsets.dtype} {offsets.shape}")
        if offsets[0] != 0 or offsets[-1] != len(self.values) or (np.diff(offsets) < 0).any():
            raise ArgumentError(
                f"offsets must rise from 0 to the number of values, {len(self.values)}; "
                f"found {offsets[0]} to {offsets[-1]}"
            )

    @classmethod
    def of(cls, sequences: Iterable[ArrayLike]) -> "Ragged":
        """From arrays `[T_i, ...]` of one dtype and one feature shape; strings become their UTF-8 bytes."""
        arrays = [_as_array(s) for s in sequences]
        if any(a.ndim == 0 for a in arrays):
            raise ArgumentTypeError("each sequence must be an array [T, ...] or a str, found a single number")
        offsets = np.zeros(len(arrays) + 1, np.int64)
        np.cumsum([len(a) for a in arrays], out=offsets[1:])
        if len({(a.dtype, a.shape[1:]) for a in arrays}) > 1:
            raise ArgumentTypeError("the sequences differ in dtype or in their feature axes")
        return cls(np.concatenate(arrays) if arrays else np.zeros(0, np.uint8), offsets)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence, int64 `[n]`."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice | np.ndarray | list[int]) -> "Ragged": ...

    def __getitem__(self, index: int | slice | np.ndarray | list[int]) -> "np.ndarray | Ragged":
        """One sequence (a view) for a number; a `Ragged` for a slice or an array of numbers."""
        if isinstance(index, (int, np.integer)):
            i = range(len(self))[int(index)]
            return self.values[self.offsets[i] : self.offsets[i + 1]]
        rows = np.arange(len(self))[index]
        if len(rows) and (np.diff(rows) == 1).all():
            first, last = rows[0], rows[-1] + 1
            start = self.offsets[first]
            return Ragged(self.values[start : self.offsets[last]], self.offsets[first : last + 1] - start)
        return Ragged.of([self[i] for i in rows]) if len(rows) else Ragged(self.values[:0], np.zeros(1, np.int64))

    def text(self, index: int) -> str:
        """The sequence as text, where the values are UTF-8 bytes."""
        if self.values.dtype != np.uint8 or self.values.ndim != 1:
            raise ArgumentTypeError(f"these are no texts: values are {self.values.dtype} {self.values.shape}")
        return self[index].tobytes().decode()

    def texts(self) -> list[str]:
        """All sequences as texts."""
        return [self.text(i) for i in range(len(self))]

    def __repr__(self) -> str:
        shape = "".join(f", {n}" for n in self.values.shape[1:])
        return f"<Ragged: {len(self)} sequences, {len(self.values)} steps, {self.values.dtype}[T{shape}]>"


def _as_array(sequence: ArrayLike) -> np.ndarray:
    if isinstance(sequence, str):
        sequence = sequence.encode()
    return np.frombuffer(sequence, np.uint8) if isinstance(sequence, bytes) else np.asarray(sequence)
