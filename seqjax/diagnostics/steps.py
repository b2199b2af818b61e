"""The walk backwards through a cell with states, step by step."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import cast_like, select, split_inexact
from seqjax.core import taps
from seqjax.core.cell import Cell, Params, initial_carry
from seqjax.core.held import held_of, moving, whole
from seqjax.diagnostics.scaled import LOWEST, Scaled, add, align, log_norm, normal
from seqjax.diagnostics.way import Back, Way, weigh, zero_probes


class _Found(NamedTuple):
    """Of each step: cotangents of x, log norms of those of the carry's parts and of the taps, and what arrived."""

    x: Scaled
    states: list[jax.Array]
    totals: dict[str, jax.Array]
    arriving: Any  # of [the carry after the step, y]


class _Steps(NamedTuple):
    """The step of a cell as a function of what moves: inexact parts of the carry, of x, and probes."""

    cell: Cell
    params: Params
    held: Any

    def advance(self, carry: Any, x: Any) -> tuple[Any, Any]:
        """The next carry, without what is held, and y."""
        after, y = self.cell.step(self.params, whole(carry, self.held), x)
        return cast_like(moving(after), carry), y

    def pull(self, before: Any, x: Any, probes: Any, arriving: list[Any]) -> Any:
        """Cotangents of the carry before the step, of x and of the probes."""
        states, join = split_inexact(before)
        moved, rebuild = split_inexact(x)

        def step(states: Any, moved: Any, probes: Any) -> Any:
            with taps.recording(probes, {}) as record:
                after, y = self.advance(join(states), rebuild(moved))
            return [split_inexact(after)[0], y], record.values

        return jax.vjp(step, states, moved, probes, has_aux=True)[1](arriving)

    def probes(self, carry: Any, x: Any) -> dict[str, jax.Array]:
        """Zeros for each tap."""

        def seen(probes: Any) -> Any:
            with taps.recording(probes, {}) as record:
                self.advance(carry, x)
            return record.values

        return zero_probes(seen)

    def gradient(self, befores: Any, xs: Any, real: Any, arriving: Scaled) -> Scaled:
        """That of the parameters and of what is held, for all steps of a segment at once."""
        own, join = split_inexact((self.params, self.held))

        def steps(own: Any) -> Any:
            after, ys = jax.vmap(_Steps(self.cell, *join(own)).advance)(befores, xs)
            return [split_inexact(after)[0], ys]

        leaves, structure = jax.tree.flatten(arriving.tree)
        weighted, top = weigh(leaves, arriving.exponent, real)
        return normal(jax.vjp(steps, own)[1](jax.tree.unflatten(structure, weighted))[0], top)


def walk_steps(cell: Cell, params: Params, carry: Any, xs: Any, way: Way) -> tuple[Any, Back]:
    """The rule of `walk` for a causal cell with states."""
    steps = _Steps(cell, params, held_of(carry))
    length = way.real.shape[0]
    size = max(1, math.isqrt(length))
    count = -(-length // size)

    def cut(tree: Any) -> Any:
        """`[T, ...]` in the direction of travel, in segments; the last is filled up with copies of the last step."""

        def one(a: jax.Array) -> jax.Array:
            a = a[::-1] if way.reverse else a
            rest = jnp.broadcast_to(a[-1:], (count * size - length, *a.shape[1:]))
            return jnp.concatenate([a, rest]).reshape(count, size, *a.shape[1:])

        return jax.tree.map(one, tree)

    def joined(tree: Any) -> Any:
        def one(a: jax.Array) -> jax.Array:
            a = a.reshape(count * size, *a.shape[2:])[:length]
            return a[::-1] if way.reverse else a

        return jax.tree.map(one, tree)

    within = (jnp.arange(count * size) < length).reshape(count, size, *(1,) * (way.real.ndim - 1))
    real = cut(jnp.asarray(way.real)) & within
    inputs, begin = (cut(xs), real), moving(carry)
    _, (starts, ys) = lax.scan(lambda carry, i: _forward(steps, carry, begin, i), begin, inputs)

    def back(arriving: Scaled) -> Scaled:
        probes = steps.probes(moving(carry), jax.tree.map(lambda x: x[0], xs))

        def segment(state: Any, inputs: Any) -> Any:
            start, xs, real, arriving = inputs

            def run(state: Any) -> Any:
                ct, grads = state
                befores = _befores(steps, start, begin, (xs, real))
                body = lambda ct, inputs: _pull(steps, probes, ct, inputs)
                ct, found = lax.scan(body, ct, (befores, xs, real, arriving), reverse=True)
                grads = add([grads, steps.gradient(befores, xs, real, found.arriving)])
                return (ct, grads), found._replace(arriving=())

            return _unless_unreal(run, state, lambda state, empty: (state, empty[1]), real)

        ct, grads, found = _run_back(steps, carry, segment, (starts, *inputs, cut(arriving)))
        _report(way, cell, params, carry, ct, grads, joined((found.states, found.totals)), xs)
        rebuild = split_inexact(xs)[1]
        dxs = joined(found.x)
        return Scaled(rebuild(dxs.tree, keep=False), dxs.exponent)

    return joined(ys), back


def _run_back(steps: _Steps, carry: Any, segment: Any, inputs: Any) -> Any:
    states = split_inexact(moving(carry))[0]
    zeros = jax.tree.map(jnp.zeros_like, (states, split_inexact((steps.params, steps.held))[0]))
    rows = inputs[2].shape[2:]
    none = Scaled(zeros[0], jnp.full(rows, LOWEST, jnp.int32)), Scaled(zeros[1], jnp.asarray(LOWEST, jnp.int32))
    (ct, grads), found = lax.scan(segment, none, inputs, reverse=True)
    return ct, grads, found


def _report(way: Way, cell: Cell, params: Params, carry: Any, ct: Scaled, grads: Scaled, logs: Any, xs: Any) -> None:
    states, totals = logs
    names = [
        way.carry + jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(moving(carry))
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    ]
    for name, part in zip(names, states):
        way.report.states[name.lstrip(".")] = way.where_real(part)
    for name, logs in totals.items():
        way.note_total(name, logs)
    count = len(split_inexact(params)[0])
    own, held = Scaled(grads.tree[:count], grads.exponent), Scaled(grads.tree[count:], grads.exponent)
    if way.fresh:
        own = add([own, _through_start(cell, params, ct, held, xs)])
    way.note_parameters(own)


def _through_start(cell: Cell, params: Params, ct: Scaled, held: Scaled, xs: Any) -> Scaled:
    """The gradient that reaches parameters through the initial carry, as a learned one or a memory made of them."""
    own, join = split_inexact(params)
    width = xs.shape[-1] if hasattr(xs, "shape") else None

    def start(own: Any) -> Any:
        carry = initial_carry(cell, join(own), ct.exponent.shape, in_features=width)
        return [split_inexact(moving(carry))[0], split_inexact(held_of(carry))[0]]

    both = align([Scaled(*weigh(ct.tree, ct.exponent, True)), held])
    begun, pull = jax.vjp(start, own)
    return normal(pull(cast_like(both.tree, begun))[0], both.exponent)


def _forward(steps: _Steps, carry: Any, begin: Any, inputs: Any) -> tuple[Any, Any]:
    """A segment forwards: the last carry, then the first one and ys."""

    def body(carry: Any, inputs: Any) -> Any:
        x, real = inputs
        after, y = steps.advance(select(real, carry, begin), x)
        return select(real, after, carry), y

    def run(carry: Any) -> Any:
        after, ys = lax.scan(body, carry, inputs)
        return after, (carry, ys)

    return _unless_unreal(run, carry, lambda carry, empty: (carry, (carry, empty[1][1])), inputs[1])


def _unless_unreal(run: Any, state: Any, rest: Any, real: Any) -> Any:
    """`run(state)`, but where no step of a segment is real `rest(state, zeros like what run gives)`, at no cost."""

    def skip(state: Any) -> Any:
        return rest(state, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(run, state)))

    return lax.cond(jnp.any(real), run, skip, state)


def _befores(steps: _Steps, carry: Any, begin: Any, inputs: Any) -> Any:
    """The carry that each step of a segment reads; unreal ones `begin` (see `plan.harmless`)."""

    def body(carry: Any, inputs: Any) -> Any:
        x, real = inputs
        read = select(real, carry, begin)
        return select(real, steps.advance(read, x)[0], carry), read

    return lax.scan(body, carry, inputs)[1]


def _pull(steps: _Steps, probes: Any, ct: Scaled, inputs: Any) -> tuple[Scaled, _Found]:
    """One step backwards."""
    before, x, real, arriving = inputs
    both = align([ct, arriving])
    states, moved, tapped = steps.pull(before, x, probes, both.tree)
    new = normal(states, both.exponent)
    below = normal(moved, both.exponent)
    found = _Found(
        select(real, below, Scaled(jax.tree.map(jnp.zeros_like, below.tree), jnp.full_like(below.exponent, LOWEST))),
        [log_norm(part, new.exponent) for part in new.tree],
        {name: log_norm(value, both.exponent) for name, value in tapped.items()},
        both,
    )
    return select(real, new, ct), found
