"""The scaling of the columns of a series."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from seqjax._internal.types import Array
from seqjax._internal.validation import whole_number
from seqjax.batching.ragged import Ragged
from seqjax.batching.rows import as_array
from seqjax.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True, eq=False)
class Scaler:
    """Columns with mean 0 and standard deviation 1: `scaler(x) = (x - mean) / scale`.

    mean, scale: float64 `[D]`, of the data that it was fitted on.

    Works on NumPy and JAX arrays `[..., D]` and on a `Ragged` of them.
    Floats keep their dtype, whole numbers become float32, NaN stays NaN.

    >>> import numpy as np
    >>> train = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> scaler = Scaler.fit(train)
    >>> scaler(np.array([[2.0, 40.0]])).tolist()
    [[0.0, 2.0]]
    >>> scaler.columns([1]).inverse(np.array([[2.0]])).tolist()  # a forecast of the second column alone
    [[40.0]]
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, train: Ragged | ArrayLike) -> "Scaler":
        """The scaler of the columns of `[..., N, D]` or of a `Ragged` of `[N, D]`; pass the training part only.

        Missing values (NaN) are left out. A constant column has scale 1, so that it becomes 0.

        Raises:
            ArgumentError, ArgumentTypeError: no values, a column of NaN alone, or an infinite value.
        """
        values = as_array("train", train.values if isinstance(train, Ragged) else train)
        if values.ndim < 2 or values.size == 0:
            slip = ". One column? Pass train[:, None]" if values.ndim == 1 else ""
            raise ArgumentError(f"train has shape {values.shape}, expected [..., N, D] with some values{slip}")
        values = values.reshape(-1, values.shape[-1]).astype(np.float64)
        if np.isinf(values).any():
            raise ArgumentError(f"train holds an infinite value in column {int(np.argmax(np.isinf(values).any(0)))}")
        empty = np.isnan(values).all(0)
        if empty.any():
            raise ArgumentError(f"train has no value in column {int(np.argmax(empty))}: all are NaN")
        constant = np.nanmax(values, 0) == np.nanmin(values, 0)
        mean = np.where(constant, np.nanmax(values, 0), np.nanmean(values, 0))
        return cls(mean, np.where(constant, 1.0, np.nanstd(values, 0)))

    @overload
    def __call__(self, x: Ragged) -> Ragged: ...

    @overload
    def __call__(self, x: ArrayLike) -> Array: ...

    def __call__(self, x: Ragged | ArrayLike) -> Ragged | Array:
        """Scale `[..., D]`.

        Raises:
            ArgumentError: another number of columns.
        """
        return self._apply(lambda x, mean, scale: (x - mean) / scale, x)

    @overload
    def inverse(self, x: Ragged) -> Ragged: ...

    @overload
    def inverse(self, x: ArrayLike) -> Array: ...

    def inverse(self, x: Ragged | ArrayLike) -> Ragged | Array:
        """Undo the scaling of `[..., D]`.

        Raises:
            ArgumentError: another number of columns.
        """
        return self._apply(lambda x, mean, scale: x * scale + mean, x)

    def columns(self, columns: Sequence[int]) -> "Scaler":
        """The scaler of some of the columns, such as those that are forecast.

        Raises:
            ArgumentError, ArgumentTypeError: there is no such column.
        """
        found = check_columns(columns, len(self.mean))
        return Scaler(self.mean[found], self.scale[found])

    def to_json(self) -> dict[str, list[float]]:
        """The scaler as JSON values, for `from_json`."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, content: dict[str, list[float]]) -> "Scaler":
        """The scaler that `to_json` gave as JSON values."""
        return cls(np.array(content["mean"], np.float64), np.array(content["scale"], np.float64))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scaler):
            return NotImplemented
        return np.array_equal(self.mean, other.mean) and np.array_equal(self.scale, other.scale)

    def __hash__(self) -> int:
        return hash((tuple(self.mean.tolist()), tuple(self.scale.tolist())))

    def _apply(self, change: Callable[[Array, Array, Array], Array], x: Ragged | ArrayLike) -> Ragged | Array:
        if isinstance(x, Ragged):
            return Ragged(np.asarray(self._apply(change, x.values)), x.offsets)
        array = x if isinstance(x, Array) else as_array("x", x)
        if array.ndim < 1 or array.shape[-1] != len(self.mean):
            raise ArgumentError(
                f"x has shape {array.shape}, expected {len(self.mean)} columns last. "
                "Some of the columns? Take scaler.columns(...)"
            )
        array = array.astype(np.float32) if array.dtype.kind in "iub" else array
        shape = (1,) * (array.ndim - 1) + (-1,)
        return change(array, *(part.reshape(shape).astype(array.dtype) for part in (self.mean, self.scale)))


def check_columns(columns: object, count: int) -> list[int]:
    """Numbers of columns, each below `count`.

    Raises:
        ArgumentTypeError, ArgumentError: no list of whole numbers, an empty one, or a number out of range.
    """
    if not isinstance(columns, (Sequence, np.ndarray)) or isinstance(columns, str):
        raise ArgumentTypeError(f"columns must be a list of column numbers, found {columns!r}")
    found = [whole_number("columns", column) for column in columns]
    if not found or max(found) >= count:
        raise ArgumentError(f"columns must be some of 0 ... {count - 1}, found {found}")
    return found
