"""A path around a cell."""

import contextlib

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Carry, DTypeLike, Float, Key, Pair, Params
from seqjax._internal.validation import check_causal
from seqjax.combinators.checks import check_same_width, check_vectors, returns_pair
from seqjax.core import taps
from seqjax.core.cell import Cell
from seqjax.core.plan import Plan
from seqjax.core.wrapper import Wrapper
from seqjax.errors import ArgumentError


class Residual(Wrapper):
    """A cell with a path around it (He et al. 2016); made by `residual`. Parameters and carry are the cell's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if returns_pair(self.cell):
            raise ArgumentError(f"residual: {self.cell!r} gives a pair, to which its input cannot be added")
        check_vectors("residual", self.cell, "takes no vectors, so they cannot be added to its output")

    def __repr__(self) -> str:
        return f"residual({self.cell!r})"

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """The cell's parameters.

        Raises:
            ArgumentError: the cell changes the number of features.
        """
        check_same_width(self, self.cell, in_features)
        return super().init(key, in_features, dtype)

    def step(self, params: Params, carry: Carry, x: Float[Array, "*B D"]) -> Pair:
        """x + y."""
        check_causal(self)
        with self._scope():
            carry, y = taps.tap_step(self.cell, params, carry, x)
        return carry, taps.tap("sum", x.astype(y.dtype) + y)

    def sequence(self, params: Params, carry: Carry, xs: Float[Array, "T *B D"], plan: Plan = Plan()) -> Pair:
        """xs + ys."""
        with self._scope():
            carry, ys = super().sequence(params, carry, xs, plan)
        return carry, taps.tap("sum", xs.astype(ys.dtype) + ys)

    def _scope(self) -> contextlib.AbstractContextManager[None]:
        """A path around a path: the inner one's sum has another name."""
        return taps.scope("cell") if isinstance(self.cell, Residual) else contextlib.nullcontext()


def residual(cell: Cell) -> Residual:
    """x + cell(x), for a cell that gives as many features as it gets; in a trace "sum" beside the cell's "y".

    >>> import jax, jax.numpy as jnp
    >>> import seqjax as sj
    >>> block = sj.residual(sj.stack(sj.Norm(), sj.GRU(3)))
    >>> params, xs = block.init(jax.random.key(0), 3), jnp.ones((2, 5, 3))
    >>> _, ys, seen = sj.trace(block, params, xs)
    >>> bool(jnp.all(ys == seen["sum"])), bool(jnp.allclose(ys, xs + seen["1/y"]))
    (True, True)
    """
    return Residual(cell)
