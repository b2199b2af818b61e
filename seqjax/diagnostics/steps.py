"""The pass backwards through a cell with states, step by step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import cast_like, is_inexact, select, split_inexact
from seqjax._internal.types import Bool, Carry, Pair, Params, PyTree
from seqjax.core import taps
from seqjax.core.cell import Cell
from seqjax.core.held import Held, held_parts, with_held, without_held
from seqjax.core.start import start_carry
from seqjax.diagnostics.place import Place, Pullback, to_one_scale, zero_probes
from seqjax.diagnostics.scaled import LOWEST, Logs, Scaled, add, align, log_norm, log_norms, normalize
from seqjax.diagnostics.segments import Segments, skip_unreal


class _Found(NamedTuple):
    """Of each step: cotangents of x, log norms of those of the carry's parts and of the taps, and what came in."""

    x: Scaled
    states: list[jax.Array]
    totals: dict[str, Logs]
    cotangent: Any  # of [the carry after the step, y]


class _Steps(NamedTuple):
    """The step of a cell as a function of what moves: inexact parts of the carry, of x, and probes."""

    cell: Cell
    params: Params
    held: list[Held]
    agreement: bool = False

    def advance(self, carry: Carry, x: PyTree) -> Pair:
        """The next carry, without what is held, and y."""
        after, y = self.cell.step(self.params, with_held(carry, self.held), x)
        return cast_like(without_held(after), carry), y

    def pull(self, before: Carry, x: PyTree, probes: dict[str, jax.Array], cotangent: list[PyTree]) -> PyTree:
        """Cotangents of the carry before the step, of x and of the probes."""
        states, join = split_inexact(before)
        moved, rebuild = split_inexact(x)

        def step(states: PyTree, moved: PyTree, probes: dict[str, jax.Array]) -> PyTree:
            with taps.record_taps(probes, {}) as record:
                after, y = self.advance(join(states), rebuild(moved))
            return [split_inexact(after)[0], y], record.values

        return jax.vjp(step, states, moved, probes, has_aux=True)[1](cotangent)

    def probes(self, carry: Carry, x: PyTree) -> dict[str, jax.Array]:
        """Zeros for each tap."""

        def seen(probes: dict[str, jax.Array]) -> dict[str, jax.Array]:
            with taps.record_taps(probes, {}) as record:
                self.advance(carry, x)
            return record.values

        return zero_probes(seen)

    def gradient(self, befores: Carry, xs: PyTree, real: Bool[jax.Array, " K B"], cotangent: Scaled) -> Scaled:
        """That of the parameters and of what is held, for all steps of a segment at once."""
        own, join = split_inexact((self.params, self.held))

        def steps(own: list[jax.Array]) -> list[PyTree]:
            after, ys = jax.vmap(_Steps(self.cell, *join(own)).advance)(befores, xs)
            return [split_inexact(after)[0], ys]

        leaves, structure = jax.tree.flatten(cotangent.tree)
        weighted, top = to_one_scale(leaves, cotangent.exponent, real)
        return normalize(jax.vjp(steps, own)[1](jax.tree.unflatten(structure, weighted))[0], top)


class _Totals(NamedTuple):
    """What a pass backwards carries from step to step: lambda, and the gradient of parameters and held parts so far."""

    carry: Scaled
    parameters: Scaled


def steps_vjp(cell: Cell, params: Params, carry: Carry, xs: PyTree, place: Place) -> tuple[PyTree, Pullback]:
    """The rule of `scaled_vjp` for a causal cell with states."""
    steps = _Steps(cell, params, held_parts(carry), place.agreement)
    segments = Segments.of(place.real.shape[0], place.reverse)
    inputs, start = (segments.cut(xs), segments.cut_mask(place.real)), without_held(carry)
    _, (starts, ys) = lax.scan(lambda carry, i: _run_segment(steps, carry, start, i), start, inputs)

    def pull(cotangent: Scaled) -> Scaled:
        probes = steps.probes(start, jax.tree.map(lambda x: x[0], xs))

        def segment(totals: _Totals, inputs: PyTree) -> tuple[_Totals, _Found]:
            return _pull_segment(steps, start, probes, totals, inputs)

        zero = _zero_totals(steps, start, place.real.shape[1:])
        totals, found = lax.scan(segment, zero, (starts, *inputs, segments.cut(cotangent)), reverse=True)
        _record(place, steps, carry, totals, xs, segments.join((found.states, found.totals)))
        dxs = segments.join(found.x)
        return Scaled(split_inexact(xs)[1](dxs.tree, keep=False), dxs.exponent)

    return segments.join(ys), pull


def _pull_segment(
    steps: _Steps, filler: Carry, probes: dict[str, jax.Array], totals: _Totals, inputs: PyTree
) -> tuple[_Totals, _Found]:
    """A segment backwards: run again from the carry it began with, then step by step to its begin."""
    start, xs, real, cotangent = inputs

    def run(totals: _Totals) -> tuple[_Totals, _Found]:
        befores = _carries_read(steps, start, filler, (xs, real))
        body = lambda ct, inputs: _pull_step(steps, probes, ct, inputs)
        ct, found = lax.scan(body, totals.carry, (befores, xs, real, cotangent), reverse=True)
        gradient = add([totals.parameters, steps.gradient(befores, xs, real, found.cotangent)])
        return _Totals(ct, gradient), found._replace(cotangent=())

    return skip_unreal(run, totals, lambda totals, empty: (totals, empty[1]), real)


def _zero_totals(steps: _Steps, carry: Carry, rows: tuple[int, ...]) -> _Totals:
    own = split_inexact((steps.params, steps.held))[0]
    zeros = jax.tree.map(jnp.zeros_like, (split_inexact(carry)[0], own))
    lowest = jnp.full(rows, LOWEST, jnp.int32), jnp.asarray(LOWEST, jnp.int32)
    return _Totals(*(Scaled(*pair) for pair in zip(zeros, lowest)))


def _record(place: Place, steps: _Steps, carry: Carry, totals: _Totals, xs: PyTree, logs: PyTree) -> None:
    """Record the log norms of states and taps, and the gradient of the parameters, also through the initial carry."""
    states, taps = logs
    paths = [path for path, leaf in jax.tree_util.tree_leaves_with_path(without_held(carry)) if is_inexact(leaf)]
    for path, part in zip(paths, states):
        name = (place.carry + jax.tree_util.keystr(path)).lstrip(".")
        place.findings.states[name] = place.hide_unreal(part)
    for name, part in taps.items():
        place.record_total(name, part)
    gradient = totals.parameters
    count = len(split_inexact(steps.params)[0])
    own, held = (Scaled(leaves, gradient.exponent) for leaves in (gradient.tree[:count], gradient.tree[count:]))
    if place.fresh:
        own = add([own, _through_start(steps, totals.carry, held, xs)])
    place.record_parameters(own)


def _through_start(steps: _Steps, ct: Scaled, held: Scaled, xs: PyTree) -> Scaled:
    """The gradient that reaches parameters through the initial carry, as a learned one or a memory made of them."""
    own, join = split_inexact(steps.params)
    width = xs.shape[-1] if hasattr(xs, "shape") else None

    def start(own: list[jax.Array]) -> list[PyTree]:
        carry = start_carry(steps.cell, join(own), ct.exponent.shape, in_features=width)
        return [split_inexact(without_held(carry))[0], split_inexact(held_parts(carry))[0]]

    both = align([Scaled(*to_one_scale(ct.tree, ct.exponent, True)), held])
    started, pull = jax.vjp(start, own)
    return normalize(pull(cast_like(both.tree, started))[0], both.exponent)


def _run_segment(steps: _Steps, carry: Carry, filler: Carry, inputs: PyTree) -> Pair:
    """A segment forwards: the last carry, then the first one and ys."""

    def body(carry: Carry, inputs: PyTree) -> Pair:
        x, real = inputs
        after, y = steps.advance(select(real, carry, filler), x)
        return select(real, after, carry), y

    def run(carry: Carry) -> Pair:
        after, ys = lax.scan(body, carry, inputs)
        return after, (carry, ys)

    return skip_unreal(run, carry, lambda carry, empty: (carry, (carry, empty[1][1])), inputs[1])


def _carries_read(steps: _Steps, carry: Carry, filler: Carry, inputs: PyTree) -> Carry:
    """The carry that each step of a segment reads; unreal ones `filler` (see `fill_padding`)."""

    def body(carry: Carry, inputs: PyTree) -> Pair:
        x, real = inputs
        read = select(real, carry, filler)
        return select(real, steps.advance(read, x)[0], carry), read

    return lax.scan(body, carry, inputs)[1]


def _pull_step(steps: _Steps, probes: dict[str, jax.Array], ct: Scaled, inputs: PyTree) -> tuple[Scaled, _Found]:
    """One step backwards, with `ct` that of the carry after it."""
    before, x, real, cotangent = inputs
    both = align([ct, cotangent])
    states, moved, tapped = steps.pull(before, x, probes, both.tree)
    new = normalize(states, both.exponent)
    below = normalize(moved, both.exponent)
    nothing = Scaled(jax.tree.map(jnp.zeros_like, below.tree), jnp.full_like(below.exponent, LOWEST))
    found = _Found(
        select(real, below, nothing),
        [log_norm(part, new.exponent) for part in new.tree],
        {name: log_norms(value, both.exponent, real if steps.agreement else None) for name, value in tapped.items()},
        both,
    )
    return select(real, new, ct), found
