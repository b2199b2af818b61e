"""The same cell many times over, compiled once."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import out_dtype
from seqjax._internal.validation import check_asked, check_key, check_positive
from seqjax.core import taps
from seqjax.core.cell import Cell, Params, init, initial_carry
from seqjax.core.plan import Plan
from seqjax.core.wrapper import Wrapper, check_same_width
from seqjax.errors import ArgumentError


class Repeat(Wrapper):
    """`layers` copies of a cell one after another, each with parameters of its own; made by `repeat`.

    Parameters have an axis for the layers first, `[L, ...]`; carries have it after the batch axes, `[B, L, ...]`.
    """

    layers: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "layers")
        if self.cell.feature_axes != 1:
            raise ArgumentError(f"repeat: {self.cell!r} does not take the vectors that it gives")

    def __repr__(self) -> str:
        return f"repeat({self.cell!r}, {self.layers})"

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """The parameters of all layers, `[L, ...]`.

        Raises:
            ArgumentError: the cell changes the number of features.
        """
        check_same_width(self, self.cell, in_features)
        check_key(self, key)
        keys = jax.random.split(key, self.layers)
        return jax.vmap(lambda k: init(self.cell, k, in_features, dtype))(keys)

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = (), **asked: Any) -> Any:
        """The carries of all layers, `[B, L, ...]`; a key is split."""
        check_asked(self, asked)
        key = asked.pop("key", None)
        keys = None if key is None else jax.random.split(key, self.layers)

        def one(params: Params, key: Any) -> Any:
            return initial_carry(self.cell, params, batch_shape, key=key, **asked)

        return jax.vmap(one, out_axes=len(batch_shape), axis_size=self.layers)(params, keys)

    def restart(self, params: Params, carry: Any, batch_shape: tuple[int, ...]) -> Any:
        """Each layer's own."""
        axis = len(batch_shape)
        one = lambda p, c: self.cell.restart(p, c, batch_shape)
        return jax.vmap(one, in_axes=(0, axis), out_axes=axis, axis_size=self.layers)(params, carry)

    def step(self, params: Params, carry: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        """One step through all layers."""
        run = lambda params, carry, x: taps.step(self.cell, params, carry, x)
        return self._through(run, params, carry, x, x.ndim - 1)

    def sequence(self, params: Params, carry: Any, xs: jax.Array, plan: Plan = Plan()) -> tuple[Any, jax.Array]:
        """The whole sequence through each layer in turn."""
        run = lambda params, carry, xs: self.cell.sequence(params, carry, xs, plan)
        return self._through(run, params, carry, xs, xs.ndim - 2)

    def _through(self, run: Any, params: Params, carry: Any, x: jax.Array, batch_axes: int) -> tuple[Any, jax.Array]:
        """Scan over the layers; what is tapped in them has their axis after those of time and batch."""
        leading = x.ndim - 1

        def layer(x: jax.Array, inputs: Any) -> tuple[jax.Array, Any]:
            params, carry, probes = inputs
            (carry, y), values = taps.watch(run, probes, params, carry, x)
            return y, (carry, values)

        x = x.astype(out_dtype(params, x))
        with taps.scope("layer"):
            probes = _axis(taps.probes(), leading, 0)
            y, (carry, values) = lax.scan(layer, x, (params, _axis(carry, batch_axes, 0), probes), self.layers)
            taps.put(_axis(values, 0, leading))
        return _axis(carry, 0, batch_axes), y


def _axis(tree: Any, source: int, destination: int) -> Any:
    return jax.tree.map(lambda a: jnp.moveaxis(a, source, destination), tree)


def repeat(cell: Cell, layers: int) -> Repeat:
    """`layers` copies of a cell one after another, for a cell that gives as many features as it gets.

    It computes what `stack` of as many cells does, but compiles one layer instead of all: for deep networks.
    Values in a trace are `[B, T, L, ...]`, under the path "layer/".

    Raises:
        ArgumentError, ArgumentTypeError: not a cell, or not a whole number of layers above 0.
    """
    return Repeat(cell, layers)
