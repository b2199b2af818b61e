"""Dropout of attention weights whose randomness is a function of the pair, so that no way of computing changes it."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Float, Int, Shape
from seqjax._internal.validation import real_number
from seqjax.errors import ArgumentError, ArgumentTypeError


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Dropout:
    """A rate, and a key for each query as its data, `[*B, T, W]`; blocks and loops take these as any other array."""

    data: jax.Array
    rate: float = dataclasses.field(metadata={"static": True})
    impl: Any = dataclasses.field(metadata={"static": True})

    def factors(self, k_positions: Int[Array, "*#B S"], heads: int) -> Float[jax.Array, "*B N T S"]:
        """0 for a dropped pair and 1 / (1 - rate) for the others."""
        least = jnp.uint32(min(round(self.rate * 2**32), 2**32 - 1))  # of 2**32 equally likely draws, so many drop

        def draw(key: jax.Array, position: jax.Array) -> jax.Array:
            return jax.random.bits(jax.random.fold_in(key, position), (heads,), jnp.uint32) >= least

        keys = jax.random.wrap_key_data(self.data, impl=self.impl)
        for_queries = jax.vmap(jax.vmap(draw, (None, 0)), (0, None))
        for _ in keys.shape[:-1]:
            for_queries = jax.vmap(for_queries)
        positions = jnp.broadcast_to(k_positions, (*keys.shape[:-1], k_positions.shape[-1]))
        return jnp.moveaxis(for_queries(keys, positions), -1, -3) / jnp.float32(1 - self.rate)


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
    return Dropout(jax.random.key_data(key), rate, jax.random.key_impl(key))
