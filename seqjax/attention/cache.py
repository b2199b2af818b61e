"""Keys and values of the tokens so far: written once for each token, however the sequence is cut.

Axes: `B` batch (any number of axes, also none), `T` new tokens, `C` slots, `K` key/value heads, `H` head features. A
token's position is the number of real tokens before it since the last reset, and its slot is position % C.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Bool, DTypeLike, Float, Int, Shape
from seqjax._internal.validation import known
from seqjax.attention._cache_checks import check_cache, check_empty, check_extend
from seqjax.attention.placement import Places as Places  # both are names of this file too, for those who have `cache`
from seqjax.attention.placement import places as places
from seqjax.errors import ArgumentError


class Cache(NamedTuple):
    """What is kept of the tokens so far, batch axes first in every leaf: a carry.

    k, v: `[*B, K, C, H]`, zeros in slots that hold nothing. Heads come before slots, as the products with a query read
        them: no step copies a cache to turn it.
    at: int32 `[*B, C]`, the position of the token in each slot, -1 where there is none.
    count: int32 `[*B]`, the number of real tokens since the last reset.
    """

    k: Float[jax.Array, "*B K C H"]
    v: Float[jax.Array, "*B K C H"]
    at: Int[jax.Array, "*B C"]
    count: Int[jax.Array, "*B"]  # type: ignore[assignment]  # a tuple has a method of this name, unused here


class Keys(NamedTuple):
    """What new tokens may attend to, where `causal() & segments(places.segment, segment) & padding(real)` allows it.

    k, v: `[*B, S, K, H]`, in the dtype of the cache.
    position: int32 `[*B, S]`, -1 in a slot that holds nothing.
    segment: int32 `[*B, S]`; compare it with that of the places.
    real: bool `[*B, S]`, whether there is a token at all.
    """

    k: Float[jax.Array, "*B S K H"]
    v: Float[jax.Array, "*B S K H"]
    position: Int[Array, "*B S"]
    segment: Int[Array, "*B S"]
    real: Bool[Array, "*B S"]


def empty(
    batch_shape: Shape, capacity: int, kv_heads: int, head_features: int, dtype: DTypeLike = jnp.float32
) -> Cache:
    """A cache that holds nothing.

    Args:
        batch_shape: the sizes of the batch axes, () for none.
        capacity: C, how many tokens it can hold. For a window attention of n tokens, n is enough.
        kv_heads, head_features: K and H.
        dtype: of keys and values; a narrow one such as bfloat16 halves the memory.

    Raises:
        ArgumentError, ArgumentTypeError: sizes that are no whole numbers above 0, a dtype that is not floating point.

        >>> from seqjax import attention
        >>> cache = attention.empty((2,), 16, kv_heads=1, head_features=4)
        >>> cache.k.shape, cache.count.tolist()
        ((2, 1, 16, 4), [0, 0])
    """
    check_empty(batch_shape, capacity, kv_heads, head_features, dtype)
    # Two arrays: who gives the cache away to a jitted step could not give one array away twice.
    k, v = (jnp.zeros((*batch_shape, kv_heads, capacity, head_features), dtype) for _ in range(2))
    return Cache(k, v, jnp.full((*batch_shape, capacity), -1, jnp.int32), jnp.zeros(batch_shape, jnp.int32))


def extend(
    cache: Cache,
    k: Float[Array, "*B T K H"],
    v: Float[Array, "*B T K H"],
    places: Places,
    *,
    window: int | None = None,
    fresh: bool = False,
) -> tuple[Cache, Keys]:
    """Write new tokens, and say what they may attend to.

    Args:
        cache: what there is so far.
        k, v: `[*B, T, K, H]`. They are rounded to the dtype of the cache at once, so that a token is the
            same to those who read it now and to those who read it later.
        places: `places(cache.count, mask, resets, T)`.
        window: None, or n where a token attends to the last n alone, itself among them: then the slots are a ring,
            C >= n, and the sequence may be of any length.
        fresh: the cache is empty, and is not read.

    Returns:
        The cache afterwards, and the keys: the cache alone for one token (nothing is copied inside jit, where the
        cache is donated or carried by a loop), the new tokens alone where fresh, else the cache and then the new
        tokens. A ring may lose tokens that earlier ones of the same chunk need, which is why both are there.

    A token that is not real writes nothing. After a reset only the last sequence is kept. Cutting a sequence into
    chunks changes neither the cache nor what is attended to.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not fit; C below the window; without a window, a position of C
            or more, where it is known. Inside jit it is not: such a token is not written, `overflow` marks it, and the
            caller puts NaN in its output with `poison`.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> cache = attention.empty((1,), 4, kv_heads=1, head_features=2)
        >>> k = v = jnp.ones((1, 3, 1, 2))
        >>> cache, keys = attention.extend(cache, k, v, attention.places(cache.count, steps=3), fresh=True)
        >>> cache.at.tolist(), keys.position.tolist()
        ([[0, 1, 2, -1]], [[0, 1, 2]])
        >>> cache, keys = attention.extend(cache, k[:, :1], v[:, :1], attention.places(cache.count, steps=1))
        >>> cache.at.tolist(), keys.position.tolist()
        ([[0, 1, 2, 3]], [[0, 1, 2, 3]])
    """
    check_extend(cache, k, v, places, window)
    if fresh and known(cache.count) and np.any(cache.count):
        raise ArgumentError("fresh=True is for an empty cache, which is not read; this one holds tokens")
    k, v = jnp.asarray(k).astype(cache.k.dtype), jnp.asarray(v).astype(cache.v.dtype)
    if k.shape[-3] == 1:
        after = _put_token(cache, k, v, places, window)
    else:
        after = _merge(_forget(cache, places), k, v, places, window) if k.shape[-3] else cache
    if fresh:
        return after, Keys(k, v, places.position, places.segment, places.real)
    if k.shape[-3] == 1:
        segment = jnp.broadcast_to(places.segment, after.at.shape)
        return after, Keys(swap_heads(after.k), swap_heads(after.v), after.at, segment, after.at >= 0)
    parts = [
        (swap_heads(cache.k), k, -3), (swap_heads(cache.v), v, -3), (cache.at, places.position, -1),
        (jnp.zeros_like(cache.at), places.segment, -1), (cache.at >= 0, places.real, -1),
    ]  # fmt: skip
    return after, Keys(*(jnp.concatenate([old, new], axis=axis) for old, new, axis in parts))


def swap_heads(a: jax.Array) -> jax.Array:
    """`[*B, K, C, H]` as `[*B, C, K, H]`, and back.

    `dot_product` turns it again, and nothing is left of both inside jit.

    >>> import jax.numpy as jnp
    >>> from seqjax.attention.cache import swap_heads
    >>> swap_heads(jnp.zeros((2, 16, 1, 4))).shape
    (2, 1, 16, 4)
    """
    return jnp.swapaxes(a, -3, -2)


def _forget(cache: Cache, places: Places) -> Cache:
    """The cache without what a reset has ended: zeros, as in an empty one."""
    if known(places.segment) and not np.any(places.segment):
        return cache  # not even a look at it: decoding writes in place
    ended = places.segment[..., -1:] > 0
    clear = lambda a: jnp.where(ended[..., None, None], jnp.zeros_like(a), a)
    return cache._replace(k=clear(cache.k), v=clear(cache.v), at=jnp.where(ended, -1, cache.at))


def _put_token(cache: Cache, k: jax.Array, v: jax.Array, places: Places, window: int | None) -> Cache:
    """One token in its slot."""
    cache = _forget(cache, places)
    capacity, position = cache.at.shape[-1], places.position
    kept = places.real if window is not None else places.real & (position < capacity)
    slot = jnp.where(kept, position % capacity, capacity)  # beyond the last: nowhere

    def put(old: jax.Array, slot: jax.Array, new: jax.Array) -> jax.Array:
        return old.at[..., slot, :].set(new, mode="drop", unique_indices=True)

    for _ in range(places.count.ndim):
        put = jax.vmap(put)
    at = put(cache.at[..., None], slot, position[..., None])[..., 0]
    return Cache(put(cache.k, slot, swap_heads(k)), put(cache.v, slot, swap_heads(v)), at, places.count)


def _merge(cache: Cache, k: jax.Array, v: jax.Array, places: Places, window: int | None) -> Cache:
    """Many tokens: each slot looks up the newest that falls into it. (CPUs write tokens one by one.)"""
    capacity, last = cache.at.shape[-1], places.count[..., None] - 1
    slots = np.broadcast_to(np.arange(capacity, dtype=np.int32), cache.at.shape)
    position = slots if window is None else last - (last - slots) % capacity
    step, new = _steps_at(position, last, places)

    def take(old: jax.Array, added: jax.Array, step: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(new[:, None], swap_heads(added.at[step].get(mode="clip")), old)

    for _ in range(places.count.ndim):
        take = jax.vmap(take)
    at = jnp.where(new, position, cache.at)
    return Cache(take(cache.k, k, step, new), take(cache.v, v, step, new), at, places.count)


def _steps_at(position: Array, last: jax.Array, places: Places) -> tuple[jax.Array, jax.Array]:
    """Which new token of the last segment stands at each position `[*B, C]`, and whether there is one."""
    read = jnp.cumsum(places.real, axis=-1, dtype=jnp.int32)
    position = jnp.asarray(position)
    rank = read[..., -1:] - (last - position)  # among the new real tokens, from 1
    new = (position >= 0) & (position <= last) & (rank > 0)
    if known(places.real) and np.all(places.real):
        return rank - 1, new
    count = _count_below
    for _ in range(places.count.ndim):
        count = jax.vmap(count)
    return count(read, rank), new


def _count_below(sorted_numbers: jax.Array, bounds: jax.Array) -> jax.Array:
    """How many numbers are below each bound, by bisection; `jnp.searchsorted` refuses meshes with explicit axes."""
    below, size = jnp.zeros_like(bounds), sorted_numbers.shape[0]
    for bit in reversed(range(size.bit_length())):
        more = below + (1 << bit)
        fits = (more <= size) & (sorted_numbers.at[more - 1].get(mode="clip") < bounds)
        below = jnp.where(fits, more, below)
    return below


def overflow(cache: Cache, places: Places, *, window: int | None = None) -> Bool[jax.Array, "*B T"]:
    """Which new tokens found no room: real ones at a position of C or more, without a window.

    >>> import jax.numpy as jnp
    >>> from seqjax import attention
    >>> cache = attention.empty((), 2, kv_heads=1, head_features=4)
    >>> attention.overflow(cache, attention.places(jnp.array(0), steps=3)).tolist()
    [False, False, True]
    """
    check_cache(cache)
    if window is not None:
        return jnp.zeros_like(places.position, bool)
    return jnp.asarray(places.real & (places.position >= cache.at.shape[-1]))


def poison(
    ys: Float[Array, "..."], cache: Cache, places: Places, *, window: int | None = None
) -> Float[jax.Array, "..."]:
    """`ys` with NaN in the outputs of tokens that found no room: no error inside jit, but never a wrong number.

    >>> import jax.numpy as jnp
    >>> from seqjax import attention
    >>> cache = attention.empty((), 2, kv_heads=1, head_features=4)
    >>> attention.poison(jnp.ones((3, 1)), cache, attention.places(jnp.array(0), steps=3)).tolist()
    [[1.0], [1.0], [nan]]
    """
    if window is not None:
        return jnp.asarray(ys)
    full = overflow(cache, places)
    full = full.reshape(*full.shape, *[1] * (ys.ndim - full.ndim))
    return jnp.where(full, jnp.full_like(ys, jnp.nan), ys)
