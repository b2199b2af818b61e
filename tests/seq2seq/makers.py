"""Decoders on trial, and the memories and sources that they read."""

import jax
import jax.numpy as jnp

from seqjax.seq2seq import Memory

LENGTHS = (5, 3, 4, 1, 2, 5, 4, 3)
"""Of the sources of a batch."""
STEPS = 5


def masks(batch):
    """Of sources of other lengths in each row."""
    rows = batch[-1] if batch else 1
    lengths = jnp.asarray([LENGTHS[i % len(LENGTHS)] for i in range(rows)], int)
    lengths = jnp.broadcast_to(lengths if batch else lengths[0], batch)
    shape = (*batch, STEPS)
    return jnp.broadcast_to(jnp.arange(STEPS), shape) < jnp.broadcast_to(lengths[..., None], shape)


def masked_memory_for(cell, features=3, vocabulary=5):
    """`make_carry` of `check_cell` for a cell that asks for a memory."""

    def make(key, params, batch):
        values = jax.random.normal(key, (*batch, STEPS, features))
        tokens = jax.random.randint(key, (*batch, STEPS), 0, vocabulary)
        given = {"memory": Memory(values, masks(batch), tokens), "key": key}
        return cell.initial_carry(params, batch, **{name: given[name] for name in cell.asks})

    return make


def source_for(cell, vocabulary=5):
    """The same for one that asks for a source."""

    def make(key, params, batch):
        given = {"source": (jax.random.randint(key, (*batch, STEPS), 0, vocabulary), masks(batch)), "key": key}
        return cell.initial_carry(params, batch, **{name: given[name] for name in cell.asks})

    return make
