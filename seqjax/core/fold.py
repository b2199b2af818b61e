"""A cell as the deferred gradient sees it: a step of (p, carry, x, s), where s comes of the input and the carry."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from seqjax._internal.trees import cast_floats, cast_like, out_dtype
from seqjax._internal.types import Array, Carry, DTypeLike, Num, Pair, Params, PyTree
from seqjax.core.held import Held, with_held, without_held
from seqjax.core.plan import Plan

Sums = tuple[PyTree, ...]
"""s: (z + m,) or (z, m) of a `Recurrent` cell, nothing of a cell with a step alone."""


class Fold(NamedTuple):
    """What the loop runs, and how."""

    step: Callable[[PyTree, Carry, PyTree, Sums], Pair]  # (p, before, x, s) -> carry, y
    mix: Callable[[PyTree, Carry], PyTree] | None  # (q, before) -> m, linear in the carry
    sums: bool  # s is z + m
    uniform: bool  # time may be one more batch axis of a step
    keeps_gates: bool  # for the backward pass, where there are enough of them
    padded: bool  # the real steps of a row stand beside one another, as those that lengths tell
    reverse: bool
    unroll: int


def fold_from_parts(cell: Any, params: Params, xs: PyTree, plan: Plan) -> Fold:
    """That of a cell that gives project, mix and update."""
    dtype, sums = out_dtype(params, xs), getattr(cell, "sums", False)

    def step(p: PyTree, carry: Carry, x: None, s: Sums) -> Pair:
        # A cell that reads z + m alone is given the sum as z, and zeros as m, which XLA drops.
        return update_in_dtypes(cell, dtype, p, carry, *s, *((jnp.zeros_like(s[0]),) if sums else ()))

    return Fold(step, cell.mix, sums, True, plan.memory != "least", plan.lengths is not None, plan.reverse, plan.unroll)


def fold_from_step(cell: Any, held: list[Held], plan: Plan) -> Fold:
    """That of a cell with a step alone."""

    def step(shared: tuple[Params, list[Held]], carry: Carry, x: PyTree, s: tuple[()]) -> Pair:
        params, held = shared
        after, y = cell.step(params, with_held(carry, held), x)
        return cast_like(without_held(after), carry), y

    uniform = cell.uniform and not held
    padded = plan.lengths is not None
    return Fold(step, None, False, uniform, plan.memory != "least", padded, plan.reverse, plan.unroll)


def update_in_dtypes(
    cell: Any, dtype: DTypeLike, p: Params, carry: Carry, z: Num[Array, "..."], m: Num[Array, "..."]
) -> Pair:
    """`cell.update` with the dtypes of the law: the carry's own for the carry, `dtype` for the outputs."""
    after, y = cell.update(p, carry, z, m)
    return cast_like(after, carry), cast_floats(y, dtype)
