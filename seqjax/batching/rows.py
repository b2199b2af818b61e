"""Data as sequences end to end, and the cutting of padded rows from them."""

import numpy as np
from numpy.typing import ArrayLike

from seqjax.batching.ragged import Ragged
from seqjax.errors import ArgumentError, ArgumentTypeError

INT32 = np.iinfo(np.int32)


def sequences(name: str, given: Ragged | ArrayLike) -> Ragged:
    """Sequences as `Ragged`: from a `Ragged`, an array `[n, T, ...]`, or anything with `len` and `[i]` of arrays.

    Raises:
        ArgumentTypeError: no sequences of numbers, or of different dtypes.
        ArgumentError: no sequence at all, different feature axes, or whole numbers beyond int32.
    """
    if isinstance(given, Ragged):
        found = given
    elif hasattr(given, "ndim"):
        array = as_array(name, given)
        if array.ndim < 2:
            raise ArgumentError(f"{name} has shape {array.shape}, expected sequences [n, T, ...]. One sequence? [None]")
        n, length = array.shape[:2]
        found = Ragged(array.reshape(n * length, *array.shape[2:]), np.arange(n + 1, dtype=np.int64) * length)
    else:
        found = _from_list(name, given)
    if len(found) == 0:
        raise ArgumentError(f"{name} holds no sequence, expected at least one")
    _check_numbers(name, found.values)
    return found


def _from_list(name: str, given: object) -> Ragged:
    if isinstance(given, (str, bytes)) or not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        raise ArgumentTypeError(f"{name} must be sequences (a Ragged, an array, a list), found {type(given).__name__}")
    arrays = [as_array(f"{name}[{i}]", given[i]) for i in range(len(given))]
    first = next((a for a in arrays if a.size), np.zeros(0, np.int32))
    for i, array in enumerate(arrays):
        if array.ndim == 0 or (array.size and array.shape[1:] != first.shape[1:]):
            raise ArgumentError(f"{name}[{i}] has shape {array.shape}, expected {('T', *first.shape[1:])} as the first")
        if array.size and array.dtype != first.dtype:
            raise ArgumentTypeError(f"{name}[{i}] is {array.dtype}, but the first is {first.dtype}; convert them")
    empty = first[:0]
    return Ragged.of([array if array.size else empty for array in arrays])


def as_array(name: str, given: Ragged | ArrayLike) -> np.ndarray:
    """One array of numbers.

    Raises:
        ArgumentTypeError, ArgumentError: it is ragged, holds no numbers, or whole numbers that int32 does not hold.
    """
    if isinstance(given, Ragged):
        raise ArgumentTypeError(f"{name} must be one array, found {given!r}. End to end they are its `.values`")
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise ArgumentTypeError(f"{name} must be one array, and this is none: {error}") from None
    _check_numbers(name, array)
    return array


def _check_numbers(name: str, values: np.ndarray) -> None:
    if values.dtype.kind in "OSUMm":
        hint = ". Text? Encode it with seqjax.text" if values.dtype.kind in "OSU" else ""
        raise ArgumentTypeError(f"{name} must hold numbers, found dtype {values.dtype}{hint}")
    if values.dtype.kind in "iu" and values.size and not np.can_cast(values.dtype, np.int32):
        low, high = int(values.min()), int(values.max())
        if low < INT32.min or high > INT32.max:
            raise ArgumentError(f"{name} holds {low if low < INT32.min else high}, which int32 does not hold")


def cut(values: np.ndarray, starts: np.ndarray, counts: np.ndarray, length: int) -> np.ndarray:
    """Row i is `values[starts[i] : starts[i] + counts[i]]`, padded with zeros: `[B, length, ...]`.

    Whole numbers become int32. Rows are copied whole, which beats one fancy index for all but the shortest.
    """
    dtype = np.int32 if values.dtype.kind in "iu" else values.dtype
    out = np.zeros((len(starts), length, *values.shape[1:]), dtype)
    for row, start, count in zip(out, starts.tolist(), counts.tolist()):
        row[:count] = values[start : start + count]
    return out


def length_mask(counts: np.ndarray, length: int) -> np.ndarray:
    """The mask of rows with so many real steps, bool `[B, length]`."""
    return np.arange(length)[None, :] < counts[:, None]
