"""The parts of the law about time, padding and the batch."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.trees import is_inexact
from seqjax._internal.types import Array, Bool, Carry, Params, PyTree
from seqjax.core.held import held_parts, with_held, without_held
from seqjax.errors import NotCausalError
from seqjax.testing.case import SHORT, Case, LawError, by_numpy, check_same, run_with_gradients

GAPS = np.array([[1, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 0]], bool)
RESETS = np.array([[0, 0, 1, 0], [1, 0, 1, 0], [0, 1, 1, 1]], bool)
POISONS = (np.nan, np.inf, -np.inf, 1e38)


def sequence_is_the_fold_of_step(case: Case) -> str | None:
    """Against a loop in plain Python, with gaps and resets, in both directions and in chunks: values and gradients."""
    if not case.cell.causal:
        try:
            case.cell.step(case.params, case.carry(3), case.xs(3))
        except NotCausalError:
            return "not tried: reads both directions, and its step says so"
        raise LawError("a cell that is not causal has a step")
    args = case.params, case.carry(3), case.xs(3, SHORT)
    fold = jax.jit(lambda *a: run_with_gradients(partial(_fold, case), *a[:3], mask=a[3], starts=a[4]))
    plain = np.ones((3, SHORT), bool), np.zeros((3, SHORT), bool)
    for marks in (plain, (GAPS, RESETS)):
        check_same("fold of step", case.run_marked(*args, *marks), fold(*args, *marks), 1e-12)
    chunks = jax.jit(lambda *a: run_with_gradients(case.run, *a[:3], mask=a[3], resets=a[4], checkpoint=3))
    check_same("fold of step, in chunks", chunks(*args, GAPS, RESETS), fold(*args, GAPS, RESETS), 1e-12)
    flip = lambda tree: jax.tree.map(lambda a: a[:, ::-1], tree)
    turned = case.params, case.carry(3), by_numpy(lambda a: a[:, ::-1], case.xs(3, SHORT))

    def backwards(params: Params, carry: Carry, xs: PyTree) -> Any:
        carry, ys = case.run(params, carry, flip(xs), mask=GAPS, resets=RESETS, reverse=True)
        return carry, flip(ys)

    starts = np.stack([starts_in_reverse(*row) for row in zip(GAPS, RESETS)])
    back = jax.jit(lambda *a: run_with_gradients(backwards, *a))(*turned)
    check_same("fold of step, in reverse", back, fold(*turned, GAPS[:, ::-1], starts), 1e-12)
    return None


def _fold(
    case: Case, params: Params, carry: Carry, xs: PyTree, mask: Bool[Array, "B T"], starts: Bool[Array, "B T"]
) -> Any:
    """Step by step, forward; `starts` stand before real steps alone, and unreal ones read a real step of their row."""
    first = jnp.argmax(mask, axis=1)

    def where(flag: Any, a: Any, b: Any) -> Any:
        one = lambda a, b: jnp.where(flag.reshape(flag.shape + (1,) * (a.ndim - 1)), a.astype(b.dtype), b)
        return jax.tree.map(one, a, b)

    restart = jax.jit(lambda carry: without_held(case.cell.restart(params, carry, (3,))))
    step = jax.jit(lambda carry, x: case.cell.step(params, carry, x))  # traced once, not for each step
    ys = []
    for t in range(SHORT):
        real, fresh = mask[:, t], restart(carry)
        carry = with_held(where(real & starts[:, t], fresh, without_held(carry)), held_parts(carry))
        x = jax.tree.map(lambda x: x[:, t], xs)
        x = where(real, x, jax.tree.map(lambda x: jax.lax.stop_gradient(x[np.arange(3), first]), xs))
        after, y = step(carry, x)
        carry = with_held(where(real, without_held(after), without_held(carry)), held_parts(after))
        ys.append(where(real, y, jax.tree.map(jnp.zeros_like, y)))
    return carry, jax.tree.map(lambda *y: jnp.stack(y, axis=1), *ys)


def starts_in_reverse(mask: np.ndarray, resets: np.ndarray) -> np.ndarray:
    """For one row, read from its end: whether the step begins anew, as the one read before it has a reset."""
    starts, before = [], None
    for t in range(len(mask))[::-1]:
        starts.append(bool(mask[t] and before is not None and resets[before]))
        before = t if mask[t] else before
    return np.array(starts)


def resets_cut(case: Case) -> str | None:
    """Between two resets a sequence is as it is alone, also in a cell that reads both directions."""
    if case.cell.asks - {"in_features"}:
        return "not tried: the carry does not begin as it did when the sequence is alone"
    xs = case.xs(3, SHORT)
    resets = np.zeros((3, SHORT), bool)
    resets[:, 1] = True
    _, ys = case.run_marked(case.params, case.fresh(3), xs, np.ones((3, SHORT), bool), resets)[0]
    for piece in (slice(0, 1), slice(1, SHORT)):
        part = lambda tree, piece=piece: by_numpy(lambda a: a[:, piece], tree)
        check_same("between resets", part(ys), case.run(case.params, case.fresh(3), part(xs))[1], 1e-12)
    return None


def padding_changes_nothing(case: Case) -> None:
    """Bit for bit, gradients included, whatever stands in unreal steps."""
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]], bool)
    params, carry, xs = case.params, case.carry(3), case.xs(3, SHORT)
    args = (params, carry, xs, mask)
    (last, ys), grads = want = case.run_masked(*args)
    for poison in POISONS:

        def spoil(x: np.ndarray) -> np.ndarray:
            real = mask.reshape(mask.shape + (1,) * (x.ndim - 2))
            bad = poison if is_inexact(x) else -(10**6)
            return np.where(real, x, np.asarray(bad).astype(x.dtype))

        got = case.run_masked(params, carry, by_numpy(spoil, xs), mask)
        check_same(f"{poison} in unreal steps", got, want)
    row = lambda tree: by_numpy(lambda a: a[1], tree)
    check_same("carry after no real step", row(last), row(carry))
    for name, tree in (("ys", ys), ("gradient of xs", grads[2])):
        unreal = by_numpy(lambda a: a[~mask], tree)
        check_same(f"{name} in unreal steps", unreal, jax.tree.map(np.zeros_like, unreal))


def padded_equals_cut(case: Case) -> None:
    """A row with gaps gives what its real steps alone give."""
    mask = np.array([[1, 0, 1, 1]] * 3, bool)
    xs, carry = case.xs(3, SHORT), case.carry(3)
    got, _ = case.run_masked(case.params, carry, xs, mask)
    kept = by_numpy(lambda x: x[:, mask[0]], xs)
    last, ys = case.run(case.params, carry, kept)
    check_same("carry over gaps", got[0], last, 1e-12)
    check_same("ys over gaps", by_numpy(lambda y: y[:, mask[0]], got[1]), ys, 1e-12)


def batch_rows_do_not_touch(case: Case) -> str | None:
    """A row of NaN leaves its neighbours as they are, bit for bit."""
    xs, carry = case.xs(3, SHORT), case.carry(3)
    if not all(map(is_inexact, jax.tree.leaves(xs))):
        return "not tried: inputs are whole numbers"
    mask = np.ones((3, SHORT), bool)
    bad = jax.tree.map(lambda x: x.at[1].set(jnp.nan) if is_inexact(x) else x, xs)
    rows = lambda tree: by_numpy(lambda a: a[np.array([0, 2])], tree)
    (got, got_grads), (want, want_grads) = (case.run_masked(case.params, carry, x, mask) for x in (bad, xs))
    check_same("NaN in another row", rows((got, got_grads[1:])), rows((want, want_grads[1:])))
    return None


def lengths_are_a_mask(case: Case) -> None:
    """A cell that is given the lengths does what it does for the mask that they make."""
    lengths = np.array([SHORT, 0, 2])
    xs, carry = case.xs(3, SHORT), case.carry(3)
    by_mask, _ = case.run_masked(case.params, carry, xs, np.arange(SHORT) < lengths[:, None])
    check_same("lengths", case.run_lengths(case.cell, case.params, xs, carry, lengths), by_mask, 1e-12)


def any_batch_axes(case: Case) -> None:
    """Two batch axes, none, and `vmap` over data: all are the rows of one batch."""
    xs, carry = case.xs(6, SHORT), case.carry(6)
    want = case.run(case.params, carry, xs)
    cut = lambda tree: by_numpy(lambda a: a.reshape(2, 3, *a.shape[1:]), tree)
    check_same("two batch axes", case.run(case.params, cut(carry), cut(xs)), cut(want), 1e-12)
    row = lambda tree: by_numpy(lambda a: a[4], tree)
    check_same("no batch axis", case.run(case.params, row(carry), row(xs)), row(want), 1e-12)
    alone = jax.jit(jax.vmap(lambda carry, x: case.run(case.params, carry, x)))
    check_same("vmap over data", alone(carry, xs), want, 1e-12)


def rows_may_be_moved(case: Case) -> None:
    """Permute, then run = run, then permute: carries and outputs."""
    order = np.array([2, 0, 1])
    moved = lambda tree: by_numpy(lambda a: a[order], tree)
    xs, carry = case.xs(3, SHORT), case.carry(3)
    got, _ = case.run_marked(case.params, moved(carry), moved(xs), GAPS[order], RESETS[order])
    want, _ = case.run_marked(case.params, carry, xs, GAPS, RESETS)
    check_same("rows moved", got, moved(want), 1e-12)


def nothing_in_nothing_out(case: Case) -> None:
    """No steps give the carry back; an empty batch gives empty outputs; with lengths as without."""
    for batch, steps in ((3, 0), (0, SHORT)):
        xs, carry = case.xs(batch, steps), case.carry(batch)
        for options in ({}, {"lengths": np.full(batch, steps)}):
            last, ys = case.run(case.params, carry, xs, **options)
            check_same(f"carry for batch {batch}, {steps} steps", last, carry)
            for y in jax.tree.leaves(ys):
                if y.shape[:2] != (batch, steps):
                    raise LawError(f"ys for batch {batch}, {steps} steps has shape {y.shape}")


def outputs_do_not_see_the_future(case: Case) -> str | None:
    """By the Jacobian; for whole-number inputs by changing the later ones."""
    xs, carry = case.xs(SHORT), case.carry()
    ys_of = jax.jit(lambda x: case.run(case.params, carry, x)[1])
    smooth = all(map(is_inexact, [*jax.tree.leaves(xs), *jax.tree.leaves(jax.eval_shape(ys_of, xs))]))
    if not case.cell.causal:
        return "not tried: reads both directions"
    if smooth:
        for block in jax.tree.leaves(jax.jit(jax.jacrev(ys_of))(xs)):
            future = np.triu(np.ones((SHORT, SHORT), bool), 1)
            sizes = np.abs(np.asarray(block)).reshape(SHORT, -1, SHORT, block.size // SHORT**2)
            seen = sizes.reshape(SHORT, -1, SHORT, max(1, block.shape[-1])).max(axis=(1, 3))
            if np.any(seen[future]):
                raise LawError(f"the Jacobian of ys sees the future:\n{seen}")
        return None
    other = jax.tree.map(lambda x: x.at[2:].set(x[:2]), xs)
    check_same("ys before a change", *(jax.tree.map(lambda y: y[:2], ys_of(x)) for x in (other, xs)))
    return None


def reverse_is_the_flip(case: Case) -> str | None:
    """Reading backwards is reading the reversed sequence forwards."""
    if not case.cell.causal:
        return "not tried: reads both directions"
    xs, carry = case.xs(3, SHORT), case.carry(3)
    flip = lambda tree: by_numpy(lambda a: a[:, ::-1], tree)
    (last, ys), _ = case.run_masked(case.params, carry, flip(xs), np.ones((3, SHORT), bool))
    check_same("reverse", case.run(case.params, carry, xs, reverse=True), (last, flip(ys)), 1e-12)
    return None
