"""Modules with drawn parameters, and going on from a carry in chunks, compiled once for each length of a chunk."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


def drawn(make, *args, seed=0, **options):
    """A module whose parameters are all drawn, biases and scales too; nothing is compiled for it."""
    rng = np.random.default_rng(seed)
    module = jax.eval_shape(lambda: make(*args, rngs=nnx.Rngs(0), **options))
    draw = lambda a: jnp.asarray(rng.normal(size=a.shape) * (0.4 if len(a.shape) > 1 else 1.0), a.dtype)
    return jax.tree.map(draw, module)


@functools.partial(jax.jit, static_argnames="fresh")
def extend(module, carry, x, mask, resets, fresh):
    return module.extend(carry, x, mask=mask, resets=resets, fresh=fresh)


@jax.jit
def call(module, x, mask=None, resets=None):
    return module(x, mask=mask, resets=resets)


def extend_in_chunks(module, carry, x, sizes, mask=None, resets=None, axis=1, fresh=True):
    """The outputs of chunks of these sizes, joined, and the last carry."""
    ys, start = [], 0
    for size in sizes:
        part = lambda a: None if a is None else a[:, start : start + size]
        carry, y = extend(module, carry, part(x), part(mask), part(resets), fresh and start == 0)
        ys.append(y)
        start += size
    assert start == x.shape[axis]
    return carry, jnp.concatenate(ys, axis=axis)


def vectors(batch, steps, features, seed=0):
    return jax.random.normal(jax.random.key(seed), (batch, steps, features))
