"""What a decoder starts from: a map of the ends of its source for each part of its state.

Bahdanau et al. (2015) begin with s_0 = tanh(W h), h the final state of the encoder's backward direction. Here h are
the values of the last real step and of the first side by side, and every floating vector of the state has a map.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Carry, DTypeLike, Float, Key, Params
from seqjax.core.gating import linear
from seqjax.core.held import Held
from seqjax.initializers import glorot
from seqjax.seq2seq.carry import AttendCarry


def init_bridge(key: Key[jax.Array, ""], state: Carry, ends: int, dtype: DTypeLike) -> Params:
    """A map `[ends, F_i]` for every vector `[F_i]` of the state of one example, by its path."""
    sizes = dict(_sizes(state))
    keys = jax.random.split(key, max(1, len(sizes)))
    return {
        name: {"kernel": glorot()(k, (ends, size), dtype), "bias": jnp.zeros(size, dtype)}
        for k, (name, size) in zip(keys, sizes.items())
    }


def apply_bridge(params: Params, state: Carry, ends: Float[Array, "*B E2"]) -> Carry:
    """The state in which each vector is tanh(W_i ends + b_i); clocks, keys, caches and memories stay what they are."""

    def one(name: str, leaf: jax.Array) -> jax.Array:
        return jnp.tanh(linear(jax.tree.map(jnp.asarray, params[name]), ends)).astype(leaf.dtype)

    return _map_vectors(one, state, ends.ndim - 1)


def _sizes(state: Carry) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []

    def note(name: str, leaf: Any) -> Any:
        found.append((name, leaf.shape[-1]))
        return leaf

    _map_vectors(note, state, 0)
    return found


def _map_vectors(change: Callable[[str, Any], Any], state: Carry, batch_axes: int) -> Carry:
    """`change(name, leaf)` for the floating leaves `[*B, F_i]`; a decoder within has a bridge of its own."""

    def one(path: jax.tree_util.KeyPath, leaf: Any) -> Any:
        apart = isinstance(leaf, (Held, AttendCarry))
        if apart or leaf.ndim != batch_axes + 1 or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return change(jax.tree_util.keystr(path, simple=True, separator=".") or "h", leaf)

    is_apart = lambda node: isinstance(node, (Held, AttendCarry))
    return jax.tree_util.tree_map_with_path(one, state, is_leaf=is_apart)
