"""Cells whose recurrence is linear in the carry, over many steps at once: their a and b, then states, then outputs.

What pays, as CPU time and temporary memory of a training step (one busy core, float32, jax 0.10.2, 2026-11-29):

                                      MinGRU(128)                     LRU(128)
    B, T, D                  1, 4096, 128    32, 512, 128    1, 4096, 128    32, 512, 128
    step by step             20 ms   8 MiB   78 ms  40 MiB   46 ms  10 MiB  161 ms  48 MiB
    all at once, a loop      10     12       77     64       38     28      187    112
    in chunks, a loop        12      6       75     32       24      6      132     33
    all at once, in blocks   11     17       93     75       30     32      203    126

In chunks (as long as those of the deferred gradient) what is computed lies in the cache, and the backward pass, which
computes it again, asks for no fresh pages. To keep products or states as well takes more memory and no less time.
While everything together is small, a single chunk of which all is kept takes less time: 0.68-0.82 for a MinGRU(128)
whose states take 2 MiB or less (and all that it keeps 14), but 0.97-1.14 for an LRU(128) whose states take 4 MiB.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import cast_floats, cast_like, out_dtype, select
from seqjax._internal.types import Array, Bool, Carry, Pair, Params, PyTree
from seqjax.core.chunks import scan_chunks
from seqjax.core.linear_scan import linear_scan
from seqjax.core.loop import count_steps, parallel
from seqjax.core.plan import Plan
from seqjax.core.taps import tap_states
from seqjax.errors import ArgumentError


def run_affine(
    cell: Any, params: Params, carry: Carry, xs: PyTree, plan: Plan, size_of: Callable[[int], int], blocks: bool
) -> Pair:
    """All steps of a `diagonal` cell, xs `[T, B, ...]`; so many of them in chunks of `size_of` them.

    The backward pass keeps the carry that each chunk starts with, and computes the rest again.
    """
    first, scan = lax.stop_gradient(carry), partial(linear_scan, blocks=blocks, autodiff=plan.gradient == "autodiff")

    def chunk(carry: Carry, inputs: PyTree) -> Pair:
        xs, mask, starts = inputs
        a, b = find_coefficients(cell, params, carry, xs)
        filler = None
        if mask is not None:
            # Unreal steps read what a first step would give: a pair of state and input that the cell meets.
            filler = lax.stop_gradient(_advance(a, first, b))
            a = select(mask, a, jax.tree.map(jnp.ones_like, a))
            b = select(mask, b, jax.tree.map(jnp.zeros_like, b))
        if starts is not None:
            restart = cast_like(cell.restart(params, carry, starts.shape[1:]), carry)
            b = select(starts, _advance(a, restart, b), b)
        states = jax.tree.map(lambda a, b, h: scan(a, b, h, starts), a, b, carry)
        read = states if filler is None else select(mask, states, filler)
        ys = cast_floats(cell.read(params, read, xs), out_dtype(params, xs))
        return jax.tree.map(lambda h: h[-1], states), ys

    def run(carry: Carry, xs: PyTree, mask: Bool[Array, " T *B"] | None, starts: Bool[Array, " T *B"] | None) -> Pair:
        size = size_of(count_steps(xs))
        if count_steps(xs) <= size:
            return chunk(carry, (xs, mask, starts))
        return scan_chunks(jax.checkpoint(chunk, prevent_cse=False), carry, (xs, mask, starts), size, False)

    return parallel(run, carry, xs, plan)


def step_affine(cell: Any, params: Params, carry: Carry, x: PyTree) -> Pair:
    """One step of a `diagonal` cell: a h + b, with a tap on each of its arrays, and what it reads of that."""
    a, b = find_coefficients(cell, params, carry, x)
    after = tap_states(_advance(a, carry, b))
    return after, cast_floats(cell.read(params, after, x), out_dtype(params, x))


def find_coefficients(cell: Any, params: Params, carry: Carry, x: PyTree) -> tuple[Carry, Carry]:
    """a and b for x of one step or of all, in the dtypes of the carry.

    Raises:
        ArgumentError: they are no trees of arrays like those of the carry, or complex where that is real.
    """
    found = cell.affine(params, x)
    if not isinstance(found, tuple) or len(found) != 2 or not all(map(_is_array, jax.tree.leaves(found))):
        raise ArgumentError(f"{cell!r}: affine must give a pair (a, b) of trees of arrays, found {found!r}")
    a, b = found
    shapes = lambda tree, axes: jax.tree.map(lambda leaf: tuple(leaf.shape[axes:]), tree)
    extra = jax.tree.leaves(b)[0].ndim - jax.tree.leaves(carry)[0].ndim
    expected = shapes(carry, 0)
    for name, tree in (("a", a), ("b", b)):
        if shapes(tree, extra) != expected:
            raise ArgumentError(
                f"{cell!r}: affine must give {name} like the carry, {expected} for each step, found {shapes(tree, 0)}"
            )
        if any(map(_loses_a_part, jax.tree.leaves(tree), jax.tree.leaves(carry))):
            raise ArgumentError(
                f"{cell!r}: affine gives complex numbers as {name}, and the carry is real. Define initial_carry with "
                "complex zeros"
            )
    return cast_like(a, carry), cast_like(b, carry)


def _loses_a_part(found: jax.Array, carry: jax.Array) -> bool:
    return jnp.issubdtype(found.dtype, jnp.complexfloating) and not jnp.issubdtype(carry.dtype, jnp.complexfloating)


def _is_array(leaf: object) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _advance(a: Carry, h: Carry, b: Carry) -> Carry:
    """a h + b, for an h of one step or of all."""
    return jax.tree.map(lambda a, h, b: a * jnp.broadcast_to(h, a.shape) + b, a, h, b)
