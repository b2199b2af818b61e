"""Axes of the arrays beside q, k and v: checked, and brought to as many batch axes as these have."""

from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Shape
from seqjax.errors import ArgumentError, ArgumentTypeError

Positions = tuple[Array, Array]
"""The positions of queries and of keys."""


def fit(name: str, array: Array, batch: Shape, axes: Shape, hint: str = "", free: bool = False) -> jax.Array:
    """An array `[*B or fewer or 1s, *axes]` as `[*B or 1s, *axes]`, with an axis of size 1 for each that it lacks.

    free: the axes may be of size 1, or lacking, too.

    Raises:
        ArgumentError: it does not fit.
    """
    whole, shape = (*batch, *axes), jnp.shape(array)
    padded = (1,) * (len(whole) - len(shape)) + shape
    sizes = zip(padded, whole, [True] * len(batch) + [free] * len(axes))
    enough = free or len(shape) >= len(axes)
    if len(shape) > len(whole) or not enough or any(n != size and not (n == 1 and may) for n, size, may in sizes):
        raise ArgumentError(f"{name} must {'broadcast to' if free else 'have'} the shape {whole}, found {shape}{hint}")
    return jnp.reshape(jnp.asarray(array), padded)


def integers(name: str, array: Any, least: int = 0) -> Array:
    """An array of whole numbers with at least so many axes.

    Raises:
        ArgumentError, ArgumentTypeError: it is none.
    """
    if isinstance(array, int) and not isinstance(array, bool):
        array = jnp.asarray(array)
    dtype = getattr(array, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.integer):
        found = type(array).__name__ if dtype is None else f"dtype {dtype}"
        raise ArgumentTypeError(f"{name} must be an array of whole numbers, found {found}")
    if array.ndim < least:
        raise ArgumentError(f"{name} must have a time axis, found shape {array.shape}")
    # Differences would wrap around in unsigned and narrow dtypes.
    return array.astype(jnp.int64 if dtype.itemsize == 8 else jnp.int32)


def default_positions(queries: int, keys: int) -> Positions:
    """Keys 0 .. S-1; the queries are the last T of them."""
    return keys - queries + jnp.arange(queries), jnp.arange(keys)


def check_positions(positions: object) -> Positions:
    """A pair of arrays of whole numbers with a time axis.

    Raises:
        ArgumentError, ArgumentTypeError: another thing.
    """
    if not isinstance(positions, tuple) or len(positions) != 2:
        raise ArgumentTypeError(
            f"positions must be a pair (those of queries [*B, T], those of keys [*B, S]), found {positions!r:.80}"
        )
    q, k = (integers(f"the positions of {name}", p, 1) for name, p in zip(("queries", "keys"), positions))
    return q, k


def fit_positions(positions: Positions, batch: Shape, queries: int, keys: int) -> tuple[jax.Array, jax.Array]:
    """Both with all batch axes.

    Raises:
        ArgumentError: a shape that does not fit.
    """
    q, k = positions
    return fit("the positions of queries", q, batch, (queries,)), fit("the positions of keys", k, batch, (keys,))


def ranges(values: Array) -> tuple[jax.Array, jax.Array]:
    """The least and the greatest along the last axis."""
    return jnp.min(values, -1), jnp.max(values, -1)
