"""A layer without memory: a cell with an empty carry, run over all steps at once."""

from seqjax._internal.types import Pair, Params, PyTree, Shape
from seqjax._internal.validation import check_batch_shape
from seqjax.core.cell import Cell
from seqjax.core.explanation import add_line
from seqjax.core.plan import Plan
from seqjax.core.taps import tap_output


class Pointwise(Cell):
    """A layer without memory: `apply(params, x)` for any leading axes.

    >>> import jax.numpy as jnp
    >>> import seqjax as sj
    >>> class Square(sj.Pointwise):
    ...     out_features = None  # as many as come in
    ...     def init(self, key, in_features, dtype=jnp.float32):
    ...         return {}
    ...     def apply(self, params, x):
    ...         return x * x
    >>> sj.scan(Square(), {}, jnp.array([[1.0], [2.0], [3.0]]))[1].ravel().tolist()
    [1.0, 4.0, 9.0]
    """

    def initial_carry(self, params: Params, batch_shape: Shape = ()) -> tuple[()]:
        check_batch_shape(self, batch_shape)
        return ()

    def apply(self, params: Params, x: PyTree) -> PyTree:
        """y from x, for any leading axes."""
        raise TypeError(f"{type(self).__name__} must define apply(params, x)")

    def step(self, params: Params, carry: tuple[()], x: PyTree) -> Pair:
        return carry, self.apply(params, x)

    def sequence(self, params: Params, carry: tuple[()], xs: PyTree, plan: Plan = Plan()) -> Pair:
        """`apply` to all steps at once."""
        add_line(f"{self!r}: all steps at once")
        return carry, tap_output(self.apply(params, xs))
