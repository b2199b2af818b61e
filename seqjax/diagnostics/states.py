"""The carry of a cell as one vector of floats in each row, and the linear map by which a step moves it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import cast_like, is_inexact, select, split_inexact
from seqjax._internal.types import Array, Bool, Carry, DTypeLike, Float, Inexact, Pair, Params, PyTree
from seqjax._internal.validation import check_causal
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.core.held import Held, held_parts, with_held, without_held
from seqjax.core.padding import fill_padding
from seqjax.core.start import start_carry
from seqjax.diagnostics import seeds
from seqjax.errors import ArgumentError

LinearMap = Callable[[Float[jax.Array, "B n"]], Float[jax.Array, "B n"]]


class Steps(NamedTuple):
    """What each step of a run reads.

    cell, params, held: those of all steps. befores: the carry before each step `[T, B, ...]`, without what is held.
    xs: `[T, B, ...]`. real: `[T, B]`; unreal steps leave the carry as it is.
    """

    cell: Cell
    params: Params
    held: list[Held]
    befores: Carry
    xs: PyTree
    real: Bool[jax.Array, " T B"]

    @property
    def width(self) -> int:
        """Numbers in the state of one row, n; a complex one is two."""
        return self._state.shape[1]

    @property
    def dtype(self) -> DTypeLike:
        """That of vectors of states."""
        return self._state.dtype

    @property
    def _state(self) -> jax.ShapeDtypeStruct:
        return jax.eval_shape(lambda: join([leaf[0] for leaf in split_inexact(self.befores)[0]]))

    def state_after(self, before: Carry, x: PyTree) -> Float[jax.Array, "B n"]:
        """The carry after a step, joined."""
        return join(split_inexact(_advance(self, before, x))[0])

    def linear_map(self, before: Carry, x: PyTree) -> LinearMap:
        """v -> J v for a vector a row, J = d carry after the step / d carry before it."""
        states, rebuild = split_inexact(before)
        step = lambda states: split_inexact(_advance(self, rebuild(states), x))[0]
        linear = jax.linearize(step, states)[1]
        return lambda vector: join(linear(_part(vector, states)))

    def push(self, before: Carry, x: PyTree, columns: Float[jax.Array, "B n m"]) -> Float[jax.Array, "B n m"]:
        """J V for m columns of each row."""
        return jax.vmap(self.linear_map(before, x), in_axes=-1, out_axes=-1)(columns)

    def pull(self, before: Carry, x: PyTree, vector: Float[jax.Array, "B n"]) -> Float[jax.Array, "B n"]:
        """J^T v for a vector a row."""
        return jax.linear_transpose(self.linear_map(before, x), vector)(vector)[0]

    def jacobian(self, before: Carry, x: PyTree) -> Float[jax.Array, "B n n"]:
        """J of one step, by n products of J and a unit vector, for all rows at once."""
        state = join(split_inexact(before)[0])
        eye = jnp.eye(state.shape[1], dtype=state.dtype)
        return self.push(before, x, jnp.broadcast_to(eye, (state.shape[0], *eye.shape)))


def prepare(name: str, cell: Cell, params: Params, xs: PyTree, carry: Carry, mask: Bool[Array, " B T"] | None) -> Call:
    """The call of a diagnostic of states, checked as `scan` checks it.

    Raises:
        ArgumentError, ArgumentTypeError: what `scan` refuses; not one batch axis, no step, no state.
        NotCausalError: the cell has no step.
    """
    call = seeds.prepare(name, cell, params, xs, carry, mask)
    check_causal(cell)
    start = jax.eval_shape(lambda: without_held(_start(call)))
    if not any(is_inexact(leaf) for leaf in jax.tree.leaves(start)):
        raise ArgumentError(
            f"{name}: {cell!r} carries no floating point state from step to step, so that no gradient passes through "
            "time. Measure a recurrent cell, or a stack with one"
        )
    return call


def run(call: Call) -> Steps:
    """The run forwards, one step after the other."""
    xs = fill_padding(call.layout.time_first(call.xs), call.real_steps(), False)
    carry = _start(call)
    start = without_held(carry)
    steps = Steps(call.cell, call.params, held_parts(carry), start, xs, seeds.real_steps(call))

    def body(carry: Carry, inputs: PyTree) -> Pair:
        x, real = inputs
        read = select(real, carry, start)  # see `fill_padding`
        return select(real, _advance(steps, read, x), carry), read

    return steps._replace(befores=lax.scan(body, start, (xs, steps.real))[1])


def _start(call: Call) -> Carry:
    if call.carry is not None:
        return call.carry
    return start_carry(call.cell, call.params, call.layout.batch, in_features=call.layout.width)


def _advance(steps: Steps, before: Carry, x: PyTree) -> Carry:
    """The next carry, without what is held."""
    after = steps.cell.step(steps.params, with_held(before, steps.held), x)[0]
    return cast_like(without_held(after), before)


def join(leaves: list[jax.Array]) -> Float[jax.Array, "B n"]:
    """Arrays `[B, ...]` as one vector a row; of complex ones the real and the imaginary parts."""
    rows = [_real(leaf).reshape(leaf.shape[0], -1) for leaf in leaves]
    dtype = jnp.result_type(jnp.float32, *(row.dtype for row in rows))
    return jnp.concatenate([row.astype(dtype) for row in rows], axis=1)


def _real(leaf: Inexact[jax.Array, "*B_D"]) -> Float[jax.Array, "..."]:
    return jnp.stack([leaf.real, leaf.imag]).swapaxes(0, 1) if jnp.iscomplexobj(leaf) else leaf


def _part(vector: Float[jax.Array, "B n"], like: list[jax.Array]) -> list[jax.Array]:
    """A vector taken apart into arrays like those that `join` has joined."""
    parts = []
    for leaf in like:
        shape = jax.eval_shape(_real, leaf).shape
        size = math.prod(shape[1:])
        part, vector = vector[:, :size].reshape(shape), vector[:, size:]
        value = part[:, 0] + 1j * part[:, 1] if jnp.iscomplexobj(leaf) else part
        parts.append(value.astype(leaf.dtype))
    return parts
