"""The pass backwards through a tree of cells: cotangents of any size, layer by layer and step by step.

`scaled_vjp` is `jax.vjp` for cells: it runs one forwards and returns, beside its outputs, the function that takes the
outputs' cotangents back to its inputs'. Cells made of cells have a rule of their own, by which each part is taken;
then there are three kinds. With lambda_t = dL / d carry_t:

    no state            dL/dx_t = (d y_t / d x_t)^T dL/dy_t, all steps at once, each at its own scale
    states, step by step   lambda_(t-1) = (d carry_t / d carry_(t-1))^T lambda_t + (d y_t / d carry_(t-1))^T dL/dy_t,
                        in segments of sqrt(T) steps that are run again from the carry they began with, so that a
                        large carry (a cache) is kept sqrt(T) times and not T times
    both directions     (attention without a mask of causality) one pull for all steps whose scales are near each other,
                        as most often all are

Within one cell of these kinds, numbers are plain floats: a deep network should be a stack, not one module. Everywhere
a cotangent is a `Scaled`: floats near 1, and an exponent for each example and step.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import split_inexact
from seqjax._internal.types import Carry, Int, Params, PyTree
from seqjax.combinators import Bidirectional, Repeat, Residual, Stack
from seqjax.combinators.bidirectional import MERGES
from seqjax.core import taps
from seqjax.core.cell import Cell
from seqjax.core.held import without_held
from seqjax.core.padding import fill_padding
from seqjax.core.start import start_carry
from seqjax.core.wrapper import Wrapper
from seqjax.diagnostics.place import Place, Pullback, to_one_scale, zero_probes
from seqjax.diagnostics.scaled import LOWEST, Scaled, add, normalize, times
from seqjax.diagnostics.steps import steps_vjp

Rule = Callable[..., tuple[PyTree, Pullback]]


def scaled_vjp(cell: Cell, params: Params, carry: Carry, xs: PyTree, place: Place) -> tuple[PyTree, Pullback]:
    """The outputs `[T, B, ...]` of a cell, and the function from their cotangents to those of `xs`."""
    rule = _RULES.get(type(cell))  # of this very type: a subclass may compute something else
    if rule is None and _only_wraps(cell):
        return scaled_vjp(cell.cell, params, carry, xs, place)  # type: ignore[attr-defined]
    if rule is None:
        states = split_inexact(without_held(carry))[0]
        rule = steps_vjp if states and cell.causal else _vjp_at_once
    ys, pull = rule(cell, params, carry, xs, place)

    def pull_and_record(cotangent: Scaled) -> Scaled:
        if type(cell) not in (Stack, Repeat):
            place.record_total("sum" if type(cell) is Residual else "y", place.measure(*cotangent))
        return pull(cotangent)

    return ys, pull_and_record


def _only_wraps(cell: Cell) -> bool:
    """Whether a wrapper computes what the cell within does, as one that only draws other parameters."""
    return isinstance(cell, Wrapper) and all(
        getattr(type(cell), name) is getattr(Wrapper, name) for name in ("step", "sequence", "initial_carry", "causal")
    )


def _chain(pulls: list[Pullback]) -> Pullback:
    """Those of layers from the first to the last, as one."""
    return lambda cotangent: functools.reduce(lambda ct, pull: pull(ct), reversed(pulls), cotangent)


def _stack_vjp(cell: Stack, params: Params, carry: Carry, xs: PyTree, place: Place) -> tuple[PyTree, Pullback]:
    carries, pulls = cell.split_carry(carry), []
    for name, part in cell.parts.items():
        within = place.enter(name, f"[{name!r}]" if cell.names else f"[{name}]")
        xs, pull = scaled_vjp(part, params[name], carries[name], xs, within)
        pulls.append(pull)
    return xs, _chain(pulls)


def _repeat_vjp(cell: Repeat, params: Params, carry: Carry, xs: PyTree, place: Place) -> tuple[PyTree, Pullback]:
    pulls = []
    for i in range(cell.layers):
        own, start = jax.tree.map(lambda p: p[i], params), jax.tree.map(lambda c: c[:, i], carry)
        xs, pull = scaled_vjp(cell.cell, own, start, xs, place.enter(f"layer/{i}", f".layer[{i}]"))
        pulls.append(pull)
    return xs, _chain(pulls)


def _residual_vjp(cell: Residual, params: Params, carry: Carry, xs: PyTree, place: Place) -> tuple[PyTree, Pullback]:
    within = place.enter("cell", "") if isinstance(cell.cell, Residual) else place
    ys, pull = scaled_vjp(cell.cell, params, carry, xs, within)
    around = lambda ct: Scaled(ct.tree.astype(xs.dtype), ct.exponent)
    return xs.astype(ys.dtype) + ys, lambda cotangent: add([pull(cotangent), around(cotangent)])


def _bidirectional_vjp(
    cell: Bidirectional, params: Params, carry: Carry, xs: PyTree, place: Place
) -> tuple[PyTree, Pullback]:
    ahead = place.enter("forward", ".forward")
    behind = place.enter("backward", ".backward", reverse=not place.reverse)
    turned_xs = fill_padding(xs, place.real, behind.reverse)
    fs, pull_f = scaled_vjp(cell.cell, params["forward"], carry.forward, xs, ahead)
    bs, pull_b = scaled_vjp(cell.cell, params["backward"], carry.backward, turned_xs, behind)
    ys, split = jax.vjp(MERGES[cell.merge], fs, bs)

    def pull(cotangent: Scaled) -> Scaled:
        f, b = split(cotangent.tree)
        return add([pull_f(normalize(f, cotangent.exponent)), pull_b(normalize(b, cotangent.exponent))])

    return ys, pull


_RULES: dict[type, Rule] = {
    Stack: _stack_vjp,
    Repeat: _repeat_vjp,
    Residual: _residual_vjp,
    Bidirectional: _bidirectional_vjp,
}


def _vjp_at_once(cell: Cell, params: Params, carry: Carry, xs: PyTree, place: Place) -> tuple[PyTree, Pullback]:
    """All steps at once; steps that see each other must then be near one scale."""
    moved, rebuild = split_inexact(xs)
    own, join = split_inexact(params)

    def run(own: list[jax.Array], moved: list[jax.Array], probes: dict[str, jax.Array]) -> tuple[PyTree, PyTree]:
        with taps.record_taps(probes, {}) as record:
            start = carry
            if place.fresh:  # made again of the parameters, which act through it
                width = xs.shape[-1] if hasattr(xs, "shape") else None
                start = start_carry(cell, join(own), place.real.shape[1:], in_features=width)
            ys = cell.sequence(join(own), start, rebuild(moved), place.plan)[1]
        return ys, record.values

    probes = zero_probes(lambda probes: run(own, moved, probes)[1])
    ys, vjp, _ = jax.vjp(run, own, moved, probes, has_aux=True)

    def pull(cotangent: Scaled) -> Scaled:
        leaves, structure = jax.tree.flatten(cotangent.tree)
        exponent = jnp.where(place.real, cotangent.exponent, LOWEST)
        back = lambda leaves: vjp(jax.tree.unflatten(structure, leaves))
        if cell.causal:
            dxs, dprobes = (Scaled(tree, exponent) for tree in back(leaves)[1:])
        else:
            dxs, dprobes = _pull_bands(lambda leaves: back(leaves)[1:], leaves, exponent)
        place.record_taps(dprobes.tree, dprobes.exponent)
        # Parameters collect from all steps, whose scales differ: once more, with all cotangents at one scale.
        weighted, top = to_one_scale(leaves, exponent, place.real)
        place.record_parameters(Scaled(back(weighted)[0], top))
        return normalize(rebuild(dxs.tree, keep=False), dxs.exponent)

    return ys, pull


_BAND = 60
"""Powers of two between the cotangents that one pull takes; as many again are then left for what it multiplies by."""


def _pull_bands(
    back: Callable[[list[jax.Array]], tuple[PyTree, ...]], leaves: list[jax.Array], exponent: Int[jax.Array, " T B"]
) -> list[Scaled]:
    """The sum of what `back` makes of cotangents of any size, a linear map of all steps: the largest first."""

    def one(state: tuple[jax.Array, list[Scaled]]) -> tuple[jax.Array, list[Scaled]]:
        left, found = state
        top = jnp.broadcast_to(jnp.max(left, axis=0), left.shape)
        now = left > top - _BAND
        trees = back([times(leaf, jnp.where(now, left - top, LOWEST)) for leaf in leaves])
        found = [add([total, normalize(tree, top)]) for total, tree in zip(found, trees)]
        return jnp.where(now, LOWEST, left), found

    zeros = jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), jax.eval_shape(back, leaves))
    start = [Scaled(tree, jnp.full_like(exponent, LOWEST)) for tree in zeros]
    return lax.while_loop(lambda state: jnp.any(state[0] > LOWEST // 2), one, (exponent, start))[1]
