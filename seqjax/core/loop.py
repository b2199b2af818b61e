"""How a cell is carried through time: step by step in a loop, or all steps at once; in segments when memory asks.

Axes: `T` time, `B` batch (any number of axes, also none). Everything here is time-major, `[T, B, ...]`,
the layout of `jax.lax.scan`; `seqjax.scan` is the batch-major public face.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import cast_like, is_inexact, select
from seqjax.core import taps
from seqjax.core.gradient import chunked, deferred
from seqjax.core.held import held_of, moving, whole
from seqjax.core.linearize import results_that_read
from seqjax.core.plan import Plan, boundaries, note

Run = Callable[[Any, Any], tuple[Any, Any]]
"""(carry, inputs [T, B, ...]) -> (carry, outputs [T, B, ...])"""


def run(cell: Any, params: Any, carry: Any, xs: Any, plan: Plan) -> tuple[Any, Any]:
    """Run `cell` over `xs` `[T, B, ...]`: the fold of its step."""
    held = held_of(carry)
    path = _path(cell, params, carry, xs, plan)
    begin = None if plan.mask is None else lax.stop_gradient(moving(carry))

    def segment(carry: Any, inputs: Any) -> tuple[Any, Any]:
        return path(carry, inputs, cell, (params, held, begin), plan)

    inputs = (xs, plan.mask, boundaries(plan), taps.probes())
    carry, (ys, values) = _segments(segment, moving(carry), inputs, plan, plan.reverse)
    taps.put(values)
    return whole(carry, held), ys


def parallel(
    run: Callable[[Any, Any, Any, Any], tuple[Any, Any]], carry: Any, xs: Any, plan: Plan, *, causal: bool = True
) -> tuple[Any, Any]:
    """Run a cell that computes all steps at once; for use in its `sequence`, and it has direction, resets and chunks.

    Args:
        run: `(carry, xs, mask, starts) -> (carry, ys)`, always forward in time, for one or more steps. `mask` bool
            `[T, B]` or None marks the real steps; `starts` bool `[T, B]` or None those before which a new sequence
            begins. Both hold for outputs and carry: over an unreal step the carry stays what it is.
        carry, xs, plan: those of `sequence`.
        causal: that outputs depend on the past alone, so that `checkpoint` may cut the sequence.

    Returns:
        The carry after the last step, and ys, in the order of xs.
    """
    held = held_of(carry)

    def segment(carry: Any, inputs: Any) -> tuple[Any, Any]:
        xs, mask, starts, probes = inputs
        (after, ys), values = taps.watch(run, probes, whole(carry, held), xs, mask, starts)
        return moving(cast_like(after, whole(carry, held))), (ys, values)

    inputs = (xs, plan.mask, boundaries(plan), taps.probes())
    forward = _flip(inputs) if plan.reverse else inputs
    if length_of(xs) == 0:
        one = jax.tree.map(lambda a: jnp.zeros((1, *a.shape[1:]), a.dtype), forward)
        empty = jax.eval_shape(segment, moving(carry), one)[1]
        outputs = jax.tree.map(lambda a: jnp.zeros((0, *a.shape[1:]), a.dtype), empty)
        last = moving(carry)
    elif causal:
        last, outputs = _segments(segment, moving(carry), forward, plan, False)
    else:
        last, outputs = segment(moving(carry), forward)
    ys, values = _flip(outputs) if plan.reverse else outputs
    taps.put(values)
    return whole(last, held), taps.tap_output(ys)


def length_of(xs: Any) -> int:
    """Number of steps, T."""
    return jax.tree.leaves(xs)[0].shape[0]


def _first(xs: Any) -> Any:
    return jax.tree.map(lambda x: x[0], xs)


def _flip(tree: Any) -> Any:
    return jax.tree.map(lambda a: a[::-1], tree)


def _segments(run: Run, carry: Any, inputs: Any, plan: Plan, reverse: bool) -> tuple[Any, Any]:
    """`run` as a whole, or in segments of which the backward pass keeps the first carry alone."""
    length = length_of(inputs)
    if plan.checkpoint is None or length == 0:
        return run(carry, inputs)
    size = max(1, math.isqrt(length)) if plan.checkpoint == "sqrt" else int(plan.checkpoint)
    note(f"recomputed in the backward pass from a carry kept every {size} steps")
    return chunked(jax.checkpoint(run, prevent_cse=False), carry, inputs, size, reverse)


def _path(cell: Any, params: Any, carry: Any, xs: Any, plan: Plan) -> Callable[..., tuple[Any, Any]]:
    if plan.gradient == "autodiff":
        why = "asked for"
    elif taps.active():
        why = "values inside the steps are traced"
    elif not all(is_inexact(leaf) for leaf in jax.tree.leaves(moving(carry))):
        why = "the carry holds arrays that are not floating point"
    elif length_of(xs) == 0:
        why = "there are no steps"
    elif not all(is_inexact(y) for y in jax.tree.leaves(jax.eval_shape(cell.step, params, carry, _first(xs))[1])):
        why = "outputs are not floating point"
    elif plan.resets is not None and _restart_reads(cell, params, carry, plan.resets.shape[1:]):
        why = "a reset reads the carry"
    else:
        return deferred
    note(f"{cell!r}: loop over time, autodiff gradient ({why})")
    return _plain


def _restart_reads(cell: Any, params: Any, carry: Any, batch: tuple[int, ...]) -> bool:
    """Whether the carry after a reset depends on that before it, but for what is held; then one is not like another."""
    start = lambda carry, params, held: moving(cell.restart(params, whole(carry, held), batch))
    jaxpr = jax.make_jaxpr(start)(moving(carry), params, held_of(carry)).jaxpr
    return any(results_that_read(jaxpr, jaxpr.invars[: len(jax.tree.leaves(moving(carry)))]))


def _plain(carry: Any, inputs: Any, cell: Any, shared: Any, plan: Plan) -> tuple[Any, Any]:
    params, held, begin = shared

    def body(carry: Any, inputs: Any) -> tuple[Any, Any]:
        x, mask, reset, probes = inputs
        if reset is not None:
            fresh = moving(cell.restart(params, whole(carry, held), reset.shape))
            carry = select(reset, cast_like(fresh, carry), carry)
        read = select(mask, carry, begin)  # see `harmless`
        (after, y), values = taps.watch(taps.step, probes, cell, params, whole(read, held), x)
        return select(mask, cast_like(moving(after), carry), carry), (y, values)

    return lax.scan(body, carry, inputs, reverse=plan.reverse, unroll=plan.unroll)
