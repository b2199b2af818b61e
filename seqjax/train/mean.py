"""Means that can be added: what a loss or a metric is before it is divided."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.validation import known
from seqjax.errors import ArgumentError, ArgumentTypeError


class Mean(NamedTuple):
    """total / count, kept apart, so that means over parts of the data merge by addition; a pytree.

    The sum over batches, micro-batches or devices (`jax.lax.psum(mean, axis)`) is the mean over all of it, however
    unevenly a mask leaves elements out. `Mean(0.0, 0)` is the mean of nothing.
    """

    total: Any
    """Sum of the values that count, float32 or wider."""

    count: Any
    """How many they are."""

    @classmethod
    def of(cls, values: Any, mask: Any = None) -> "Mean":
        """Sum and number of the values whose mask is True: scalars.  values and mask (bool) of one shape `[...]`.

        What stands where the mask is False, NaN too, changes neither the mean nor any gradient of it. A mask without
        a single True gives the mean of nothing.

        Raises:
            ArgumentError, ArgumentTypeError: shape or dtype.
        """
        if not hasattr(values, "dtype") or not jnp.issubdtype(values.dtype, jnp.floating):
            raise ArgumentTypeError(f"Mean.of: values must be a floating point array, found {_kind(values)}")
        values = jnp.asarray(values, jnp.promote_types(values.dtype, jnp.float32))
        if mask is None:
            return cls(jnp.sum(values), jnp.asarray(values.size, jnp.int32))
        if not hasattr(mask, "dtype") or mask.dtype != bool:
            raise ArgumentTypeError(
                f"Mean.of: mask must be a bool array, found {_kind(mask)}. Convert it, as in mask != 0"
            )
        if mask.shape != values.shape:
            raise ArgumentError(
                f"Mean.of: values has shape {values.shape} and mask {mask.shape}, expected the same. "
                "Losses over features left? Take their mean or sum first"
            )
        return cls(jnp.sum(jnp.where(mask, values, 0)), jnp.sum(mask, dtype=jnp.int32))

    def __add__(self, other: Any) -> "Mean":
        if not isinstance(other, Mean):
            return NotImplemented
        return Mean(self.total + other.total, self.count + other.count)

    def value(self) -> Any:
        """total / count; NaN inside `jit` where nothing counts.

        Raises:
            ArgumentError: nothing counts, and that is known.
        """
        if known(self.count) and np.any(np.asarray(self.count) == 0):
            raise ArgumentError("Mean.value: the count is 0, so there is no mean. A mask that is all False?")
        return self.total / self.count


def as_mean(name: str, value: Any) -> Mean:
    """A `Mean` as it is, a scalar as the mean of one value; total float32 or wider.

    Raises:
        ArgumentError, ArgumentTypeError: an array with axes, or no number.
    """
    total, count = value if isinstance(value, Mean) else (value, jnp.ones((), jnp.int32))
    for part in (total, count):
        if not isinstance(part, (jax.Array, np.ndarray, np.generic, int, float)):
            raise ArgumentTypeError(f"{name} must be a scalar or a Mean, found {_kind(part)}")
        if jnp.shape(part) != ():
            raise ArgumentError(
                f"{name} must be a scalar or a Mean, found shape {jnp.shape(part)}. Pass Mean.of(values, mask)"
            )
    total = jnp.asarray(total)
    return Mean(total.astype(jnp.promote_types(total.dtype, jnp.float32)), jnp.asarray(count))


def _kind(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    return f"{type(value).__name__} {value!r}" if dtype is None else f"dtype {dtype}"
