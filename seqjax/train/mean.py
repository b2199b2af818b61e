"""Means that can be added: what a loss or a metric is before it is divided."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Bool, Float, Num
from seqjax._internal.validation import known
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.losses import weighted_sum


class Mean(NamedTuple):
    """total / count, kept apart, so that means over parts of the data merge by addition; a pytree.

    The sum over batches, micro-batches or devices (`jax.lax.psum(mean, axis)`) is the mean over all of it, however
    unevenly the weights are spread. `Mean(0.0, 0)` is the mean of nothing.

    Examples:
        >>> import numpy as np
        >>> from seqjax import train
        >>> a = train.Mean.of(np.array([1.0, 2.0, 6.0]))
        >>> b = train.Mean.of(np.array([7.0, np.nan]), np.array([True, False]))  # what is left out may be anything
        >>> float(a.value()), float(b.value()), float((a + b).value())
        (3.0, 7.0, 4.0)
    """

    total: Any
    """Sum of the values that count, float32 or wider."""

    count: Any
    """How many they are."""

    @classmethod
    def of(cls, values: Float[Array, "..."], weights: Num[Array, "..."] | Bool[Array, "..."] | None = None) -> "Mean":
        """sum(weights * values) and sum(weights): scalars.  values and weights of one shape `[...]`.

        Weights are bool, True where a value counts, or numbers of at least 0, which inside `jit` is not checked; all
        count where None. What stands where a weight is 0, NaN too, changes neither the mean nor any gradient of it.
        Weights that are all 0 give the mean of nothing.

        Raises:
            ArgumentError, ArgumentTypeError: shape, dtype, or known weights that are negative or not finite.
        """
        if not hasattr(values, "dtype") or not jnp.issubdtype(values.dtype, jnp.floating):
            raise ArgumentTypeError(f"Mean.of: values must be a floating point array, found {_kind(values)}")
        values = jnp.asarray(values)
        values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
        if weights is None:
            return cls(jnp.sum(values), jnp.asarray(values.size, jnp.int32))
        return cls(*weighted_sum("Mean.of", values, weights))

    def __add__(self, other: object) -> "Mean":
        if not isinstance(other, Mean):
            return NotImplemented
        return Mean(self.total + other.total, self.count + other.count)

    def value(self) -> Float[Array, "..."] | float:
        """total / count; NaN inside `jit` where nothing counts.

        Raises:
            ArgumentError: nothing counts, and that is known.
        """
        if known(self.count) and np.any(np.asarray(self.count) == 0):
            raise ArgumentError("Mean.value: the count is 0, so there is no mean. Weights that are all 0?")
        return self.total / self.count


def as_mean(name: str, value: object) -> Mean:
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
                f"{name} must be a scalar or a Mean, found shape {jnp.shape(part)}. Pass Mean.of(values, weights)"
            )
    total = jnp.asarray(total)
    return Mean(total.astype(jnp.promote_types(total.dtype, jnp.float32)), jnp.asarray(count))


def _kind(value: object) -> str:
    dtype = getattr(value, "dtype", None)
    return f"{type(value).__name__} {value!r}" if dtype is None else f"dtype {dtype}"
