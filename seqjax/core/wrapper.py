"""A cell around one other."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Carry, DTypeLike, Key, Pair, Params, PyTree, Shape
from seqjax._internal.validation import check_causal, check_given
from seqjax.core.cell import Cell, Limit, check_cell_type
from seqjax.core.plan import Plan
from seqjax.core.start import init_params, start_carry


class Wrapper(Cell):
    """A cell around another, `cell`, which it leaves everything to that a subclass does not define itself.

    Parameters, carry and taps are the inner cell's own. A wrapper that changes what a step does overrides `step`,
    and its sequence is the fold of that; one that can do better for all steps at once overrides `sequence` too:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> class Scaled(sj.Wrapper):
        ...     factor: float
        ...     def step(self, params, carry, x):
        ...         carry, y = self.cell.step(params, carry, x)
        ...         return carry, self.factor * y
        >>> cell = Scaled(sj.GRU(4), 10.0)
        >>> cell
        Scaled(GRU(4), 10.0)
        >>> params, xs = cell.init(jax.random.key(0), 3), jnp.ones((2, 5, 3))
        >>> bool(jnp.all(sj.scan(cell, params, xs)[1] == 10 * sj.scan(sj.GRU(4), params, xs)[1]))
        True
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
        return self.cell.out_features

    def size(self, in_features: int) -> int:
        return self.cell.size(in_features)

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        return init_params(self.cell, key, in_features, dtype)

    def initial_carry(self, params: Params, batch_shape: Shape = (), **given: PyTree) -> Carry:
        check_given(self, given)
        return start_carry(self.cell, params, batch_shape, **given)

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        return self.cell.restart(params, carry, batch_shape)

    def check_input(self, xs: PyTree, mask: Bool[Array, "..."] | None, values: bool) -> None:
        self.cell.check_input(xs, mask, values)

    def limits(self, carry: Carry | None) -> Iterator[Limit]:
        return self.cell.limits(carry)

    def step(self, params: Params, carry: Carry, x: PyTree) -> Pair:
        check_causal(self)
        return self.cell.step(params, carry, x)

    def sequence(self, params: Params, carry: Carry, xs: PyTree, plan: Plan = Plan()) -> Pair:
        return self.cell.sequence(params, carry, xs, plan)
