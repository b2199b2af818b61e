"""The equations of a recurrence, and their linearisation solved in parallel over time.

Axes as in `seqjax.core.newton_solver`: `T` time, `B` batch, `n` numbers of a row's carry; time first.

The linear recurrence is solved in about sqrt(T) pieces beside one another, each a loop: (1) compose the maps of each
piece, J_t A; (2) go over the pieces, which gives d where each begins; (3) follow d in each. That is T products of n x n
matrices in 3 sqrt(T) turns of a loop; `lax.associative_scan` takes about 2 T products in 2 log2(T) levels, each a part
of the program. J is there for one step of each piece at a time: memory is O(T n + sqrt(T) n^2).

CPU time on one core, pieces over `associative_scan` of all steps, and over that of 64 at a time, with J given (float32;
B, T, n = 1, 4096, 4; 1, 4096, 16; 8, 4096, 16; 1, 1024, 64; 1, 4096, 64; jax 0.10.2, a busy machine, 2026-11-29):

    run         1.07 0.72 1.12 0.55 0.78        0.51 0.51 1.42 0.63 0.99
    compile     0.24 0.21 0.31 0.31 0.23        0.33 0.27 0.31 0.35 0.28
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax._internal.types import Float, Pair, Params, PyTree
from seqjax.core.loop import count_steps
from seqjax.core.marked import marked_step
from seqjax.core.plan import Newton
from seqjax.core.vectors import Form


class Operands(NamedTuple):
    """All arrays of the equations."""

    params: Params
    fixed: PyTree  # what is held of the carry, and what unreal steps read; [B, ...]
    start: Float[jax.Array, "*B n"]
    inputs: PyTree  # x, mask, resets, probes; [T, B, ...]


@dataclass(frozen=True)
class Equations:
    """f and its Jacobian for all steps; a cell and settings, no arrays."""

    cell: Any
    form: Form
    batch_axes: int
    tolerance: float
    settings: Newton

    def steps(self, of: Operands, befores: Float[jax.Array, " T *B n"]) -> Pair:
        """The states after all steps, and outputs with what was tapped."""
        return self._map(self._step)(*of[:2], befores, of.inputs)

    def after(self, of: Operands, befores: Float[jax.Array, " T *B n"]) -> Float[jax.Array, " T *B n"]:
        """f_t(h_(t-1)) for all t."""
        return self.steps(of, befores)[0]

    def jacobian(self, of: Operands, befores: Float[jax.Array, " T *B n"], dense: bool) -> jax.Array:
        """J_t for all t, `[T, B, n, n]`, or its diagonal `[T, B, n]`, a column at a time."""

        def columns(params: Params, fixed: PyTree, before: jax.Array, inputs: PyTree) -> jax.Array:
            f = lambda before: self._step(params, fixed, before, inputs)[0]
            # A unit vector has no axis of time or batch, and neither has its product with a weight.
            if dense:
                return jax.jacfwd(f)(before)
            if before.size == 0:
                return jnp.zeros_like(before)
            unit = lambda i: jnp.zeros_like(before, shape=before.shape).at[i].set(1)
            return lax.map(lambda i: jax.jvp(f, (before,), (unit(i),))[1][i], np.arange(before.size))

        return self._map(columns)(*of[:2], befores, of.inputs)

    def _step(self, params: Params, fixed: PyTree, before: Float[jax.Array, " n"], inputs: PyTree) -> Pair:
        carry, outputs = marked_step(self.cell, (params, *fixed), self.form.carry(before), inputs)
        return self.form.vector(carry), outputs

    def _map(self, f: Any) -> Any:
        for _ in range(self.batch_axes):
            f = jax.vmap(f, in_axes=(None, 0, 0, 0))
        return jax.vmap(f, in_axes=(None, None, 0, 0))


def solve_linear(
    equations: Equations,
    of: Operands,
    befores: Float[jax.Array, " T *B n"],
    b: Float[jax.Array, " T *B n"],
    *,
    dense: bool = True,
    transpose: bool = False,
) -> jax.Array:
    """d_t = J_t d_(t-1) + b_t; transposed, from the end of time, d_t = J_t^T (d_(t+1) + b_t)."""
    pieces = _cut((befores, of.inputs, b))
    times = (lambda a, v: jnp.einsum("...ij,...j->...i", a, v)) if dense else jnp.multiply
    turn = lambda a: jnp.swapaxes(a, -1, -2) if transpose and dense else a

    def compose(map_so_far: Pair, given: PyTree) -> tuple[Pair, None]:
        (a, d), (befores, inputs, b) = map_so_far, given
        j = turn(equations.jacobian(of._replace(inputs=inputs), befores, dense))
        d = times(j, d + b) if transpose else times(j, d) + b
        return ((j @ a if dense else j * a), d), None

    def follow(d: jax.Array, given: PyTree) -> Pair:
        befores, inputs, b = given
        f = lambda befores: equations.after(of._replace(inputs=inputs), befores)
        if transpose:
            d = jax.vjp(f, befores)[1](d + b)[0]
        elif dense:
            d = jax.jvp(f, (befores,), (d,))[1] + b
        else:
            d = equations.jacobian(of._replace(inputs=inputs), befores, dense) * d + b
        return d, d

    zero = jnp.zeros_like(pieces[2][0])
    one = jnp.eye(zero.shape[-1], dtype=zero.dtype) if dense else jnp.ones((), zero.dtype)
    unit = jnp.broadcast_to(one, zero.shape + one.shape[1:])
    whole, _ = lax.scan(compose, (unit + zero[..., None] if dense else unit + zero, zero), pieces, reverse=transpose)
    skip = lambda d, piece: (times(piece[0], d) + piece[1], d)
    _, starts = lax.scan(skip, zero[0], whole, reverse=transpose)
    _, d = lax.scan(follow, starts, pieces, reverse=transpose)
    return _join(d, b.shape[0])


def _cut(tree: PyTree) -> PyTree:
    """Arrays `[T, ...]` in about sqrt(T) pieces beside one another, `[steps, pieces, ...]`.

    The last step is repeated until the pieces are full, so that what follows it is as finite as it is.
    """
    length = count_steps(tree)
    count = math.isqrt(length - 1) + 1
    size = -(-length // count)

    def one(a: jax.Array) -> jax.Array:
        rest = jnp.broadcast_to(a[-1:], (count * size - length, *a.shape[1:]))
        return jnp.swapaxes(jnp.concatenate([a, rest]).reshape(count, size, *a.shape[1:]), 0, 1)

    return jax.tree.map(one, tree)


def _join(a: jax.Array, length: int) -> jax.Array:
    a = jnp.swapaxes(a, 0, 1)
    return a.reshape(a.shape[0] * a.shape[1], *a.shape[2:])[:length]


def shift(start: Float[jax.Array, "*B n"], states: Float[jax.Array, " T *B n"]) -> jax.Array:
    """The states before each step."""
    return jnp.concatenate([start[None], states[:-1]])
