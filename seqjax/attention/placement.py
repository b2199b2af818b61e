"""Where new tokens stand: positions that count real tokens since the last reset, for any padding and packing.

Axes: `B` batch (any number of axes, also none), `T` new tokens.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Bool, Int
from seqjax.attention._cache_checks import check_places
from seqjax.attention._cache_checks import known_length as known_length  # of places: a name of this file too


class Places(NamedTuple):
    """Where new tokens stand; `places` makes it.

    position: int32 `[*B, T]`, the number of real tokens before it since the last reset (for a token that is not real,
        the position of the real one before it, or 0).
    segment: int32 `[*B, T]`, the number of resets among the new tokens up to and with it: 0 goes on from the cache.
    real: bool `[*B, T]`.
    count: int32 `[*B]`, that of the cache afterwards.

    `real` is all True, or `segment` all 0, as an array of NumPy where no mask or no resets were given: then a jitted
    program knows it too, and leaves out the work.
    """

    position: Int[jax.Array, "*B T"]
    segment: Int[Array, "*B T"]
    real: Bool[Array, "*B T"]
    count: Int[jax.Array, "*B"]  # type: ignore[assignment]  # a tuple has a method of this name, unused here


def places(
    count: Int[Array, "*B"],
    mask: Bool[Array, "*B T"] | None = None,
    resets: Bool[Array, "*B T"] | None = None,
    steps: int | None = None,
) -> Places:
    """Where `steps` new tokens stand after `count` others.

    Args:
        count: int `[*B]`, tokens since the last reset: that of the cache, zeros for whole sequences.
        mask: bool `[*B, T]`, the real tokens; the others have no position of their own.
        resets: bool `[*B, T]`: a new sequence begins before this token. At a token that is not real it is ignored, as
            in `seqjax.scan`.
        steps: T, 0 or more, needed where there is neither a mask nor resets.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not fit, a mask or resets that are not bool.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> mask = jnp.array([[False, True, True, True]])  # padding on the left, and a new sequence at the end
        >>> at = attention.places(jnp.array([5]), mask, jnp.array([[False, False, False, True]]))
        >>> at.position.tolist(), at.segment.tolist(), at.count.tolist()
        ([[4, 5, 6, 0]], [[0, 0, 0, 1]], [1])
    """
    shape = check_places(count, mask, resets, steps)
    if not shape[-1]:
        nothing = jnp.zeros(shape, jnp.int32)
        return Places(nothing, np.zeros(shape, np.int32), np.ones(shape, bool), jnp.asarray(count, jnp.int32))
    before = jnp.asarray(count, jnp.int32)[..., None]
    running = lambda flags: jnp.cumsum(jnp.asarray(flags), axis=-1, dtype=jnp.int32)
    real: Array = np.ones(shape, bool) if mask is None else jnp.asarray(mask)
    read = running(real)
    if resets is None:
        return _places(before + read, np.zeros(shape, np.int32), real)
    starts = jnp.asarray(resets & real)
    earlier = jnp.where(starts, read - 1, -before)  # -count until the first start, then what was read before the last
    return _places(read - jax.lax.cummax(earlier, axis=earlier.ndim - 1), running(starts), real)


def _places(since: Int[jax.Array, "*B T"], segment: Array, real: Array) -> Places:
    return Places(jnp.maximum(since - 1, 0), segment, real, since[..., -1])
