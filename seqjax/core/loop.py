"""How a cell is carried through time: step by step in a loop, or all steps at once; in segments when memory asks.

Axes: `T` time, `B` batch (any number of axes, also none). Everything here is time-major, `[T, B, ...]`,
the layout of `jax.lax.scan`; `seqjax.scan` is the batch-major public face.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import cast_like, is_inexact
from seqjax._internal.types import Array, Bool, Carry, Pair, Params, PyTree, Shape
from seqjax.core import taps
from seqjax.core.budget import fit_segments, parse_bytes
from seqjax.core.chunks import Run, scan_chunks
from seqjax.core.explanation import add_line
from seqjax.core.gradient import deferred_loop
from seqjax.core.held import held_parts, with_held, without_held
from seqjax.core.linearize import find_readers
from seqjax.core.marked import marked_step
from seqjax.core.plan import Plan, find_starts

Loop = Callable[[Carry, PyTree, Any, PyTree, Plan], Pair]
RunAll = Callable[[Carry, PyTree, Bool[Array, " T *B"] | None, Bool[Array, " T *B"] | None], Pair]


def run_loop(cell: Any, params: Params, carry: Carry, xs: PyTree, plan: Plan) -> Pair:
    """Run `cell` over `xs` `[T, B, ...]`: the fold of its step."""
    held = held_parts(carry)
    loop = _choose_loop(cell, params, carry, xs, plan)
    # Unreal steps read the first carry, and the input that `fill_padding` puts there, as a constant.
    filler = None if plan.mask is None else lax.stop_gradient(without_held(carry))

    def segment(carry: Carry, inputs: PyTree) -> Pair:
        return loop(carry, inputs, cell, (params, held, filler), plan)

    inputs = (xs, plan.mask, find_starts(plan), taps.current_probes())
    carry, (ys, values) = run_segments(segment, without_held(carry), inputs, plan, plan.reverse, repr(cell))
    taps.add_values(values)
    return with_held(carry, held), ys


def parallel(run: RunAll, carry: Carry, xs: PyTree, plan: Plan, *, causal: bool = True) -> Pair:
    """Run a cell that computes all steps at once; for use in its `sequence`, and it has direction, resets and chunks.

    Args:
        run: `(carry, xs, mask, starts) -> (carry, ys)`, always forward in time, for one or more steps. `mask` bool
            `[T, B]` or None marks the real steps; `starts` bool `[T, B]` or None those before which a new sequence
            begins. Both hold for outputs and carry: over an unreal step the carry stays what it is.
        carry, xs, plan: those of `sequence`.
        causal: that outputs depend on the past alone, so that `checkpoint` may cut the sequence.

    Returns:
        The carry after the last step, and ys, in the order of xs.

    The running sum of the inputs, as a cell:

        >>> import jax.numpy as jnp
        >>> import seqjax as sj
        >>> class Sum(sj.Cell):
        ...     out_features = None  # as many as come in
        ...     asks = frozenset({"in_features"})
        ...     def init(self, key, in_features, dtype=jnp.float32):
        ...         return {}
        ...     def initial_carry(self, params, batch_shape=(), *, in_features):
        ...         return jnp.zeros((*batch_shape, in_features))
        ...     def restart(self, params, carry, batch_shape):
        ...         return jnp.zeros_like(carry)
        ...     def step(self, params, carry, x):
        ...         return carry + x, carry + x
        ...     def sequence(self, params, carry, xs, plan=sj.Plan()):
        ...         return sj.parallel(self.sum_all, carry, xs, plan)
        ...     def sum_all(self, carry, xs, mask, starts):
        ...         if mask is not None:
        ...             xs = jnp.where(mask[..., None], xs, 0)
        ...         ys = carry + jnp.cumsum(xs, axis=0)
        ...         if starts is not None:  # take off what was there before the last start
        ...             before = jnp.where(starts[..., None], ys - xs, -jnp.inf)
        ...             last = jnp.maximum.accumulate(before, axis=0)
        ...             ys = ys - jnp.where(last > -jnp.inf, last, 0)
        ...         return ys[-1], ys
        >>> xs = jnp.arange(1.0, 6.0).reshape(1, 5, 1)
        >>> sj.scan(Sum(), {}, xs)[1].ravel().tolist()
        [1.0, 3.0, 6.0, 10.0, 15.0]
        >>> sj.scan(Sum(), {}, xs, reverse=True)[1].ravel().tolist()
        [15.0, 14.0, 12.0, 9.0, 5.0]
        >>> resets = jnp.array([[False, False, False, True, False]])
        >>> sj.scan(Sum(), {}, xs, resets=resets)[1].ravel().tolist()
        [1.0, 3.0, 6.0, 4.0, 9.0]
    """
    held = held_parts(carry)

    def segment(carry: Carry, inputs: PyTree) -> Pair:
        xs, mask, starts, probes = inputs
        (after, ys), values = taps.run_recorded(run, probes, with_held(carry, held), xs, mask, starts)
        return without_held(cast_like(after, with_held(carry, held))), (ys, values)

    inputs = (xs, plan.mask, find_starts(plan), taps.current_probes())
    forward = _reverse_time(inputs) if plan.reverse else inputs
    state = without_held(carry)
    if count_steps(xs) == 0:
        last, outputs = state, _empty_outputs(segment, state, forward)
    elif causal:
        last, outputs = run_segments(segment, state, forward, plan, False, "what computes all steps at once")
    else:
        last, outputs = segment(state, forward)
    ys, values = _reverse_time(outputs) if plan.reverse else outputs
    taps.add_values(values)
    return with_held(last, held), taps.tap_output(ys)


def _empty_outputs(segment: Run, carry: Carry, inputs: PyTree) -> PyTree:
    """What `segment` gives for no steps: shaped as for one, as it need not understand none."""
    one = jax.tree.map(lambda a: jnp.zeros((1, *a.shape[1:]), a.dtype), inputs)
    outputs = jax.eval_shape(segment, carry, one)[1]
    return jax.tree.map(lambda a: jnp.zeros((0, *a.shape[1:]), a.dtype), outputs)


def count_steps(xs: PyTree) -> int:
    """Number of steps, T."""
    return jax.tree.leaves(xs)[0].shape[0]


def _reverse_time(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: a[::-1], tree)


def run_segments(run: Run, carry: Carry, inputs: PyTree, plan: Plan, reverse: bool, name: str) -> Pair:
    """`run` over all steps, or in segments of which the backward pass keeps the first carry alone.

    name: of what is run, for `explain`.
    """
    length = count_steps(inputs)
    if plan.checkpoint is None or length == 0:
        return run(carry, inputs)
    budget = parse_bytes(plan.checkpoint)
    if budget is not None:
        sizes = fit_segments(budget, run, carry, inputs)
    else:
        sizes = [max(1, math.isqrt(length)) if plan.checkpoint == "sqrt" else int(plan.checkpoint)]
    found = _run_levels(run, carry, inputs, sizes, reverse)
    if sizes:
        steps = " and, within these, every ".join(map(str, sizes))
        add_line(f"{name}: recomputed in the backward pass from a carry kept every {steps} steps")
    return found


def _run_levels(run: Run, carry: Carry, inputs: PyTree, sizes: Sequence[int], reverse: bool) -> Pair:
    """Segments of `sizes[0]` steps, each of which is run in segments of `sizes[1]` steps, and so on."""
    if not sizes:
        return run(carry, inputs)
    segment = lambda carry, inputs: _run_levels(run, carry, inputs, sizes[1:], reverse)
    return scan_chunks(jax.checkpoint(segment, prevent_cse=False), carry, inputs, sizes[0], reverse)


def _choose_loop(cell: Any, params: Params, carry: Carry, xs: PyTree, plan: Plan) -> Loop:
    """The deferred loop wherever it gives what autodiff gives; `explain` tells why it does not."""
    if plan.gradient == "autodiff":
        why = "asked for"
    elif taps.is_tracing():
        why = "values inside the steps are traced"
    elif not all(is_inexact(leaf) for leaf in jax.tree.leaves(without_held(carry))):
        why = "the carry holds arrays that are not floating point"
    elif count_steps(xs) == 0:
        why = "there are no steps"
    elif not all(is_inexact(y) for y in jax.tree.leaves(_output_of_step(cell, params, carry, xs))):
        why = "outputs are not floating point"
    elif plan.resets is not None and restart_reads_carry(cell, params, carry, plan.resets.shape[1:]):
        why = "a reset reads the carry"
    else:
        return deferred_loop
    add_line(f"{cell!r}: loop over time, autodiff gradient ({why})")
    return _autodiff_loop


def _output_of_step(cell: Any, params: Params, carry: Carry, xs: PyTree) -> PyTree:
    """Shape and dtype of y."""
    return jax.eval_shape(cell.step, params, carry, jax.tree.map(lambda x: x[0], xs))[1]


def restart_reads_carry(cell: Any, params: Params, carry: Carry, batch: Shape) -> bool:
    """Whether the carry after a reset depends on that before it, but for what is held.

    Then a reset is not like another, and the deferred loop, which computes one carry a chunk for all of them, is wrong.
    """
    start = lambda carry, params, held: without_held(cell.restart(params, with_held(carry, held), batch))
    jaxpr = jax.make_jaxpr(start)(without_held(carry), params, held_parts(carry)).jaxpr
    return any(find_readers(jaxpr, jaxpr.invars[: len(jax.tree.leaves(without_held(carry)))]))


def _autodiff_loop(carry: Carry, inputs: PyTree, cell: Any, shared: PyTree, plan: Plan) -> Pair:
    """The fold as it is written, differentiated by JAX: the reference, and where taps are seen."""
    body = lambda carry, inputs: marked_step(cell, shared, carry, inputs)
    return lax.scan(body, carry, inputs, reverse=plan.reverse, unroll=plan.unroll)
