"""The loops that carry a cell through time, in segments when memory asks for it.

Axes: `T` time, `B` batch (any number of axes, also none). Everything here is time-major, `[T, B, ...]`,
the layout of `jax.lax.scan`; `seqjax.scan` is the batch-major public face.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax.gradient import chunked, deferred
from seqjax.plan import Plan, boundaries, note
from seqjax.trees import cast_like, select


def run(cell: Any, params: Any, carry: Any, xs: Any, plan: Plan) -> tuple[Any, Any]:
    """Run `cell` over `xs` `[T, B, ...]`: the fold of its step, in segments when `plan.checkpoint` asks."""
    length = jax.tree.leaves(xs)[0].shape[0]
    inputs = (xs, plan.mask, boundaries(plan))
    path = _path(cell, carry, plan, length)
    if plan.checkpoint is None or length == 0:
        return path(carry, inputs, cell, params, plan)
    size = max(1, math.isqrt(length)) if plan.checkpoint == "sqrt" else int(plan.checkpoint)
    note(f"{cell!r}: recomputed in the backward pass from a carry kept every {size} steps")
    segment = jax.checkpoint(lambda c, i: path(c, i, cell, params, plan), prevent_cse=False)
    return chunked(segment, carry, inputs, size, plan.reverse)


def _path(cell: Any, carry: Any, plan: Plan, length: int) -> Callable[..., tuple[Any, Any]]:
    if plan.gradient == "autodiff":
        why = "asked for"
    elif not all(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in jax.tree.leaves(carry)):
        why = "the carry holds arrays that are not floating point"
    elif length == 0:
        why = "there are no steps"
    else:
        return deferred
    note(f"{cell!r}: loop over time, autodiff gradient ({why})")
    return _plain


def _plain(carry: Any, inputs: Any, cell: Any, params: Any, plan: Plan) -> tuple[Any, Any]:
    def body(carry: Any, inputs: Any) -> tuple[Any, Any]:
        x, mask, reset = inputs
        if reset is not None:
            fresh = cast_like(cell.restart(params, carry, reset.shape), carry)
            carry = select(reset, fresh, carry)
        after, y = cell.step(params, carry, x)
        return select(mask, cast_like(after, carry), carry), y

    return lax.scan(body, carry, inputs, reverse=plan.reverse, unroll=plan.unroll)
