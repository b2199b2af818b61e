"""What `scan` and `trace` have in common: checks before anything runs, and the run itself, compiled once."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from seqjax._internal.trees import is_inexact, out_dtype
from seqjax._internal.types import Array, Carry, Int, Pair
from seqjax.core.arguments import check_arrays, check_input, check_lengths, check_mask, check_options, check_resets
from seqjax.core.call import ARRAYS, Call
from seqjax.core.padding import fill_padding, zero_padding
from seqjax.core.plan import Plan
from seqjax.core.room import check_room, check_room_inside_jit
from seqjax.core.start import start_carry
from seqjax.core.structure import check_carry, check_params


def prepare(call: Call) -> Call:
    """The call, after everything that can be checked before anything is computed has been.

    Raises:
        ArgumentError, ArgumentTypeError: what cannot be right.
    """
    check_options(call)
    check_arrays("xs", call.xs)
    check_params(call)
    call = _lists_as_arrays(call)
    check_mask(call)
    check_lengths(call)
    check_resets(call)
    check_input(call)
    if call.carry is not None:
        check_arrays("carry", call.carry)
        call = dataclasses.replace(call, carry=check_carry(call))
    check_room(call)
    return call


def _lists_as_arrays(call: Call) -> Call:
    arrays: dict[str, Any] = {}
    for name in ARRAYS:
        value = getattr(call, name)
        if value is not None and not hasattr(value, "dtype"):
            arrays[name] = np.asarray(value)
    return dataclasses.replace(call, **arrays) if arrays else call


def run(call: Call) -> Pair:
    """The last carry and ys, in the layout of xs."""
    options, layout, carry = call.options, call.layout, call.carry
    if options.checked and call.lengths is not None:
        _check_lengths_inside_jit(call.lengths, layout.length)
    if options.checked:
        check_room_inside_jit(call)
    mask = call.real_steps()
    resets = None if call.resets is None else layout.time_first(jnp.asarray(call.resets))
    fresh = (carry is None or options.fresh) and options.checkpoint is None
    plan = Plan(
        mask, resets, call.lengths, fresh, options.engine, options.reverse,
        options.gradient, options.checkpoint, options.unroll, options.memory, options.checked,
    )  # fmt: skip
    if carry is None:
        carry = first_carry(call)
    xs = fill_padding(layout.time_first(call.xs), mask, options.reverse)
    carry, ys = call.cell.sequence(call.params, carry, xs, plan)
    return carry, layout.restore(zero_padding(ys, mask))


def first_carry(call: Call) -> Carry:
    """The default carry for these xs.

    Raises:
        ArgumentError: the cell asks for more than that.
    """
    layout = call.layout
    return _match_to_input(start_carry(call.cell, call.params, layout.batch, in_features=layout.width), call)


_compiled = jax.jit(run)


def execute(call: Call) -> Pair:
    """`run` within the program that is being traced, or as a program of its own: one for equal cells and shapes."""
    return run(call) if call.is_inline() else _compiled(call)


def _check_lengths_inside_jit(lengths: Int[Array, "*B"], longest: int) -> None:
    lengths = jnp.asarray(lengths).astype(jnp.int32)  # a uint8 would be compared with `longest` modulo 256
    checkify.check(
        jnp.all((lengths >= 0) & (lengths <= longest)),
        f"lengths must be in [0, {longest}], found {{low}} to {{high}}",
        low=jnp.min(lengths, initial=jnp.iinfo(lengths.dtype).max),
        high=jnp.max(lengths, initial=jnp.iinfo(lengths.dtype).min),
    )


def _match_to_input(carry: Carry, call: Call) -> Carry:
    """Give a default carry the sharding and the precision of the input.

    A carry made from nothing is replicated, which neither `shard_map` nor a mesh of explicit axes lets a loop
    carry beside batch-sharded inputs; so zeros made from the input are added to it. Caches narrower than float32
    are so on purpose and stay so.
    """
    x = jax.tree.leaves(call.layout.time_first(call.xs))[0]
    # A sum of zeros over time and features: `[B]`, with the sharding that the batch axes of x have.
    zero = jnp.sum(jnp.zeros_like(x, dtype=jnp.int32), axis=(0, *range(1 + len(call.layout.batch), x.ndim)))
    floats = any(is_inexact(leaf) for leaf in jax.tree.leaves(call.xs))
    width = out_dtype((), call.xs) if floats else jnp.float32

    def match(leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        if is_inexact(leaf) and jnp.finfo(leaf.dtype).bits >= 32:
            leaf = leaf.astype(jnp.promote_types(leaf.dtype, jnp.finfo(width).dtype))
        zeros = jnp.zeros_like(zero, dtype=leaf.dtype)
        zeros = zeros.reshape(zero.shape + (1,) * (leaf.ndim - zero.ndim))
        return leaf + jnp.broadcast_to(zeros, leaf.shape)

    return jax.tree.map(match, carry)
