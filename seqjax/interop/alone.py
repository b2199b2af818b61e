"""Whether a module treats each vector alone, seen by trying it once."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Params, PyTree
from seqjax.errors import ArgumentError

_SHAPE, _PLACE = (4, 16), (1, 7)
"""Sequences that are tried, and the step among them whose output must depend on its own input alone."""
_close = functools.partial(jnp.allclose, atol=1e-6, equal_nan=True)


def check_alone(call: Callable[[Params, jax.Array], PyTree], params: PyTree, in_features: int | None) -> None:
    """Refuse a map `call(params, x)` in which one vector, or token id, acts on what comes out for another.

    All inputs but one become NaN (or another id), and the output for that one must stay as it was.

    Args:
        call, params: the map, and shapes of its parameters.
        in_features: of a vector; None for token ids.

    Raises:
        ArgumentError: one acts on another.
    """
    with jax.ensure_compile_time_eval(), jax.debug_nans(False):  # within jit, and where NaN is to raise, too
        filled = jax.tree.map(_fill, params)
        xs, other = jnp.zeros(_SHAPE, int), 1.0
        if in_features is not None:
            xs, other = _fill(jax.ShapeDtypeStruct((*_SHAPE, in_features), jnp.result_type(float))), math.nan
        others = jnp.full_like(xs, other).at[_PLACE].set(xs[_PLACE])
        run = jax.jit(call)
        for alone, among in zip(jax.tree.leaves(run(filled, xs)), jax.tree.leaves(run(filled, others))):
            if alone.shape[:2] != _SHAPE or not _close(alone[_PLACE], among[_PLACE]):
                raise ArgumentError(
                    "as_cell: in this module one row or step acts on what comes out for another, as in GroupNorm over "
                    "time or a mean of the batch; a cell goes step by step, each sequence by itself. Use LayerNorm or "
                    "RMSNorm, or write a module with a carry (docs/flax.md)"
                )


def _fill(like: Any) -> jax.Array:
    """Some numbers of this shape, no two of which are the same by chance."""
    numbers = np.sin(1 + np.arange(np.prod(like.shape))).reshape(like.shape)
    return jnp.asarray(numbers).astype(like.dtype)
