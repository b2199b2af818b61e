"""What is refused of a cache and of the tokens that go into it."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, DTypeLike, Shape
from seqjax._internal.validation import check_batch_shape, check_dtype, known, whole_number
from seqjax.errors import ArgumentError, ArgumentTypeError


def check_empty(batch_shape: Shape, capacity: int, kv_heads: int, head_features: int, dtype: DTypeLike) -> None:
    """Refuse what no cache can be made of."""
    check_batch_shape("empty", batch_shape)
    for name, value in (("capacity", capacity), ("kv_heads", kv_heads), ("head_features", head_features)):
        whole_number(name, value, 1)
    check_dtype("empty", dtype)


def check_flags(name: str, flags: Any, shape: Shape) -> None:
    """Refuse flags that are not bool `[*B, T]`."""
    dtype = getattr(flags, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.bool_):
        slip = ". Lengths are no mask: jnp.arange(T) < lengths[:, None] is" if name == "mask" else ""
        raise ArgumentTypeError(f"{name} must be a bool array, found {dtype or type(flags).__name__}{slip}")
    if flags.shape != shape:
        raise ArgumentError(f"{name} must have the shape {shape}, batch and then time, found {flags.shape}")


def check_places(count: Array, mask: Array | None, resets: Array | None, steps: int | None) -> Shape:
    """The shape `[*B, T]` of the new tokens."""
    if not hasattr(count, "dtype") or not jnp.issubdtype(count.dtype, jnp.integer):
        raise ArgumentTypeError(f"count must be an integer array, one number a row, found {count!r}")
    given = [flags for flags in (mask, resets) if flags is not None]
    if steps is None and not given:
        raise ArgumentError("steps must be given where there is neither a mask nor resets: how many new tokens?")
    if steps is None:
        steps = given[0].shape[-1] if np.ndim(given[0]) else 0
    shape = (*count.shape, whole_number("steps", steps))
    for name, flags in (("mask", mask), ("resets", resets)):
        if flags is not None:
            check_flags(name, flags, shape)
    return shape


def check_cache(cache: Any) -> None:
    """Refuse what is no cache."""
    if not all(hasattr(cache, name) for name in ("k", "v", "at", "count")):
        raise ArgumentTypeError(f"cache must be one of `empty`, found {type(cache).__name__}")


def check_extend(cache: Any, k: Array, v: Array, places: Any, window: int | None) -> None:
    """Refuse tokens that do not fit the cache.

    Raises:
        ArgumentError, ArgumentTypeError: as in `extend`.
    """
    check_cache(cache)
    if not all(hasattr(places, name) for name in ("position", "segment", "real", "count")):
        raise ArgumentTypeError(f"places must be what `places` returns, found {type(places).__name__}")
    batch, (heads, capacity, width) = cache.count.shape, cache.k.shape[-3:]
    steps = places.position.shape[-1]
    for name, new in (("k", k), ("v", v)):
        wanted = (*batch, steps, heads, width)
        if np.shape(new) != wanted:
            slip = ". Heads come after time: [*B, T, K, H]" if sorted(np.shape(new)) == sorted(wanted) else ""
            raise ArgumentError(
                f"{name} must have the shape {wanted}, as the cache and the places say, found {np.shape(new)}{slip}"
            )
        if not jnp.issubdtype(new.dtype, jnp.floating):
            raise ArgumentTypeError(f"{name} must be floating point, found {new.dtype}")
    if window is not None and capacity < whole_number("window", window, 1):
        raise ArgumentError(f"a window of {window} tokens needs as many slots, found a cache of capacity {capacity}")
    if window is None:
        _check_room(capacity, places)


def known_length(places: Any) -> int:
    """How many tokens there are in the longest sequence, as far as it is known: 0 where it is not."""
    if known(places.position) and known(places.real) and places.position.size:
        return int(np.max(np.where(places.real, places.position, -1))) + 1
    all_real = known(places.real) and np.all(places.real) and known(places.segment) and not np.any(places.segment)
    return places.position.shape[-1] if all_real else 0


def _check_room(capacity: int, places: Any) -> None:
    """Refuse tokens for which there is no slot, as far as it is known."""
    longest = known_length(places)
    if longest > capacity:
        raise ArgumentError(
            f"{longest} tokens do not fit in a cache of capacity {capacity}: make it larger (capacity=...), or attend "
            "to a window (window=...)"
        )
