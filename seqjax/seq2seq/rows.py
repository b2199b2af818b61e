"""A carry made of nothing, laid out over devices as the rows that it belongs to."""

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Carry, Shaped


def spread_like(carry: Carry, rows: Shaped[Array, "..."], batch_axes: int) -> Carry:
    """The carry with its rows where those of `rows` are, an array with as many batch axes first.

    Zeros are on every device, and neither explicit meshes nor `shard_map` let a loop carry them beside a batch that is
    spread over devices. Without a mesh nothing is done.
    """
    if jax.sharding.get_abstract_mesh().empty:
        return carry
    zero = jnp.sum(jnp.zeros_like(rows, dtype=jnp.uint32), axis=tuple(range(batch_axes, rows.ndim)))

    def one(leaf: jax.Array) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(one(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        zeros = zero.astype(leaf.dtype).reshape(zero.shape + (1,) * (leaf.ndim - zero.ndim))
        zeros = jnp.broadcast_to(zeros, leaf.shape)
        return leaf | zeros if leaf.dtype == bool else leaf + zeros

    return jax.tree.map(one, carry)
