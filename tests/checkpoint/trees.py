"""Trees, and their comparison bit by bit."""

import chex
import jax
import jax.numpy as jnp
import numpy as np


def bits(leaf):
    """What is compared: type, dtype, shape, every bit, and where an array of JAX lies."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = bits(np.asarray(jax.random.key_data(leaf)))
        return (str(leaf.dtype), jax.random.key_impl(leaf), leaf.committed, leaf.sharding, *data)
    if isinstance(leaf, jax.Array):
        return (jax.Array, leaf.committed, leaf.sharding, *bits(np.asarray(leaf))[1:])
    if isinstance(leaf, (np.ndarray, np.generic)):
        return (type(leaf), leaf.dtype, leaf.shape, leaf.tobytes())
    return (type(leaf), repr(leaf))


def assert_same_bits(found, wanted):
    chex.assert_trees_all_equal_comparator(lambda a, b: bits(a) == bits(b), lambda a, b: f"{a!r}, {b!r}", found, wanted)


def zeros_like(tree):
    """A template: the same shapes, other values."""

    def one(leaf):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        if isinstance(leaf, jax.Array):
            zeros = np.zeros(leaf.shape, leaf.dtype)
            return jax.device_put(zeros, leaf.sharding) if leaf.committed else jnp.array(zeros)
        return np.zeros_like(leaf) if isinstance(leaf, np.ndarray) else type(leaf)()

    return jax.tree.map(one, tree)


def small_tree(step):
    return {"x": np.full((3, 2), step, np.float32), "y": np.arange(step, step + 4), "n": step}
