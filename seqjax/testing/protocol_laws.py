"""The parts of the law about the protocol: sizes, what a carry asks for, what is held, what a trace sees."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.trees import is_inexact
from seqjax.core.held import held_parts
from seqjax.core.trace import trace
from seqjax.testing.case import SHORT, Case, LawError, check_same, draw_directions, run_with_gradients, score_tree
from seqjax.testing.time_laws import GAPS, RESETS


def size_is_what_comes_out(case: Case) -> str | None:
    """`size(in_features)` features, and `out_features` where they are known beforehand."""
    ys = jax.eval_shape(case.run, case.params, case.fresh(3), case.xs(3, SHORT))[1]
    size = case.cell.size(case.in_features)
    for y in jax.tree.leaves(ys):
        if y.shape[-1] != size:
            raise LawError(f"size({case.in_features}) is {size}, but ys has shape {y.shape}")
    if case.cell.out_features not in (None, size):
        raise LawError(f"out_features is {case.cell.out_features}, but size({case.in_features}) is {size}")
    return None


def carries_have_the_batch_axes_first(case: Case) -> None:
    """Every leaf, for any number of batch axes."""
    for batch in ((), (2,), (2, 1)):
        for leaf in jax.tree.leaves(jax.eval_shape(partial(case.begin, case.params, batch))):
            if leaf.shape[: len(batch)] != batch:
                raise LawError(f"a leaf of the initial carry for a batch of {batch} has shape {leaf.shape}")


def a_fresh_carry_need_not_be_given(case: Case) -> str | None:
    """Without a carry a sequence begins as with the initial one: values, and gradients in params and xs."""
    if case.cell.asks - {"in_features"}:
        return f"not tried: the carry asks for {', '.join(sorted(case.cell.asks))}"
    given = lambda p, c, x: case.run(p, case.begin(p, (3,)), x)
    none = lambda p, c, x: case.run(p, None, x)
    args = case.params, (), case.xs(3, SHORT)
    found, want = (jax.jit(lambda *a, f=f: run_with_gradients(f, *a))(*args) for f in (none, given))
    check_same("no carry given", found, want, 1e-12)
    none_given = case.params, None, args[2]
    with_start = case.params, case.begin(case.params, (3,)), args[2]
    found, (want, _) = case.run(*none_given, mask=GAPS, resets=RESETS), case.run_marked(*with_start, GAPS, RESETS)
    check_same("no carry given, mask, resets", found, want, 1e-12)
    found, want = (case.run(*given, reverse=True, checkpoint=3) for given in (none_given, with_start))
    check_same("no carry given, reverse, checkpoint", found, want, 1e-12)
    return None


def what_is_held_stays(case: Case) -> str | None:
    """No step, mask or reset changes a `Held` part of the carry."""
    carry = case.carry(3)
    if not held_parts(carry):
        return "not tried: nothing is held"
    (last, _), _ = case.run_marked(case.params, carry, case.xs(3, SHORT), GAPS, RESETS)
    check_same("what is held", held_parts(last), held_parts(carry))
    if case.cell.causal:
        after, _ = case.cell.step(case.params, carry, case.xs(3))
        check_same("what is held, after a step", held_parts(after), held_parts(carry))
    return None


def a_trace_changes_nothing(case: Case) -> str | None:
    """Traced = run; and the gradient in each traced value is what finite differences of a probe give."""
    options: dict[str, Any] = {"mask": GAPS, "resets": RESETS}
    params, carry, xs = case.params, case.carry(3), case.xs(3, SHORT)
    shapes = jax.eval_shape(lambda p, c, x: trace(case.cell, p, x, c, **options)[2], params, carry, xs)
    names = sorted(name for name, leaf in shapes.items() if is_inexact(leaf))
    directions = dict(zip(names, draw_directions([shapes[name] for name in names], case.seed + 6)))

    def score(a: jax.Array) -> Any:
        add = {name: a[i].astype(direction.dtype) * direction for i, (name, direction) in enumerate(directions.items())}
        last, ys, seen = trace(case.cell, params, xs, carry, add=add, **options)
        return score_tree((last, ys)), (last, ys, seen)

    traced = jax.jit(jax.value_and_grad(score, has_aux=True))
    point, step = np.zeros(max(1, len(directions))), 1e-5
    (_, (last, ys, seen)), slope = traced(point)
    check_same("a traced run", (last, ys), case.run_marked(params, carry, xs, GAPS, RESETS)[0], 1e-12)
    for name, value in seen.items():
        if np.any(np.asarray(value)[~GAPS]):
            raise LawError(f"the trace of {name!r} is not zero in unreal steps")
    for i, name in enumerate(directions):
        move = step * np.eye(len(point))[i]
        ahead, behind = traced(point + move), traced(point - move)
        check_same(f"probe of {name!r} by differences", (ahead[0][0] - behind[0][0]) / (2 * step), slope[i], 1e-6)
    return None


def a_uniform_step_takes_time_as_an_axis(case: Case) -> str | None:
    """Called with one more leading axis it does what it does for each entry of it."""
    if not (case.cell.causal and case.cell.uniform):
        return "not tried: the step is not said to be uniform"
    two = jax.tree.map(lambda a: jnp.stack([a, a]), case.carry(3))
    xs = case.xs(2, 3)
    step = lambda carry, x: case.cell.step(case.params, carry, x)
    check_same("a step with two batch axes", jax.jit(step)(two, xs), jax.jit(jax.vmap(step))(two, xs), 1e-12)
    return None
