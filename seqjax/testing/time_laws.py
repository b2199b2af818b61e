"""The parts of the law about time, padding and the batch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.errors import NotCausalError
from seqjax.testing.case import SHORT, Case, LawError, outcome, same

POISONS = (np.nan, np.inf, -np.inf, 1e38)


def sequence_is_the_fold_of_step(case: Case) -> str | None:
    """Whole, step by step, and in two chunks: values, carries and gradients."""
    if not case.cell.causal:
        try:
            case.cell.step(case.params, case.carry(3), case.xs(3))
        except NotCausalError:
            return "not tried: reads both directions, and its step says so"
        raise LawError("a cell that is not causal has a step")

    def fold(params: Any, carry: Any, xs: Any) -> Any:
        ys = []
        for t in range(SHORT):
            carry, y = case.cell.step(params, carry, jax.tree.map(lambda x: x[:, t], xs))
            ys.append(y)
        return carry, jax.tree.map(lambda *y: jnp.stack(y, axis=1), *ys)

    def halves(params: Any, carry: Any, xs: Any) -> Any:
        carry, first = case.run(params, carry, jax.tree.map(lambda x: x[:, :1], xs))
        carry, second = case.run(params, carry, jax.tree.map(lambda x: x[:, 1:], xs))
        return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), first, second)

    args = case.params, case.carry(3), case.xs(3, SHORT)
    want = case.masked(*args, np.ones((3, SHORT), bool))
    same("fold of step", jax.jit(lambda *a: outcome(fold, *a))(*args), want, 1e-12)
    same("two chunks", jax.jit(lambda *a: outcome(halves, *a))(*args), want, 1e-12)
    return None


def padding_changes_nothing(case: Case) -> None:
    """Bit for bit, gradients included, whatever stands in unreal steps."""
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]], bool)
    params, carry, xs = case.params, case.carry(3), case.xs(3, SHORT)
    args = (params, carry, xs, mask)
    (last, ys), grads = want = case.masked(*args)
    for poison in POISONS:

        def spoil(x: jax.Array) -> jax.Array:
            real = mask.reshape(mask.shape + (1,) * (x.ndim - 2))
            bad = poison if jnp.issubdtype(x.dtype, jnp.floating) else -(10**6)
            return jnp.where(real, x, jnp.asarray(bad).astype(x.dtype))

        got = case.masked(params, carry, jax.tree.map(spoil, xs), mask)
        same(f"{poison} in unreal steps", got, want)
    row = lambda tree: jax.tree.map(lambda a: a[1], tree)
    same("carry after no real step", row(last), row(carry))
    for name, tree in (("ys", ys), ("gradient of xs", grads[2])):
        unreal = jax.tree.map(lambda a: a[~mask], tree)
        same(f"{name} in unreal steps", unreal, jax.tree.map(jnp.zeros_like, unreal))


def padded_equals_cut(case: Case) -> None:
    """A row with gaps gives what its real steps alone give."""
    mask = np.array([[1, 0, 1, 1]] * 3, bool)
    xs, carry = case.xs(3, SHORT), case.carry(3)
    got, _ = case.masked(case.params, carry, xs, mask)
    kept = jax.tree.map(lambda x: x[:, mask[0]], xs)
    last, ys = case.run(case.params, carry, kept)
    same("carry over gaps", got[0], last, 1e-12)
    same("ys over gaps", jax.tree.map(lambda y: y[:, mask[0]], got[1]), ys, 1e-12)


def batch_rows_do_not_touch(case: Case) -> str | None:
    """A row of NaN leaves its neighbours as they are, bit for bit."""
    xs, carry = case.xs(3, SHORT), case.carry(3)
    if not all(jnp.issubdtype(x.dtype, jnp.floating) for x in jax.tree.leaves(xs)):
        return "not tried: inputs are whole numbers"
    mask = np.ones((3, SHORT), bool)
    bad = jax.tree.map(lambda x: x.at[1].set(jnp.nan), xs)
    rows = lambda tree: jax.tree.map(lambda a: a[np.array([0, 2])], tree)
    (got, got_grads), (want, want_grads) = (case.masked(case.params, carry, x, mask) for x in (bad, xs))
    same("NaN in another row", rows((got, got_grads[1:])), rows((want, want_grads[1:])))
    return None


def nothing_in_nothing_out(case: Case) -> None:
    """No steps give the carry back; an empty batch gives empty outputs."""
    for batch, steps in ((3, 0), (0, SHORT)):
        xs, carry = case.xs(batch, steps), case.carry(batch)
        last, ys = case.run(case.params, carry, xs)
        same(f"carry for batch {batch}, {steps} steps", last, carry)
        for y in jax.tree.leaves(ys):
            if y.shape[:2] != (batch, steps):
                raise LawError(f"ys for batch {batch}, {steps} steps has shape {y.shape}")


def outputs_do_not_see_the_future(case: Case) -> str | None:
    """By the Jacobian; for whole-number inputs by changing the later ones."""
    xs, carry = case.xs(SHORT), case.carry()
    ys_of = jax.jit(lambda x: case.run(case.params, carry, x)[1])
    if not case.cell.causal:
        return "not tried: reads both directions"
    if all(jnp.issubdtype(x.dtype, jnp.floating) for x in jax.tree.leaves(xs)):
        for block in jax.tree.leaves(jax.jit(jax.jacrev(ys_of))(xs)):
            future = np.triu(np.ones((SHORT, SHORT), bool), 1)
            sizes = np.abs(np.asarray(block)).reshape(SHORT, -1, SHORT, block.size // SHORT**2)
            seen = sizes.reshape(SHORT, -1, SHORT, max(1, block.shape[-1])).max(axis=(1, 3))
            if np.any(seen[future]):
                raise LawError(f"the Jacobian of ys sees the future:\n{seen}")
        return None
    other = jax.tree.map(lambda x: x.at[2:].set(x[:2]), xs)
    same("ys before a change", *(jax.tree.map(lambda y: y[:2], ys_of(x)) for x in (other, xs)))
    return None


def reverse_is_the_flip(case: Case) -> str | None:
    """Reading backwards is reading the reversed sequence forwards."""
    if not case.cell.causal:
        return "not tried: reads both directions"
    xs, carry = case.xs(3, SHORT), case.carry(3)
    flip = lambda tree: jax.tree.map(lambda a: a[:, ::-1], tree)
    last, ys = case.run(case.params, carry, flip(xs))
    same("reverse", case.run(case.params, carry, xs, reverse=True), (last, flip(ys)), 1e-12)
    return None
