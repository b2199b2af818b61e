"""The loop forwards, and what it keeps for the tangents of its steps.

Axes: `T` time, `B` batch (any number of axes, also none). Everything here is time-major, `[T, B, ...]`.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import select
from seqjax._internal.types import Array, Bool, Carry, Pair, PyTree
from seqjax.core.fold import Fold, Sums
from seqjax.core.gating import keep_gates

# Gates of a step, in all rows, that are worth keeping: one array more costs as much as so few of them.
FEWEST_GATES = 40


class Terms(NamedTuple):
    """The arrays of a chunk, and equally their tangents; the last four have a time axis, where there are any."""

    q: PyTree  # parameters of mix
    p: PyTree  # parameters of step
    restart: Carry  # what a reset begins with, None without resets
    filler: Carry  # what unreal steps read, a constant, so that its tangent is never used
    carry: Carry
    x: PyTree
    z: PyTree
    mask: Bool[Array, " T *B"] | None
    resets: Bool[Array, " T *B"] | None


def combine(fold: Fold, z: PyTree, m: PyTree) -> Sums:
    """s of z and m."""
    return (jax.tree.map(jnp.add, z, m),) if fold.sums else (z, m)


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Output:
    """In place of an array that is an output of the step anyway: which one."""

    index: int


class Kept(NamedTuple):
    """What the forward loop keeps for the tangents of its steps, `[T, ...]`, with `_Output`s in place of outputs."""

    befores: list[Any]  # leaves of the carry that a step read; of an output: that of the step before it
    gates: list[Any] | None


def run_forward(fold: Fold, terms: Terms) -> tuple[Carry, PyTree, Kept]:
    """The last carry and, for every step, the outputs and what is kept."""
    mix = fold.mix

    def body(carry: Carry, inputs: PyTree) -> Pair:
        x, z, mask, reset = inputs
        before = carry if reset is None else select(reset, terms.restart, carry)
        read = select(mask, before, terms.filler)
        s = combine(fold, z, mix(terms.q, read)) if mix else ()
        with keep_gates() as gates:
            after, y = fold.step(terms.p, read, x, s)
        # An RNN's gate is its output, and h of the next step too: the scan then stacks one array instead of three.
        outputs = jax.tree.leaves(y)
        plain = reset is None and (mask is None or fold.padded)
        befores = [
            _find(after, outputs) if plain and _is_one(after, outputs) else read
            for read, after in zip(jax.tree.leaves(read), jax.tree.leaves(after), strict=True)
        ]
        few = sum(gate.size for gate in gates) < FEWEST_GATES
        found = [_find(gate, outputs) for gate in gates]
        free = all(isinstance(gate, _Output) for gate in found)
        kept = Kept(befores, found if not few and (free or fold.keeps_gates) else None)
        return select(mask, after, before), (y, kept)

    inputs = (terms.x, terms.z, terms.mask, terms.resets)
    carry, (ys, kept) = lax.scan(body, terms.carry, inputs, reverse=fold.reverse, unroll=fold.unroll)
    return carry, ys, kept


def _over(a: Any, mask: Bool[Array, " T *B"]) -> jax.Array:
    return jnp.broadcast_to(a, mask.shape[:1] + a.shape)


def _is_one(array: jax.Array, outputs: list[jax.Array]) -> bool:
    return any(array is output for output in outputs)


def _find(array: jax.Array, outputs: list[jax.Array]) -> Any:
    """The array, or in its place which output it is."""
    return next((_Output(i) for i, output in enumerate(outputs) if output is array), array)


def restore(fold: Fold, kept: Kept, terms: Terms, ys: PyTree) -> tuple[Carry, list[jax.Array] | None]:
    """The carries that the steps of a chunk read, and their gates."""
    outputs, mask = jax.tree.leaves(ys), None if terms.mask is None else jnp.asarray(terms.mask)

    def shift(a: jax.Array, first: jax.Array) -> jax.Array:
        """What was there a step before."""
        return jnp.concatenate([a[1:], first[None]] if fold.reverse else [first[None], a[:-1]])

    def before(kept: Any, start: jax.Array, filler: jax.Array | None) -> jax.Array:
        if not isinstance(kept, _Output):
            return kept
        outputs_before = shift(outputs[kept.index], start)
        if mask is None:
            return outputs_before
        # Padding lies on one side of the real steps, so that before a real step comes another one, or the start.
        follows = shift(mask, jnp.zeros_like(mask[0]))
        return select(mask, select(follows, outputs_before, _over(start, mask)), _over(filler, mask))

    fillers = [None] * len(kept.befores) if mask is None else jax.tree.leaves(terms.filler)
    triples = zip(kept.befores, jax.tree.leaves(terms.carry), fillers, strict=True)
    befores = jax.tree.unflatten(jax.tree.structure(terms.carry), [before(*triple) for triple in triples])
    if kept.gates is None:
        return befores, None
    return befores, [outputs[gate.index] if isinstance(gate, _Output) else gate for gate in kept.gates]
