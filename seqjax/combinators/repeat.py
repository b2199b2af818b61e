"""The same cell many times over, compiled once."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from seqjax._internal.trees import out_dtype
from seqjax._internal.types import Array, Carry, DTypeLike, Float, Key, Pair, Params, PyTree, Shape
from seqjax._internal.validation import check_counts, check_given, check_key
from seqjax.combinators.checks import check_same_width, check_vectors
from seqjax.core import taps
from seqjax.core.cell import Cell
from seqjax.core.layered import move_axis, scan_layers
from seqjax.core.plan import Plan
from seqjax.core.start import init_params, start_carry
from seqjax.core.wrapper import Wrapper


class Repeat(Wrapper):
    """`layers` copies of a cell one after another, each with parameters of its own; made by `repeat`.

    Parameters have an axis for the layers first, `[L, ...]`; carries have it after the batch axes, `[B, L, ...]`.
    """

    layers: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, layers=1)
        check_vectors("repeat", self.cell, "does not take the vectors that it gives")

    def __repr__(self) -> str:
        return f"repeat({self.cell!r}, {self.layers})"

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """The parameters of all layers, `[L, ...]`.

        Raises:
            ArgumentError: the cell changes the number of features.
        """
        check_same_width(self, self.cell, in_features)
        check_key(self, key)
        keys = jax.random.split(key, self.layers)
        return jax.vmap(lambda k: init_params(self.cell, k, in_features, dtype))(keys)

    def initial_carry(self, params: Params, batch_shape: Shape = (), **given: PyTree) -> Carry:
        """The carries of all layers, `[B, L, ...]`; a key is split."""
        check_given(self, given)
        key = given.pop("key", None)
        keys = None if key is None else jax.random.split(key, self.layers)

        def one(params: Params, key: Key[jax.Array, ""] | None) -> Carry:
            return start_carry(self.cell, params, batch_shape, key=key, **given)

        return jax.vmap(one, out_axes=len(batch_shape), axis_size=self.layers)(params, keys)

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        """Each layer's own."""
        axis = len(batch_shape)
        one = lambda p, c: self.cell.restart(p, c, batch_shape)
        return jax.vmap(one, in_axes=(0, axis), out_axes=axis, axis_size=self.layers)(params, carry)

    def step(self, params: Params, carry: Carry, x: Float[Array, "*B D"]) -> Pair:
        """One step through all layers."""
        run = lambda params, carry, x: taps.tap_step(self.cell, params, carry, x)
        return self._run_layers(run, params, carry, x, x.ndim - 1)

    def sequence(self, params: Params, carry: Carry, xs: Float[Array, "T *B D"], plan: Plan = Plan()) -> Pair:
        """The whole sequence through each layer in turn."""
        run = lambda params, carry, xs: self.cell.sequence(params, carry, xs, plan)
        return self._run_layers(run, params, carry, xs, xs.ndim - 2)

    def _run_layers(
        self,
        run: Callable[[Params, Carry, jax.Array], Pair],
        params: Params,
        carry: Carry,
        x: Float[Array, "..."],
        batch_axes: int,
    ) -> Pair:
        """Scan over the layers; what is tapped in them has their axis after those of time and batch."""

        def layer(x: jax.Array, inputs: PyTree) -> Pair:
            params, carry = inputs
            carry, y = run(params, carry, x)
            return y, carry

        # All layers must give and take one dtype, as x is carried from each to the next.
        x = x.astype(out_dtype(params, x))
        inputs = params, move_axis(carry, batch_axes, 0)
        y, carry = scan_layers(layer, x, inputs, self.layers, x.ndim - 1)
        return move_axis(carry, 0, batch_axes), y


def repeat(cell: Cell, layers: int) -> Repeat:
    """`layers` copies of a cell one after another, for a cell that gives as many features as it gets.

    It computes what `stack` of as many cells does, but compiles one layer instead of all: for deep networks.
    Values in a trace are `[B, T, L, ...]`, under the path "layer/".

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> deep = sj.repeat(sj.residual(sj.GRU(4)), 12)
        >>> params = deep.init(jax.random.key(0), 4)
        >>> params["mix"]["kernel"].shape
        (12, 4, 12)
        >>> carry, ys, seen = sj.trace(deep, params, jnp.ones((2, 5, 4)))
        >>> ys.shape, carry.shape, seen["layer/u"].shape
        ((2, 5, 4), (2, 12, 4), (2, 5, 12, 4))

    Raises:
        ArgumentError, ArgumentTypeError: not a cell, or not a whole number of layers above 0.
    """
    return Repeat(cell, layers)
