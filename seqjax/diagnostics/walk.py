"""The walk backwards through a tree of cells: cotangents of any size, layer by layer and step by step.

`walk` runs a cell forwards and returns, beside its outputs, the function that takes the outputs' cotangents back to
its inputs'. Cells made of cells have a rule of their own, by which each part is walked; then there are three kinds.

    no state            dL/dx_t from dL/dy_t, all steps at once, each at its own scale
    states, step by step   lambda_(t-1) = (d carry_t / d carry_(t-1))^T lambda_t + (d y_t / d carry_(t-1))^T dL/dy_t,
                        in segments of sqrt(T) steps that are run again from the carry they began with, so that a
                        large carry (a cache) is kept sqrt(T) times and not T times
    both directions     (attention without a mask of causality) one pull for each example, at one scale

Everywhere a cotangent is a `Scaled`: floats near 1, and an exponent for each example and step.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.trees import split_inexact
from seqjax.combinators import Bidirectional, Repeat, Residual, Stack
from seqjax.combinators.bidirectional import MERGES
from seqjax.core import taps
from seqjax.core.cell import Cell, Params, initial_carry
from seqjax.core.held import moving
from seqjax.core.plan import harmless
from seqjax.core.wrapper import Wrapper
from seqjax.diagnostics.scaled import LOWEST, Scaled, add, log_norm, normal, times
from seqjax.diagnostics.steps import walk_steps
from seqjax.diagnostics.way import Back, Way, weigh, zero_probes


def walk(cell: Cell, params: Params, carry: Any, xs: Any, way: Way) -> tuple[Any, Back]:
    """The outputs `[T, B, ...]` of a cell, and the function from their cotangents to those of `xs`."""
    rule = _RULES.get(type(cell))  # of this very type: a subclass may compute something else
    if rule is None and _passes_on(cell):
        return walk(cell.cell, params, carry, xs, way)  # type: ignore[attr-defined]
    if rule is None:
        states = split_inexact(moving(carry))[0]
        rule = walk_steps if states and cell.causal else _walk_at_once
    ys, back = rule(cell, params, carry, xs, way)

    def noted(arriving: Scaled) -> Scaled:
        if type(cell) not in (Stack, Repeat):
            way.note_total("sum" if type(cell) is Residual else "y", log_norm(*arriving))
        return back(arriving)

    return ys, noted


def _passes_on(cell: Cell) -> bool:
    """Whether a wrapper computes what the cell within does, as one that only draws other parameters."""
    return isinstance(cell, Wrapper) and all(
        getattr(type(cell), name) is getattr(Wrapper, name) for name in ("step", "sequence", "initial_carry", "causal")
    )


def _walk_stack(cell: Stack, params: Params, carry: Any, xs: Any, way: Way) -> tuple[Any, Back]:
    carries = carry if cell.names else dict(zip(cell.parts, carry))
    backs = []
    for name, part in cell.parts.items():
        place = way.into(name, f"[{name!r}]" if cell.names else f"[{name}]")
        xs, back = walk(part, params[name], carries[name], xs, place)
        backs.append(back)
    return xs, lambda arriving: functools.reduce(lambda ct, back: back(ct), reversed(backs), arriving)


def _walk_repeat(cell: Repeat, params: Params, carry: Any, xs: Any, way: Way) -> tuple[Any, Back]:
    backs = []
    for i in range(cell.layers):
        own = jax.tree.map(lambda p: p[i], params)
        place = way.into(f"layer/{i}", f".layer[{i}]")
        xs, back = walk(cell.cell, own, jax.tree.map(lambda c: c[:, i], carry), xs, place)
        backs.append(back)
    return xs, lambda arriving: functools.reduce(lambda ct, back: back(ct), reversed(backs), arriving)


def _walk_residual(cell: Residual, params: Params, carry: Any, xs: Any, way: Way) -> tuple[Any, Back]:
    ys, back = walk(cell.cell, params, carry, xs, way.into("cell", "") if isinstance(cell.cell, Residual) else way)
    around = lambda ct: Scaled(ct.tree.astype(xs.dtype), ct.exponent)
    return xs.astype(ys.dtype) + ys, lambda arriving: add([back(arriving), around(arriving)])


def _walk_bidirectional(cell: Bidirectional, params: Params, carry: Any, xs: Any, way: Way) -> tuple[Any, Back]:
    ahead = way.into("forward", ".forward")
    behind = way.into("backward", ".backward", reverse=not way.reverse)
    fs, pull_f = walk(cell.cell, params["forward"], carry.forward, xs, ahead)
    bs, pull_b = walk(cell.cell, params["backward"], carry.backward, harmless(xs, way.real, behind.reverse), behind)
    ys, split = jax.vjp(MERGES[cell.merge], fs, bs)

    def back(arriving: Scaled) -> Scaled:
        f, b = split(arriving.tree)
        return add([pull_f(normal(f, arriving.exponent)), pull_b(normal(b, arriving.exponent))])

    return ys, back


_RULES: dict[type, Any] = {
    Stack: _walk_stack,
    Repeat: _walk_repeat,
    Residual: _walk_residual,
    Bidirectional: _walk_bidirectional,
}


def _width(xs: Any) -> Any:
    return xs.shape[-1] if hasattr(xs, "shape") else None


def _walk_at_once(cell: Cell, params: Params, carry: Any, xs: Any, way: Way) -> tuple[Any, Back]:
    """All steps at once; steps that see each other must then be at one scale."""
    moved, rebuild = split_inexact(xs)
    own, join = split_inexact(params)

    def run(own: Any, moved: Any, probes: Any) -> tuple[Any, Any]:
        with taps.recording(probes, {}) as record:
            start = carry
            if way.fresh:
                start = initial_carry(cell, join(own), way.real.shape[1:], in_features=_width(xs))
            ys = cell.sequence(join(own), start, rebuild(moved), way.plan)[1]
        return ys, record.values

    probes = zero_probes(lambda probes: run(own, moved, probes)[1])
    ys, pull, _ = jax.vjp(run, own, moved, probes, has_aux=True)

    def back(arriving: Scaled) -> Scaled:
        leaves, structure = jax.tree.flatten(arriving.tree)
        exponent = jnp.where(way.real, arriving.exponent, LOWEST)
        if not cell.causal:
            top = jnp.broadcast_to(jnp.max(exponent, axis=0), exponent.shape)
            leaves, exponent = [times(leaf, exponent - top) for leaf in leaves], top
        _, dxs, dprobes = pull(jax.tree.unflatten(structure, leaves))
        way.note_totals(dprobes, exponent)
        weighted, top = weigh(leaves, exponent, way.real)
        way.note_parameters(Scaled(pull(jax.tree.unflatten(structure, weighted))[0], top))
        return normal(rebuild(dxs, keep=False), exponent)

    return ys, back
