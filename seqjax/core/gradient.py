"""The loop with deferred weight gradients: products over time for all weights at once, after the loop.

Axes: `T` time, `B` batch (any number of axes, also none). Everything here is time-major, `[T, B, ...]`,
the layout of `jax.lax.scan`; `seqjax.scan` is the batch-major public face.

Deferred gradients. With `before_t` the carry that step t starts from, every cell is to this file

    s_t = (z_t, mix(q, before_t))   or their sum;      carry_t, y_t = step(p, before_t, x_t, s_t)

A `Recurrent` cell has z = project(x) for the whole chunk, its `update` as the step, and no x; a cell with a step
alone has no s. The tangent obeys a linear recurrence in the carry's tangent alone,

    dcarry_t, dy_t = J_t (dbefore_t, ds_t) + driven_t,     ds_t = (dz_t, mix(q, dbefore_t) + mix(dq, before_t))
    driven_t = the tangent of `step` along dp and dx

where all of J, driven and mix(dq, before) need no loop, because all `before_t` are known. `_chain` states just that
as a `custom_jvp`; the transpose JAX derives from it takes every weight gradient as one product over the whole
chunk, after the loop. Being a plain JAX program it has all orders and both modes of differentiation.

Several chunks are one `custom_jvp` too, `_chain_chunks`: a loop forwards over all chunks, and one for the tangents,
whose inputs are what the first has kept. With a checkpoint around each chunk of one loop, JAX would stack what is
kept of a chunk beside its outputs, though a cell's h is its y: an output of the step before is taken from the outputs
instead. Of the time before, that takes 0.96, 1.06, 0.93 (LSTM), 0.79, 0.82, 0.75 (GRU) and 0.74, 0.98, 0.86 (RNN) at
B, T, D, F = 16, 512, 256, 256, 64, 96, 512, 512 and 16, 200, 32, 32 (one core of an idle CPU, least of two turns,
2026-11-29).

What pays, as CPU time on one core (float32, jax 0.10.2, 2026-11-24; LSTM, GRU, RNN, GRU(reset_after=False) with
B, T, D, F = 16, 512, 256, 256, then 32, 128, 64, 128), time with it / time without:

    gates kept from the forward loop       0.86 0.84 0.84 0.84    0.86 0.79 0.83 0.81
    time and batch one axis in `linear`    0.91 0.88 0.92 0.89    0.74 0.77 0.76 0.77
    W transposed before the loop           0.96 1.0  1.0  0.96    0.99 1.0  0.97 0.98
    one sum for z and m                    1.0  -    1.0  -       1.0  -    1.0  -        (16, 200, 32, 32: 0.96, 0.91)

Padding that lengths tell costs 1.06, 0.98, 0.99, 1.05 (RNN) and 1.02, 1.02, 1.02, 1.02 (LSTM) of the time without, at
32, 128, 64, 128, 16, 512, 256, 256, 32, 784, 1, 128 and 128, 64, 128, 256, because there too the carries are outputs
of the step before; stacked beside them it was 1.17, 1.14, 1.09, 1.22 and 1.10, 1.04, 1.04, 1.10 (least times of
turns, a busy core, 2026-11-30). Under a mask, which may have gaps, and with resets they are stacked.
The benchmarks' README has eight shapes.

Kept gates take memory: 82 MiB instead of 37 (LSTM, the first shape), where autodiff takes 154. Those of an RNN are its
outputs. Of fewer than `forward.FEWEST_GATES` a step (GRU(8) at B = 1) it takes 1.24 of the time
to keep them. Chunks of 16 and 32 steps are level at 16 rows; at 32 rows 32 steps take 1.07-1.15 of the time of 16.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import cast_like, is_inexact, select, split_inexact
from seqjax._internal.types import Carry, Pair, PyTree
from seqjax.core.chunks import Cut, chunk_length, count_rows, cut, first, join, scan_cut, together
from seqjax.core.explanation import add_line
from seqjax.core.fold import Fold, Sums, fold_from_parts, fold_from_step
from seqjax.core.forward import Terms, combine, restore, run_forward
from seqjax.core.gating import keep_gates, transpose_kernels
from seqjax.core.held import with_held, without_held
from seqjax.core.linearize import linearize_steps
from seqjax.core.plan import Plan


@dataclass(frozen=True)
class Chunks:
    """How the terms of a chunk are made; a cell and options, no arrays."""

    fold: Fold
    cell: Any
    in_parts: bool

    def terms(self, shared: PyTree, carry: Carry, inputs: PyTree) -> Terms:
        """Those of a chunk that starts with this carry."""
        (params, held, filler), (xs, mask, resets) = shared, inputs
        restart = None
        if resets is not None:
            restart = self.cell.restart(params, with_held(carry, held), resets.shape[1:])
            restart = cast_like(without_held(restart), carry)
        if not self.in_parts:
            return Terms({}, (params, held), restart, filler, carry, xs, None, mask, resets)
        z = self.cell.project(params.get("project", {}), xs)
        return Terms(params.get("mix", {}), params.get("update", {}), restart, filler, carry, None, z, mask, resets)


def deferred_loop(carry: Carry, inputs: PyTree, cell: Any, shared: PyTree, plan: Plan) -> Pair:
    """The fold of a cell in chunks; its last carry, ys and what was tapped (nothing).

    carry: what moves of it; every leaf is inexact, and so are outputs.
    inputs: xs, mask, resets and probes, each `[T, B, ...]` or None.
    shared: parameters, what is held of the carry, and the carry from which unreal steps are run (see `fill_padding`).
    """
    *inputs, _ = inputs
    xs, (params, held, _) = inputs[0], shared
    length = jax.tree.leaves(xs)[0].shape[0]
    in_parts = cell.separable and not held
    fold = fold_from_parts(cell, params, xs, plan) if in_parts else fold_from_step(cell, held, plan)
    chunks = Chunks(fold, cell, in_parts)
    size = chunk_length(length, count_rows(cell, xs), plan.memory)
    add_line(f"{cell!r}: loop over time, deferred gradient in chunks of {size}")
    if length == size:
        carry, ys = _chain(fold, chunks.terms(shared, carry, inputs))
    else:
        carry, ys = _chain_chunks(chunks, size, shared, carry, inputs)
    return carry, (ys, {})


class _Residuals(NamedTuple):
    """What `step` has read in every step, and the gates that it has made of it."""

    before: Carry
    x: PyTree
    s: Sums
    gates: list[jax.Array] | None


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _chain_chunks(chunks: Chunks, size: int, shared: PyTree, carry: Carry, inputs: PyTree) -> Pair:
    carry, outputs = _run_chunks(chunks, shared, carry, cut(inputs, size))
    return carry, join(first(outputs))


def _run_chunks(chunks: Chunks, shared: PyTree, carry: Carry, inputs: Cut) -> tuple[Carry, Cut]:
    """The last carry and, in chunks, the outputs, the carry that each chunk starts with and what its steps keep."""

    def chunk(carry: Carry, inputs: PyTree) -> Pair:
        last, ys, kept = run_forward(chunks.fold, chunks.terms(shared, carry, inputs))
        return last, (ys, carry, kept)

    return scan_cut(chunk, carry, inputs, chunks.fold.reverse)


@_chain_chunks.defjvp
def _chain_chunks_jvp(chunks: Chunks, size: int, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """As `_chain_jvp`, chunk by chunk: forwards over all of them, and then the tangents.

    The backward pass keeps what the tangents of a chunk are made of, which are inputs of their loop. So nothing of it
    is stacked twice, as the outputs would be if each chunk kept its own.
    """
    (shared, carry, inputs), (dshared, dcarry, dinputs) = primals, tangents
    pieces = cut(inputs, size)
    last, outputs = _run_chunks(chunks, shared, carry, pieces)
    (moving, join_shared), dmoving = split_inexact(shared), _inexact_tangents(shared, dshared)
    dpieces = cut(_inexact_tangents(inputs, dinputs), size)

    def chunk(dcarry: Carry, given: PyTree) -> Pair:
        inputs, dinputs, (ys, start, kept) = given
        leaves, join_inputs = split_inexact(inputs)
        make = lambda moving, leaves: chunks.terms(join_shared(moving), start, join_inputs(leaves))
        terms, dterms = jax.jvp(make, (moving, leaves), (dmoving, dinputs))
        found = restore(chunks.fold, kept, terms, ys)
        return _tangents(chunks.fold, terms, dterms._replace(carry=dcarry), *found)

    given = together(pieces, dpieces, outputs)
    dlast, dys = scan_cut(jax.checkpoint(chunk, prevent_cse=False), dcarry, given, chunks.fold.reverse)
    return (last, join(first(outputs))), (dlast, join(dys))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _chain(fold: Fold, terms: Terms) -> Pair:
    return run_forward(fold, terms)[:2]


@_chain.defjvp
def _chain_jvp(fold: Fold, primals: tuple[Terms], tangents: tuple[Any]) -> tuple[Pair, Pair]:
    (terms,), (dterms,) = primals, tangents
    last, ys, kept = run_forward(fold, terms)
    return (last, ys), _tangents(fold, terms, dterms, *restore(fold, kept, terms, ys))


def _tangents(fold: Fold, terms: Terms, dterms: Any, befores: Carry, gates: list[jax.Array] | None) -> Pair:
    """The linear recurrence of the module's docstring: d... is the tangent of ..."""
    mix = fold.mix

    # Everything that does not wait for the carry's tangent, for all steps at once: dz + mix(dq, before), J and driven.
    # Transposed, mix(dq, before) and driven are the products over time that give the gradients of all weights.
    s, ds = (), ()
    if mix:
        m, dm = jax.jvp(lambda q: mix(q, befores), (terms.q,), (dterms.q,))
        s, ds = combine(fold, terms.z, m), combine(fold, dterms.z, dm)
    residuals = _Residuals(befores, terms.x, s, gates)
    jacobian = linearize_steps(partial(_linearize, fold), terms.p, residuals)
    driven = _driven_tangents(fold, terms, dterms, residuals)

    # The rest of the recurrence: its transpose is the backward loop, with one product a step (mix) and no weights'.
    def body(dcarry: Carry, inputs: PyTree) -> Pair:
        stacked, ds, driven, before, mask, reset = inputs
        dbefore = dcarry if reset is None else select(reset, dterms.restart, dcarry)
        dread = select(mask, dbefore, jax.tree.map(jnp.zeros_like, dbefore))
        if mix:
            with transpose_kernels():
                _, dm = jax.jvp(lambda c: mix(terms.q, c), (before,), (dread,))
            ds = (*ds[:-1], jax.tree.map(jnp.add, ds[-1], dm))
        dafter, dy = jacobian.apply(stacked, dread, ds)
        if driven is not None:
            dafter, dy = jax.tree.map(jnp.add, (dafter, dy), driven)
        return select(mask, dafter, dbefore), dy

    inputs = (jacobian.stacked, ds, driven, befores, terms.mask, terms.resets)
    return lax.scan(body, dterms.carry, inputs, reverse=fold.reverse, unroll=fold.unroll)


def _with_gates(fold: Fold, gates: list[jax.Array] | None) -> Callable[[PyTree, Carry, PyTree, Sums], Pair]:
    """`fold.step`, whose gates are known and need not be activated again."""

    def step(p: PyTree, before: Carry, x: PyTree, s: Sums) -> Pair:
        with keep_gates(gates):
            return fold.step(p, before, x, s)

    return step


def _linearize(fold: Fold, p: PyTree, residuals: _Residuals) -> Callable[[Carry, Sums], Pair]:
    """J of one step: the tangents of carry and output as a linear function of (dbefore, ds)."""
    step = _with_gates(fold, residuals.gates)
    with transpose_kernels():
        return jax.linearize(lambda before, s: step(p, before, residuals.x, s), residuals.before, residuals.s)[1]


def _driven_tangents(fold: Fold, terms: Terms, dterms: Terms, residuals: _Residuals) -> Pair | None:
    """The tangents of carry and outputs along dp and dx, where there are any; for all steps."""
    (p, join_p), (x, join_x) = split_inexact(terms.p), split_inexact(terms.x)
    dp, dx = (_inexact_tangents(a, d) for a, d in ((terms.p, dterms.p), (terms.x, dterms.x)))
    if not p and not x:
        return None

    def one(residuals: _Residuals, dx: list[jax.Array]) -> Pair:
        step = _with_gates(fold, residuals.gates)
        run = lambda p, x: step(join_p(p), residuals.before, join_x(x), residuals.s)
        return jax.jvp(run, (p, split_inexact(residuals.x)[0]), (dp, dx))[1]

    # `vmap` hides from `linear` that time and batch could be one axis: 1.05-1.4 of the time of the whole step.
    return one(residuals, dx) if fold.uniform else jax.vmap(one)(residuals, dx)


def _inexact_tangents(tree: PyTree, tangents: PyTree) -> list[jax.Array]:
    """Those of the inexact leaves; the others have tangents of dtype float0, which no arithmetic takes."""
    return [d for a, d in zip(jax.tree.leaves(tree), jax.tree.leaves(tangents)) if is_inexact(a)]
