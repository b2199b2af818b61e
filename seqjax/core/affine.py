"""Cells whose recurrence is linear in the carry, over all steps: a and b at once, then all states, then all outputs."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import cast_floats, cast_like, out_dtype, select
from seqjax._internal.types import Array, Bool, Carry, Pair, Params, PyTree
from seqjax.core.linear_scan import linear_scan
from seqjax.core.loop import parallel
from seqjax.core.plan import Plan
from seqjax.errors import ArgumentError


def run_affine(cell: Any, params: Params, carry: Carry, xs: PyTree, plan: Plan, *, blocks: bool) -> Pair:
    """All steps of a `diagonal` cell, xs `[T, B, ...]`; the states in blocks, or one after another."""

    def run(carry: Carry, xs: PyTree, mask: Bool[Array, " T *B"] | None, starts: Bool[Array, " T *B"] | None) -> Pair:
        a, b = find_coefficients(cell, params, carry, xs)
        filler = None
        if mask is not None:
            # Unreal steps read what a first step would give: a pair of state and input that the cell meets.
            filler = lax.stop_gradient(_advance(a, carry, b))
            a = select(mask, a, jax.tree.map(jnp.ones_like, a))
            b = select(mask, b, jax.tree.map(jnp.zeros_like, b))
        if starts is not None:
            restart = cast_like(cell.restart(params, carry, starts.shape[1:]), carry)
            b = select(starts, _advance(a, restart, b), b)
        options = {"blocks": blocks, "autodiff": plan.gradient == "autodiff"}
        states = jax.tree.map(lambda a, b, h: linear_scan(a, b, h, starts, **options), a, b, carry)
        read = states if filler is None else select(mask, states, filler)
        ys = cast_floats(cell.read(params, read, xs), out_dtype(params, xs))
        return jax.tree.map(lambda h: h[-1], states), ys

    return parallel(run, carry, xs, plan)


def step_affine(cell: Any, params: Params, carry: Carry, x: PyTree) -> Pair:
    """One step of a `diagonal` cell: a h + b, and what it reads of that."""
    a, b = find_coefficients(cell, params, carry, x)
    after = _advance(a, carry, b)
    return after, cast_floats(cell.read(params, after, x), out_dtype(params, x))


def find_coefficients(cell: Any, params: Params, carry: Carry, x: PyTree) -> tuple[Carry, Carry]:
    """a and b for x of one step or of all, in the dtypes of the carry.

    Raises:
        ArgumentError: they are no trees of arrays like those of the carry.
    """
    a, b = cell.affine(params, x)
    shapes = lambda tree, axes: jax.tree.map(lambda leaf: tuple(leaf.shape[axes:]), tree)
    extra = jax.tree.leaves(b)[0].ndim - jax.tree.leaves(carry)[0].ndim
    expected = shapes(carry, 0)
    for name, tree in (("a", a), ("b", b)):
        if shapes(tree, extra) != expected:
            raise ArgumentError(
                f"{cell!r}: affine must give {name} like the carry, {expected} for each step, "
                f"found {shapes(tree, extra)}"
            )
    return cast_like(a, carry), cast_like(b, carry)


def _advance(a: Carry, h: Carry, b: Carry) -> Carry:
    """a h + b, for an h of one step or of all."""
    return jax.tree.map(lambda a, h, b: a * jnp.broadcast_to(h, a.shape) + b, a, h, b)
