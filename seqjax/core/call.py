"""One call of `scan` or `trace` as a value, which checks take and compiled programs are kept for."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax._internal.types import Array, Bool, Carry, Params, PyTree
from seqjax._internal.validation import is_concrete
from seqjax.core import taps
from seqjax.core.cell import Cell
from seqjax.core.explanation import is_collecting
from seqjax.core.layout import Layout, find_layout
from seqjax.core.plan import Newton
from seqjax.errors import ArgumentError, closest


@dataclass(frozen=True)
class Options:
    """The options of `scan` that are plain values; `scan` tells what each means.

    fresh: that the carry which is given is an initial one, so that caches need not be read.
    """

    reverse: bool = False
    time_major: bool = False
    gradient: str = "deferred"
    checkpoint: int | str | None = None
    unroll: int = 1
    memory: str = "auto"
    engine: str | Newton = "auto"
    checked: bool = False
    fresh: bool = False


ARRAYS = ("mask", "lengths", "resets")


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of `scan`: a cell and options, which hash, and trees of arrays.

    It is a tree itself, cell and options being part of its structure. So `jax.jit` of a function of a call keeps one
    program for equal cells, options and shapes.
    """

    cell: Cell
    options: Options
    params: Params
    xs: PyTree
    carry: Carry = None
    mask: Any = None
    lengths: Any = None
    resets: Any = None

    @classmethod
    def of(
        cls, cell: Cell, params: Params, xs: PyTree, carry: Carry, options: dict[str, Any], fresh: bool = False
    ) -> "Call":
        """From the keyword arguments of `scan`.

        Raises:
            ArgumentError: one of them is no option of `scan`.
        """
        known = [field.name for field in dataclasses.fields(Options) if field.name != "fresh"]
        for name in options.keys() - {*known, *ARRAYS}:
            raise ArgumentError(f"{name!r} is no option of scan.{closest(name, [*known, *ARRAYS])}")
        arrays = {name: options[name] for name in options.keys() & set(ARRAYS)}
        plain = {name: options[name] for name in options.keys() & set(known)}
        return cls(cell, Options(**plain, fresh=fresh), params, xs, carry, **arrays)

    @cached_property
    def layout(self) -> Layout:
        """The axes of xs."""
        return find_layout(self.cell, self.xs, self.options.time_major)

    def is_inline(self) -> bool:
        """Whether it becomes part of a program that is being traced, rather than a compiled program of its own."""
        arrays = jax.tree.leaves((self.params, self.xs, self.carry, self.mask, self.lengths, self.resets))
        return self.options.checked or is_collecting() or taps.is_tracing() or not all(map(is_concrete, arrays))

    def real_steps(self) -> Bool[Array, " T *B"] | None:
        """The mask, time first, as numpy where it is known from numpy; None when every step is real."""
        if self.lengths is None:
            return None if self.mask is None else self.layout.time_first(jnp.asarray(self.mask))
        lengths, steps = self.lengths, self.layout.length
        if isinstance(lengths, np.ndarray):
            return np.arange(steps).reshape(-1, *(1,) * lengths.ndim) < lengths
        # int32 steps: in the lengths' own dtype, an int8 say, they would wrap around.
        numbers = lax.broadcasted_iota(jnp.int32, (steps, *self.layout.batch), 0)
        return numbers < jnp.broadcast_to(lengths.astype(jnp.int32), numbers.shape)


jax.tree_util.register_dataclass(Call, data_fields=["params", "xs", "carry", *ARRAYS], meta_fields=["cell", "options"])
