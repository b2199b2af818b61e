"""A cell around one other."""

from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.validation import check_asked
from seqjax.core.cell import Cell, Params, check_causal, check_cell_type, init, initial_carry
from seqjax.core.plan import Plan
from seqjax.errors import ArgumentError


def check_same_width(cell: Cell, within: Cell, in_features: int) -> None:
    """Refuse a cell that must give as many features as it gets, and does not.

    Raises:
        ArgumentError: so it is.
    """
    size = within.size(in_features)
    if size != in_features:
        raise ArgumentError(
            f"{cell!r}: the cell gives {size} features but gets {in_features}, and both must be equal here"
        )


class Wrapper(Cell):
    """A cell around another, `cell`, which it leaves everything to that a subclass does not define itself.

    Parameters, carry and taps are the inner cell's own. A wrapper that changes what a step does overrides `step`,
    and its sequence is the fold of that; one that can do better for all steps at once overrides `sequence` too:

        class Scaled(Wrapper):
            factor: float

            def step(self, params, carry, x):
                carry, y = self.cell.step(params, carry, x)
                return carry, self.factor * y
    """

    cell: Cell

    def __post_init__(self) -> None:
        check_cell_type(type(self).__name__.lower(), self.cell)

    @property
    def feature_axes(self) -> Any:
        return self.cell.feature_axes

    @property
    def causal(self) -> bool:
        return bool(self.cell.causal)

    @property
    def asks(self) -> frozenset[str]:
        return frozenset(self.cell.asks)

    @property
    def uniform(self) -> bool:
        return bool(self.cell.uniform)

    @property
    def narrow(self) -> bool:
        return bool(self.cell.narrow)

    @property
    def out_features(self) -> int | None:
        """The inner cell's."""
        return self.cell.out_features

    def size(self, in_features: int) -> int:
        """The inner cell's."""
        return self.cell.size(in_features)

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """The inner cell's parameters."""
        return init(self.cell, key, in_features, dtype)

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = (), **asked: Any) -> Any:
        """The inner cell's carry."""
        check_asked(self, asked)
        return initial_carry(self.cell, params, batch_shape, **asked)

    def restart(self, params: Params, carry: Any, batch_shape: tuple[int, ...]) -> Any:
        """The inner cell's."""
        return self.cell.restart(params, carry, batch_shape)

    def check_input(self, xs: Any, mask: Any, values: bool) -> None:
        """The inner cell's."""
        self.cell.check_input(xs, mask, values)

    def step(self, params: Params, carry: Any, x: Any) -> tuple[Any, Any]:
        """A step of the inner cell."""
        check_causal(self)
        return self.cell.step(params, carry, x)

    def sequence(self, params: Params, carry: Any, xs: Any, plan: Plan = Plan()) -> tuple[Any, Any]:
        """The sequence of the inner cell."""
        return self.cell.sequence(params, carry, xs, plan)
