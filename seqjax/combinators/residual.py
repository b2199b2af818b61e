"""A path around a cell."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp

from seqjax.combinators.stack import gives_pair
from seqjax.core import taps
from seqjax.core.cell import Cell, Params, check_causal
from seqjax.core.plan import Plan
from seqjax.core.wrapper import Wrapper, check_same_width
from seqjax.errors import ArgumentError


class Residual(Wrapper):
    """A cell with a path around it (He et al. 2016); made by `residual`. Parameters and carry are the cell's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if gives_pair(self.cell):
            raise ArgumentError(f"residual: {self.cell!r} gives a pair, to which its input cannot be added")
        if self.cell.feature_axes != 1:
            raise ArgumentError(f"residual: {self.cell!r} takes no vectors, so they cannot be added to its output")

    def __repr__(self) -> str:
        return f"residual({self.cell!r})"

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """The cell's parameters.

        Raises:
            ArgumentError: the cell changes the number of features.
        """
        check_same_width(self, self.cell, in_features)
        return super().init(key, in_features, dtype)

    def step(self, params: Params, carry: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        """x + y."""
        check_causal(self)
        with self._scope():
            carry, y = taps.step(self.cell, params, carry, x)
        return carry, taps.tap("sum", x.astype(y.dtype) + y)

    def sequence(self, params: Params, carry: Any, xs: jax.Array, plan: Plan = Plan()) -> tuple[Any, jax.Array]:
        """xs + ys."""
        with self._scope():
            carry, ys = super().sequence(params, carry, xs, plan)
        return carry, taps.tap("sum", xs.astype(ys.dtype) + ys)

    def _scope(self) -> Any:
        """A path around a path: the inner one's sum has another name."""
        return taps.scope("cell") if isinstance(self.cell, Residual) else contextlib.nullcontext()


def residual(cell: Cell) -> Residual:
    """x + cell(x), for a cell that gives as many features as it gets; in a trace "sum" beside the cell's "y"."""
    return Residual(cell)
