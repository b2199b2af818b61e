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

What pays, as CPU time on one core (float32, jax 0.10.2, 2026-11-24; LSTM, GRU, RNN, GRU(reset_after=False) with
B, T, D, F = 16, 512, 256, 256, then 32, 128, 64, 128), time with it / time without:

    gates kept from the forward loop       0.86 0.84 0.84 0.84    0.86 0.79 0.83 0.81
    time and batch one axis in `linear`    0.91 0.88 0.92 0.89    0.74 0.77 0.76 0.77
    W transposed before the loop           0.96 1.0  1.0  0.96    0.99 1.0  0.97 0.98
    one sum for z and m                    1.0  -    1.0  -       1.0  -    1.0  -        (16, 200, 32, 32: 0.96, 0.91)

Kept gates take memory: 74 MiB instead of 45 (LSTM, the first shape), where autodiff takes 146. Those of an RNN
are its outputs, yet several chunks keep both: 40 instead of 32, autodiff 41. Of fewer than FEWEST a step (GRU(8)
at B = 1) it takes 1.24 of the time to keep them. Chunks of 16 and 32 steps are level at 16 rows; at 32 rows 32 steps
take 1.07-1.15 of the time of 16.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from seqjax._internal.trees import cast_floats, cast_like, is_inexact, out_dtype, select, split_inexact
from seqjax.core.gating import for_backward_loop, keep_gates
from seqjax.core.held import moving, whole
from seqjax.core.linearize import for_all_steps
from seqjax.core.plan import Plan, note

ROWS = 512  # rows, steps times batch, that a chunk is to have
SHORTEST, LONGEST = 8, 128  # steps of a chunk
FEWEST = 32  # gates of a step, in all rows, that are worth keeping: one array more costs as much as so few of them
_SAVED = "seqjax_carries"
_saved_only = jax.checkpoint_policies.save_only_these_names(_SAVED)


class Fold(NamedTuple):
    """A cell as the chain sees it, and how to run it."""

    step: Callable[[Any, Any, Any, tuple[Any, ...]], tuple[Any, Any]]  # (p, before, x, s) -> carry, y
    mix: Callable[[Any, Any], Any] | None  # (q, before) -> m, linear in the carry
    sums: bool  # s is z + m
    uniform: bool  # time may be one more batch axis of a step
    reverse: bool
    unroll: int


class Terms(NamedTuple):
    """The arrays of a chunk, and equally their tangents; the last four have a time axis, where there are any."""

    q: Any
    p: Any
    fresh: Any
    begin: Any  # constant
    carry: Any
    x: Any
    z: Any
    mask: Any
    resets: Any


def deferred(carry: Any, inputs: Any, cell: Any, shared: Any, plan: Plan) -> tuple[Any, Any]:
    """The fold of a cell in chunks; its last carry, ys and what was tapped (nothing).

    carry: what moves of it; every leaf is inexact, and so are outputs.
    inputs: xs, mask, resets and probes, each `[T, B, ...]` or None.
    shared: parameters, what is held of the carry, and the carry from which unreal steps are run (see `plan.harmless`).
    """
    xs, (params, held, begin) = inputs[0], shared
    length = jax.tree.leaves(xs)[0].shape[0]
    in_parts = cell.separable and not held
    fold = _fold_of_parts(cell, params, xs, plan) if in_parts else _fold_of_step(cell, held, plan)

    def chunk(carry: Any, inputs: Any) -> tuple[Any, Any]:
        xs, mask, resets, _ = inputs
        fresh = None
        if resets is not None:
            fresh = cast_like(moving(cell.restart(params, whole(carry, held), resets.shape[1:])), carry)
        if in_parts:
            z = cell.project(params.get("project", {}), xs)
            terms = Terms(params.get("mix", {}), params.get("update", {}), fresh, begin, carry, None, z, mask, resets)
        else:
            terms = Terms({}, (params, held), fresh, begin, carry, xs, None, mask, resets)
        carry, ys = _chain(fold, terms)
        return carry, (ys, {})

    size = chunk_length(length, rows_of(cell, xs))
    note(f"{cell!r}: loop over time, deferred gradient in chunks of {size}")
    if length == size:
        return chunk(carry, inputs)
    kept = jax.checkpoint(chunk, policy=_saved_only, prevent_cse=False)
    return chunked(kept, carry, inputs, size, plan.reverse)


def _fold_of_parts(cell: Any, params: Any, xs: Any, plan: Plan) -> Fold:
    """That of a cell that gives project, mix and update."""
    dtype, sums = out_dtype(params, xs), getattr(cell, "sums", False)

    def step(p: Any, carry: Any, x: None, s: tuple[Any, ...]) -> tuple[Any, Any]:
        return advance(cell, dtype, p, carry, *s, *((jnp.zeros_like(s[0]),) if sums else ()))

    return Fold(step, cell.mix, sums, True, plan.reverse, plan.unroll)


def _fold_of_step(cell: Any, held: Any, plan: Plan) -> Fold:
    """That of a cell with a step alone."""

    def step(shared: Any, carry: Any, x: Any, s: tuple[()]) -> tuple[Any, Any]:
        params, held = shared
        after, y = cell.step(params, whole(carry, held), x)
        return cast_like(moving(after), carry), y

    return Fold(step, None, False, cell.uniform and not held, plan.reverse, plan.unroll)


def advance(cell: Any, dtype: Any, p: Any, carry: Any, z: Any, m: Any) -> tuple[Any, Any]:
    """`cell.update` with the dtypes of the law: the carry's own for the carry, `dtype` for the outputs."""
    after, y = cell.update(p, carry, z, m)
    return cast_like(after, carry), cast_floats(y, dtype)


def rows_of(cell: Any, xs: Any) -> int:
    """The number of rows of the batch, xs `[T, B, ...]`."""
    x, axes = jax.tree.leaves(xs)[0], jax.tree.leaves(jax.tree.broadcast(cell.feature_axes, xs))[0]
    return math.prod(x.shape[1 : x.ndim - axes])


def chunk_length(length: int, rows: int) -> int:
    """Steps a chunk: all of a short sequence, else a divisor of the length near the wanted one if there is one."""
    wanted = min(max(ROWS // max(rows, 1), SHORTEST), LONGEST)
    if length <= 2 * wanted:
        return length
    sizes = [k for k in range(wanted // 2, 2 * wanted + 1) if length % k == 0]
    return min(sizes, key=lambda k: abs(k - wanted), default=wanted)


def chunked(run: Callable, carry: Any, inputs: Any, size: int, reverse: bool) -> tuple[Any, Any]:
    """Scan `run(carry, inputs[K, ...])` over chunks of `size` steps; the odd rest lies at the end of time."""
    length = jax.tree.leaves(inputs)[0].shape[0]
    count, rest = divmod(length, size)
    head = jax.tree.map(lambda a: a[: count * size].reshape((count, size) + a.shape[1:]), inputs)
    tail = jax.tree.map(lambda a: a[count * size :], inputs)
    ys_tail = None
    if rest and reverse:
        carry, ys_tail = run(carry, tail)
    carry, ys = lax.scan(run, carry, head, reverse=reverse)
    ys = jax.tree.map(lambda a: a.reshape((count * size,) + a.shape[2:]), ys)
    if rest and not reverse:
        carry, ys_tail = run(carry, tail)
    if rest:
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, ys_tail)
    return carry, ys


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Output:
    """In place of kept gates that are an output of the step anyway: which one."""

    index: int


def _forward(fold: Fold, terms: Terms) -> tuple[Any, Any, Any, Any]:
    """The last carry and, for every step, the outputs, the carry it read and its activated gates (None if few)."""

    def body(carry: Any, inputs: Any) -> tuple[Any, Any]:
        x, z, mask, reset = inputs
        before = carry if reset is None else select(reset, terms.fresh, carry)
        read = select(mask, before, terms.begin)
        s = _join(fold, z, fold.mix(terms.q, read)) if fold.mix else ()
        with keep_gates() as gates:
            after, y = fold.step(terms.p, read, x, s)
        outputs = jax.tree.leaves(y)
        kept = [next((_Output(i) for i, y in enumerate(outputs) if y is gate), gate) for gate in gates]
        few = sum(gate.size for gate in gates) < FEWEST
        return select(mask, after, before), (y, read, None if few else kept)

    inputs = (terms.x, terms.z, terms.mask, terms.resets)
    carry, (ys, befores, kept) = lax.scan(body, terms.carry, inputs, reverse=fold.reverse, unroll=fold.unroll)
    if kept is not None:
        outputs = jax.tree.leaves(ys)
        kept = [outputs[gate.index] if isinstance(gate, _Output) else gate for gate in kept]
    return carry, ys, befores, kept


def _join(fold: Fold, z: Any, m: Any) -> tuple[Any, ...]:
    return (jax.tree.map(jnp.add, z, m),) if fold.sums else (z, m)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _chain(fold: Fold, terms: Terms) -> tuple[Any, Any]:
    return _forward(fold, terms)[:2]


@_chain.defjvp
def _chain_jvp(fold, primals, tangents):  # type: ignore[no-untyped-def]
    (terms,), (moves,) = primals, tangents
    last, ys, befores, gates = _forward(fold, terms)
    befores, gates = checkpoint_name((befores, gates), _SAVED)

    # Everything that does not wait for the carry's tangent, for all steps at once.
    s, ds = (), ()
    if fold.mix:
        m, dm = jax.jvp(lambda q: fold.mix(q, befores), (terms.q,), (moves.q,))
        s, ds = _join(fold, terms.z, m), _join(fold, moves.z, dm)
    known = _Known(befores, terms.x, s, gates)
    jacobian = for_all_steps(partial(_linearize, fold), terms.p, known)
    inputs = (jacobian.stacked, ds, _driven(fold, terms, moves, known), befores, terms.mask, terms.resets)

    def body(dcarry: Any, inputs: Any) -> tuple[Any, Any]:
        stacked, ds, driven, before, mask, reset = inputs
        dbefore = dcarry if reset is None else select(reset, moves.fresh, dcarry)
        dread = select(mask, dbefore, jax.tree.map(jnp.zeros_like, dbefore))
        if fold.mix:
            with for_backward_loop():
                _, dm = jax.jvp(lambda c: fold.mix(terms.q, c), (before,), (dread,))
            ds = (*ds[:-1], jax.tree.map(jnp.add, ds[-1], dm))
        dafter, dy = jacobian.apply(stacked, dread, ds)
        if driven is not None:
            dafter, dy = jax.tree.map(jnp.add, (dafter, dy), driven)
        return select(mask, dafter, dbefore), dy

    dlast, dys = lax.scan(body, moves.carry, inputs, reverse=fold.reverse, unroll=fold.unroll)
    return (last, ys), (dlast, dys)


class _Known(NamedTuple):
    """What `step` has read in every step, and the gates that it has made of it."""

    before: Any
    x: Any
    s: Any
    gates: Any


def _smooth(fold: Fold, gates: Any) -> Callable[[Any, Any, Any, Any], tuple[Any, Any]]:
    """`fold.step` with known gates."""

    def step(p: Any, before: Any, x: Any, s: Any) -> tuple[Any, Any]:
        with keep_gates(gates):
            return fold.step(p, before, x, s)

    return step


def _linearize(fold: Fold, p: Any, known: _Known) -> Any:
    """The tangent of one step as a linear function of (dbefore, ds)."""
    step = _smooth(fold, known.gates)
    with for_backward_loop():
        return jax.linearize(lambda before, s: step(p, before, known.x, s), known.before, known.s)[1]


def _driven(fold: Fold, terms: Terms, moves: Terms, known: _Known) -> Any:
    """The tangents of carry and outputs along dp and dx, where there are any; for all steps."""
    (p, join_p), (x, join_x) = split_inexact(terms.p), split_inexact(terms.x)
    dp, dx = (_tangents(a, d) for a, d in ((terms.p, moves.p), (terms.x, moves.x)))
    if not p and not x:
        return None

    def one(known: _Known, dx: Any) -> Any:
        step = _smooth(fold, known.gates)
        run = lambda p, x: step(join_p(p), known.before, join_x(x), known.s)
        return jax.jvp(run, (p, split_inexact(known.x)[0]), (dp, dx))[1]

    # `vmap` hides from `linear` that time and batch could be one axis: 1.05-1.4 of the time of the whole step.
    return one(known, dx) if fold.uniform else jax.vmap(one)(known, dx)


def _tangents(tree: Any, moves: Any) -> list[Any]:
    return [d for a, d in zip(jax.tree.leaves(tree), jax.tree.leaves(moves)) if is_inexact(a)]
