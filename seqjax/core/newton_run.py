"""What becomes of a recurrence that Newton's method has, or has not, solved."""

import contextlib
import contextvars
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import checkify
from jax.extend.core import get_opaque_trace_state

from seqjax._internal.trees import is_inexact
from seqjax._internal.types import Array, Bool, Carry, Float, Int, Pair, Params, PyTree, Shape
from seqjax.core import taps
from seqjax.core.explanation import add_line
from seqjax.core.held import held_parts, with_held, without_held
from seqjax.core.loop import run_segments
from seqjax.core.newton_linear import Equations, Operands, shift
from seqjax.core.newton_solver import find_tolerance, solve
from seqjax.core.plan import Newton, Plan, find_starts
from seqjax.core.vectors import form_of
from seqjax.errors import ArgumentError


class Report(NamedTuple):
    """How far each step, or each row, is solved."""

    residual: Float[Array, "..."]  # inf where f gives no finite number
    solved: Bool[Array, "..."]  # the same in all steps of a row
    iterations: Int[Array, "..."]  # the same in all steps


_reports: contextvars.ContextVar[tuple[Any, list[Report]] | None] = contextvars.ContextVar("reports", default=None)


@contextlib.contextmanager
def collect_reports() -> Iterator[list[Report]]:
    """Collect a report of each recurrence that is solved inside the block: its arrays have the batch axes alone."""
    reports: list[Report] = []
    token = _reports.set((get_opaque_trace_state(convention="flax"), reports))
    try:
        yield reports
    finally:
        _reports.reset(token)


def is_newton(plan: Plan) -> bool:
    """Whether the plan asks for this engine."""
    return plan.engine == "newton" or isinstance(plan.engine, Newton)


def run_newton(cell: Any, params: Params, carry: Carry, xs: PyTree, plan: Plan) -> Pair:
    """Run `cell` over `xs` `[T, B, ...]`, all steps at once; NaN in rows that are not solved.

    Raises:
        ArgumentError: its carry or output is not floating point; a report is asked for that cannot be brought out.
    """
    held = held_parts(carry)
    moving = without_held(carry)
    _check_floats(cell, "carry", moving)
    settings = plan.engine if isinstance(plan.engine, Newton) else Newton()
    add_line(f"{cell!r}: all steps at once by Newton's method, {settings.jacobian} Jacobian")
    filler = None if plan.mask is None else lax.stop_gradient(moving)
    run = lambda carry, inputs: _run_segment(carry, inputs, cell, (params, held, filler), settings, plan.reverse)
    inputs = (xs, plan.mask, find_starts(plan), taps.current_probes())
    last, (ys, values, steps) = run_segments(run, moving, inputs, plan, plan.reverse, repr(cell))
    report = Report(
        jnp.max(steps.residual, axis=0), jnp.all(steps.solved, axis=0), jnp.max(steps.iterations, initial=0)
    )
    _add(cell, report)
    last, ys, values = (last, ys, values) if settings.fallback else _accept(cell, report, plan, (last, ys, values))
    taps.add_values(values)
    return with_held(last, held), ys


def _run_segment(
    carry: Carry, inputs: PyTree, cell: Any, shared: PyTree, settings: Newton, reverse: bool
) -> tuple[Carry, PyTree]:
    """The last carry, and a triple of ys, what was tapped and how far each step is solved."""
    params, *fixed = shared
    inputs = _flip(inputs) if reverse else inputs
    batch = _batch_shape(cell, inputs[0])
    form = form_of(carry, len(batch))
    equations = Equations(cell, form, len(batch), find_tolerance(params, inputs[0], carry), settings)
    start = form.vector(carry) if form.shapes else jnp.zeros((*batch, 0), form.dtype)
    of = Operands(params, tuple(fixed), start, inputs)
    states, residual, iterations = solve(equations, of)
    solved = jnp.broadcast_to(jnp.all(residual <= equations.tolerance, axis=0), residual.shape)
    afters, (ys, values) = equations.steps(of, shift(start, states))
    _check_floats(cell, "output", ys)
    outputs = (ys, values, Report(residual, solved, iterations.astype(jnp.int32)))
    return form.carry(afters[-1]), _flip(outputs) if reverse else outputs


def _accept(cell: Any, report: Report, plan: Plan, results: PyTree) -> PyTree:
    """Carry, ys and what was tapped, NaN in rows that are not solved; with `checked` an error besides."""
    if plan.checked:
        checkify.check(
            jnp.all(report.solved),
            f"{cell!r}: Newton's method has not solved {{count}} rows in {{iterations}} iterations. Run them with "
            "engine='scan', or with seqjax.newton(..., fallback=True), or allow more iterations there",
            count=jnp.sum(~report.solved),
            iterations=report.iterations,
        )
    # A factor, as a gradient must not be zero where numbers are missing.
    factor = jnp.where(report.solved, 1.0, jnp.nan)
    carry, *outputs = results
    return jax.tree.map(partial(_scale, factor, 0), carry), *jax.tree.map(partial(_scale, factor, 1), outputs)


def _scale(factor: jax.Array, axis: int, a: jax.Array) -> jax.Array:
    if not is_inexact(a):
        return a
    shape = (1,) * axis + factor.shape + (1,) * (a.ndim - axis - factor.ndim)
    return a * factor.reshape(shape).astype(a.dtype)


def _add(cell: Any, report: Report) -> None:
    now = _reports.get()
    if now is None:
        return
    level, reports = now
    if level != get_opaque_trace_state(convention="flax"):
        raise ArgumentError(
            f"newton: {cell!r} runs inside a loop, jit or vmap of another cell, out of which no report comes. Use "
            "stack(...) instead of repeat(...), or scan(..., engine='newton'), NaN where there is no solution"
        )
    reports.append(report)


def _check_floats(cell: Any, what: str, tree: PyTree) -> None:
    for leaf in jax.tree.leaves(tree):
        if not is_inexact(leaf):
            raise ArgumentError(
                f"{cell!r}: engine='newton' solves for floating point numbers, but the {what} of its step holds "
                f"{leaf.dtype}. Run it with engine='scan'"
            )


def _batch_shape(cell: Any, xs: PyTree) -> Shape:
    x, axes = jax.tree.leaves(xs)[0], jax.tree.leaves(jax.tree.broadcast(cell.feature_axes, xs))[0]
    return x.shape[1 : x.ndim - axes]


def _flip(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: a[::-1], tree)
