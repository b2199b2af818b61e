"""Dropout of attention weights whose randomness is a function of the pair, so that no way of computing changes it."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Float, Int, Shape
from seqjax._internal.validation import real_number
from seqjax.errors import ArgumentError, ArgumentTypeError


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Dropout:
    """A rate, and a key for each query as its data, `[*B, T, W]`; blocks and loops take these as any other array."""

    data: jax.Array
    rate: float = dataclasses.field(metadata={"static": True})

    def factors(self, k_positions: Int[Array, "*#B S"], heads: int) -> Float[jax.Array, "*B N T S"]:
        """0 for a dropped pair and 1 / (1 - rate) for the others."""
        least = jnp.uint32(min(round(self.rate * 2**32), 2**32 - 1))  # of 2**32 equally likely draws, so many drop
        one, other = (self.data[..., i].astype(jnp.uint32) for i in (0, -1))  # words of a query's key, `[*B, T]`
        positions = jnp.broadcast_to(k_positions, (*one.shape[:-1], k_positions.shape[-1])).astype(jnp.uint32)
        pairs = _mix(one[..., :, None] ^ positions[..., None, :] * _ODD) + other[..., :, None]
        heads_first = (*(1 for _ in one.shape[:-1]), heads, 1, 1)
        each = (jnp.arange(1, heads + 1, dtype=jnp.uint32) * _ODD).reshape(heads_first)
        draws = _mix(pairs[..., None, :, :] ^ each)
        return (draws >= least) / jnp.float32(1 - self.rate)


_ODD = np.uint32(0x9E3779B9)  # 2^32 over the golden ratio: multiples of it differ in all bits


def _mix(x: jax.Array) -> jax.Array:
    """Each bit of the result depends on all bits of x: the last steps of MurmurHash3 (Appleby 2011), a bijection.

    Numbers of a query differ by its own key, which comes of `jax.random`; within its row this is enough, and takes an
    eighth of the arithmetic of a number of `jax.random` for each pair.
    """
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def make_dropout(given: object, batch: Shape, q_positions: Int[Array, "*#B T"]) -> Dropout | None:
    """That of the argument `dropout`, a pair (rate, key); None at rate 0.

    One key becomes one for each query: folded with the number of the example, then with the position.

    Raises:
        ArgumentError, ArgumentTypeError: no such pair, a rate outside [0, 1), or keys of the wrong kind or shape.
    """
    if given is None:
        return None
    if not isinstance(given, tuple) or len(given) != 2:
        raise ArgumentTypeError(f"dropout must be a pair (rate, key), found {given!r:.80}")
    rate, key = real_number("the rate of dropout", given[0]), given[1]
    if not 0 <= rate < 1:
        raise ArgumentError(f"the rate of dropout must be in [0, 1), found {rate}")
    if not rate:
        return None
    if not hasattr(key, "dtype") or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise ArgumentTypeError(
            f"the key of dropout must be one key such as jax.random.key(0), or keys [*B, T], found {key!r:.80}. "
            "jax.random.PRNGKey makes keys of the old style"
        )
    shape = (*batch, q_positions.shape[-1])
    if key.ndim == 0:
        rows = jax.random.split(key, math.prod(batch)) if batch else key[None]
        fold = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)))
        key = fold(rows, jnp.broadcast_to(q_positions, shape).reshape(-1, shape[-1])).reshape(shape)
    elif key.shape != shape:
        raise ArgumentError(f"the keys of dropout must be one key or have the shape [*B, T] {shape}, found {key.shape}")
    return Dropout(jax.random.key_data(key), rate)
