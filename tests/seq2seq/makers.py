"""Decoders on trial and the memories that they read."""

import jax
import jax.numpy as jnp

from seqjax.seq2seq import Memory

LENGTHS = (5, 3, 4, 1, 2, 5, 4, 3)
"""Of the sources in the memories of a batch; the last real step is another in each row."""


def masked_memory(key, batch, features, steps=5, tokens=None):
    """Gaussian values, of other lengths in each row."""
    values, ids = jax.random.split(key)
    rows = jnp.asarray(LENGTHS)[jnp.arange(max(1, *batch, 1)) % len(LENGTHS)][: batch[-1] if batch else 1]
    lengths = jnp.broadcast_to(rows if batch else rows[0], batch)
    mask = jnp.broadcast_to(jnp.arange(steps), (*batch, steps)) < lengths[..., None]
    tokens = None if tokens is None else jax.random.randint(ids, (*batch, steps), 0, tokens)
    return Memory(jax.random.normal(values, (*batch, steps, features)), mask, tokens)


def memory_for(cell, features=3, steps=5, tokens=None):
    """`make_carry` of `check_cell` for decoders."""

    def make(key, params, batch):
        given = {"memory": masked_memory(key, batch, features, steps, tokens), "key": key, "in_features": 3}
        return cell.initial_carry(params, batch, **{name: given[name] for name in cell.asks})

    return make
