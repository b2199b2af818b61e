"""A layer without memory: a cell with an empty carry, run over all steps at once."""

from typing import Any

from seqjax._internal.validation import check_batch_shape
from seqjax.core.cell import Cell, Params
from seqjax.core.plan import Plan, note
from seqjax.core.taps import tap_output


class Pointwise(Cell):
    """A layer without memory: `apply(params, x)` for any leading axes."""

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> tuple[()]:
        """Nothing is carried."""
        check_batch_shape(self, batch_shape)
        return ()

    def apply(self, params: Params, x: Any) -> Any:
        """y from x."""
        raise TypeError(f"{type(self).__name__} must define apply(params, x)")

    def step(self, params: Params, carry: tuple[()], x: Any) -> tuple[tuple[()], Any]:
        """`apply`."""
        return carry, self.apply(params, x)

    def sequence(self, params: Params, carry: tuple[()], xs: Any, plan: Plan = Plan()) -> tuple[tuple[()], Any]:
        """`apply` to all steps at once."""
        note(f"{self!r}: all steps at once")
        return carry, tap_output(self.apply(params, xs))
