"""What `scan` and `trace` have in common: options, checks before anything runs, and the run itself, compiled once."""

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import checkify

from seqjax._internal.trees import is_inexact, out_dtype, select
from seqjax._internal.validation import is_concrete
from seqjax.core import arguments as checks
from seqjax.core import taps
from seqjax.core.cell import Cell, Params, initial_carry
from seqjax.core.expected import check_carry, check_params
from seqjax.core.plan import Plan, harmless, is_recording
from seqjax.errors import ArgumentError, closest


@dataclass(frozen=True)
class Options:
    """The options of `scan`, which tells what each means."""

    mask: Any = None
    lengths: Any = None
    resets: Any = None
    reverse: bool = False
    time_major: bool = False
    gradient: str = "deferred"
    checkpoint: int | str | None = None
    unroll: int = 1
    engine: str = "auto"
    checked: bool = False

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Options":
        """From keyword arguments.

        Raises:
            ArgumentError: one of them is no option of `scan`.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in given.keys() - set(known):
            raise ArgumentError(f"{name!r} is no option of scan.{closest(name, known)}")
        return cls(**given)


class Marks(NamedTuple):
    """What is said of single steps: mask, lengths, resets; each may be None."""

    mask: Any
    lengths: Any
    resets: Any


class Call(NamedTuple):
    """A checked call: two hashable values, and trees of arrays."""

    cell: Cell
    options: Options
    params: Params
    xs: Any
    carry: Any
    marks: Marks

    def is_inline(self) -> bool:
        """Whether it becomes part of a program that is being traced, rather than a compiled program of its own."""
        arrays = jax.tree.leaves(self[2:])
        return self.options.checked or is_recording() or taps.active() or not all(map(is_concrete, arrays))


def prepare(cell: Cell, params: Params, xs: Any, carry: Any, options: Options) -> Call:
    """Check everything that can be checked before anything is computed.

    Raises:
        ArgumentError, ArgumentTypeError: what cannot be right.
    """
    checks.options(cell, params, options)
    xs = checks.arrays("xs", xs)
    shape = checks.sequence_shape(cell, xs, options.time_major)
    check_params(cell, params, xs, shape)
    given = (checks.mask, options.mask), (checks.lengths, options.lengths), (checks.resets, options.resets)
    marks = Marks(*(None if value is None else check(cell, value, shape) for check, value in given))
    if marks.mask is not None and marks.lengths is not None:
        raise ArgumentError("mask and lengths were both given; they say the same thing, so pass one")
    checks.input_values(cell, xs, real_steps(marks, shape), shape)
    if carry is not None:
        carry = check_carry(cell, params, checks.arrays("carry", carry), shape)
    return Call(cell, dataclasses.replace(options, mask=None, lengths=None, resets=None), params, xs, carry, marks)


def run(cell: Cell, options: Options, params: Params, xs: Any, carry: Any, marks: Marks) -> tuple[Any, Any]:
    """The last carry and ys, in the layout of xs."""
    shape = checks.sequence_shape(cell, xs, options.time_major)
    if options.checked and marks.lengths is not None:
        _check_lengths(marks.lengths, shape.length)
    mask = real_steps(marks, shape)
    resets = None if marks.resets is None else shape.time_first(jnp.asarray(marks.resets))
    plan = Plan(
        mask, resets, marks.lengths, carry is None and options.checkpoint is None, options.engine,
        options.reverse, options.gradient, options.checkpoint, options.unroll, options.checked,
    )  # fmt: skip
    if carry is None:
        carry = _anchored(initial_carry(cell, params, shape.batch, in_features=shape.width), xs, shape)
    carry, ys = cell.sequence(params, carry, harmless(shape.leaves_time_first(xs), mask, options.reverse), plan)
    ys = clean(ys, mask)
    return carry, ys if options.time_major else jax.tree.map(shape.time_back, ys)


compiled = jax.jit(run, static_argnums=(0, 1))
"""`run` as a program of its own: one for equal cells, options and shapes."""


def real_steps(marks: Marks, shape: checks.Shape) -> Any:
    """The mask `[T, B]`, as numpy where it is known from numpy; None when every step is real."""
    if marks.lengths is None:
        return None if marks.mask is None else shape.time_first(jnp.asarray(marks.mask))
    lengths = marks.lengths
    if isinstance(lengths, np.ndarray):
        return np.arange(shape.length).reshape(-1, *(1,) * lengths.ndim) < lengths
    # int32 steps: in the lengths' own dtype, an int8 say, they would wrap around.
    steps = lax.broadcasted_iota(jnp.int32, (shape.length, *shape.batch), 0)
    return steps < jnp.broadcast_to(lengths.astype(jnp.int32), steps.shape)


def clean(tree: Any, mask: Any) -> Any:
    """Zeros in the unreal steps; by selection, as 0 * NaN is NaN."""
    return select(mask, tree, jax.tree.map(jnp.zeros_like, tree))


def _check_lengths(lengths: Any, longest: int) -> None:
    lengths = jnp.asarray(lengths).astype(jnp.int32)  # a uint8 would be compared with `longest` modulo 256
    checkify.check(
        jnp.all((lengths >= 0) & (lengths <= longest)),
        f"lengths must be in [0, {longest}], found {{low}} to {{high}}",
        low=jnp.min(lengths, initial=jnp.iinfo(lengths.dtype).max),
        high=jnp.max(lengths, initial=jnp.iinfo(lengths.dtype).min),
    )


def _anchored(carry: Any, xs: Any, shape: checks.Shape) -> Any:
    """Give a default carry the sharding and the precision of the input.

    A carry made from nothing is replicated, which neither `shard_map` nor a mesh of explicit axes lets a loop
    carry beside batch-sharded inputs; so zeros made from the input are added to it. Caches narrower than float32
    are so on purpose and stay so.
    """
    x = jax.tree.leaves(shape.leaves_time_first(xs))[0]
    zero = jnp.sum(jnp.zeros_like(x, dtype=jnp.int32), axis=(0, *range(1 + len(shape.batch), x.ndim)))
    floats = any(is_inexact(leaf) for leaf in jax.tree.leaves(xs))
    width = out_dtype((), xs) if floats else jnp.float32

    def one(leaf: jax.Array) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        if is_inexact(leaf) and jnp.finfo(leaf.dtype).bits >= 32:
            leaf = leaf.astype(jnp.promote_types(leaf.dtype, jnp.finfo(width).dtype))
        zeros = jnp.zeros_like(zero, dtype=leaf.dtype)
        zeros = zeros.reshape(zero.shape + (1,) * (leaf.ndim - zero.ndim))
        return leaf + jnp.broadcast_to(zeros, leaf.shape)

    return jax.tree.map(one, carry)
