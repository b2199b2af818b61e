"""Modules that obey the protocol of `seqjax.nn`, as parts of a cell.

causal, out_features                                  attributes; `as_cell` knows the protocol by them
feature_axes                                          0 for token ids, else 1, as it is without it
asks                                                  what `initial_carry` must be given by name; without it nothing
random                                                whether `key` is needed; without it no
module(x, mask=, resets=, key=) -> y                  a whole sequence, x `[*B, T, D]`; of modules that are not causal
module.sequence(x, mask=, resets=, key=) -> y         in its place, where the call itself has other arguments
module.initial_carry(batch_shape, **asked) -> carry   batch axes first in every leaf; of causal modules, like
module.extend(carry, x, mask=, resets=, fresh=, key=) -> carry, y     more steps
module.restart(carry, batch_shape) -> carry           of modules that ask for something
module.encode(x, mask, key=) -> memory                of decoders that read a source themselves

mask and resets are bool `[*B, T]`, or None: all tokens are real, none begins a sequence. `key` is given where `random`
is true, and is then a key for each token, `[*B, T]`.

Where a carry has caches, `seqjax.attention.Cache`, and no part of the module has a `window` (which makes them rings),
their sizes are `limits`: more tokens than they have room for are an error. What another cache holds is not known;
`extend` must then refuse too many tokens itself, or make their outputs NaN.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from seqjax._internal.types import Array, Bool, Carry, Int, Key, Pair, Params, PyTree, Shape
from seqjax.attention.cache import Cache
from seqjax.attention.memory import Memory
from seqjax.core import taps
from seqjax.core.explanation import add_line
from seqjax.core.loop import parallel
from seqjax.core.plan import Plan
from seqjax.interop.kinds import Kind, as_output
from seqjax.interop.modules import NONE, Functions
from seqjax.layers.dropout import DropoutCarry


class ProtocolCarry(NamedTuple):
    """The carry of a module, and the keys that its dropout draws from: `()` without dropout."""

    module: Carry
    dropout: Any


class ProtocolKind(Kind):
    """A module that computes all steps at once; one that is causal goes on from a carry, too.

    The n-th real step of an example draws from `fold_in(key of the example, n)`; a reset goes on counting.
    """

    def __init__(self, functions: Functions) -> None:
        super().__init__(functions)
        module = functions.module
        self.causal, self.out_features = bool(module.causal), int(module.out_features)
        self._whole = "sequence" if hasattr(module, "sequence") else "__call__"
        self._windowed = any(getattr(part, "window", None) for _, part in nnx.iter_modules(module))
        self.random = bool(getattr(module, "random", False))
        self.asks = frozenset(getattr(module, "asks", ())) | frozenset({"key"} if self.random else ())

    def begin(self, params: Params, batch_shape: Shape, *, key: PyTree = None, **given: PyTree) -> Carry:
        carry = ()
        if self.causal:
            asked = {name: given[name] for name in self.asks - {"key"}}
            carry = self.functions.call(params, NONE, batch_shape, method="initial_carry", **asked)[1]
        if not self.random:
            return carry
        keys = jax.random.split(key, batch_shape)
        return ProtocolCarry(carry, DropoutCarry(keys, jnp.zeros(batch_shape, jnp.int32)))

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        state, dropout = carry if self.random else (carry, ())
        if self.asks - {"key"}:
            state = self.functions.call(params, NONE, state, batch_shape, method="restart")[1]
        elif self.causal:
            state = self.functions.call(params, NONE, batch_shape, method="initial_carry")[1]
        return ProtocolCarry(state, dropout) if self.random else state

    def encode(self, params: Params, xs: jax.Array, mask: Array | None, key: Key[jax.Array, ""] | None) -> Memory:
        """What the module makes of a source, for its own decoder."""
        return self.functions.call(params, NONE, xs, mask, method="encode", key=key)[1]

    def limits(self, carry: Carry | None) -> Iterator[tuple[int, Any]]:
        """Those of the caches in the carry, unless a window makes them rings."""
        if self._windowed or not self.causal:
            return iter(())
        return iter([(c, 0) for c in self._capacities] if carry is None else _limits(carry))

    @functools.cached_property
    def _capacities(self) -> list[int]:
        """Of the caches in a fresh carry; unknown for one that asks for something."""
        if self.asks:
            return []
        start = lambda: self.begin(self.functions.init(jax.random.key(0))[0], ())
        return [capacity for capacity, _ in _limits(jax.eval_shape(start))]

    def step(self, params: Params, carry: Carry, x: jax.Array) -> Pair:
        """`extend` with one step."""
        axis = x.ndim - self.feature_axes
        with taps.batch_major(axis, step=True):
            carry, y = self._extend(params, False, carry, jnp.expand_dims(x, axis), None, None)
        return carry, jnp.squeeze(y, axis)

    def sequence(self, cell: Any, params: Params, carry: Carry, xs: jax.Array, plan: Plan) -> Pair:
        """`extend` with all steps, or the module itself where it is not causal."""
        add_line(f"{cell!r}: all steps at once")
        axis = xs.ndim - 1 - self.feature_axes

        def run(
            carry: Carry, xs: jax.Array, mask: Bool[Array, " T *B"] | None, starts: Bool[Array, " T *B"] | None
        ) -> Pair:
            flags = [None if a is None else jnp.moveaxis(a, 0, axis) for a in (mask, starts)]
            with taps.batch_major(axis):
                carry, ys = self._extend(params, plan.fresh, carry, jnp.moveaxis(xs, 0, axis), *flags)
            return carry, jnp.moveaxis(ys, axis, 0)

        return parallel(run, carry, xs, plan, causal=self.causal)

    def _extend(
        self,
        params: Params,
        fresh: bool,
        carry: Carry,
        x: jax.Array,
        mask: Bool[Array, "*B T"] | None,
        resets: Bool[Array, "*B T"] | None,
    ) -> Pair:
        """More steps, x `[B, T, D]`."""
        state, dropout = carry if self.random else (carry, None)
        options: dict[str, Any] = {"mask": mask, "resets": resets}
        if dropout is not None:
            options["key"], draws = draw_keys(dropout, x.shape[: x.ndim - self.feature_axes], mask)
            dropout = dropout._replace(draws=draws)
        if self.causal:
            options["fresh"] = fresh
            state, y = self.functions.call(params, NONE, state, x, method="extend", **options)[1]
        else:
            y = self.functions.call(params, NONE, x, method=self._whole, **options)[1]
        return (ProtocolCarry(state, dropout) if self.random else state), as_output(params, x, y)


def _limits(carry: Carry) -> list[tuple[int, Any]]:
    nodes = jax.tree.leaves(carry, is_leaf=lambda node: isinstance(node, Cache))
    return [(node.at.shape[-1], node.count) for node in nodes if isinstance(node, Cache)]


def draw_keys(
    carry: DropoutCarry, shape: Shape, mask: Bool[Array, "*B T"] | None
) -> tuple[Key[jax.Array, "*B T"], Int[jax.Array, "*B"]]:
    """A key for each of the steps, shape `[B, T]`, and how many have been drawn after them."""
    steps = jnp.ones(shape, jnp.int32) if mask is None else jnp.asarray(mask).astype(jnp.int32)
    before = carry.draws[..., None] + lax.cumsum(steps, axis=len(shape) - 1) - steps
    draw = jax.random.fold_in
    for _ in shape:
        draw = jax.vmap(draw)
    keys = jnp.broadcast_to(carry.key[..., None], before.shape)
    return draw(keys, before), carry.draws + jnp.sum(steps, axis=-1, dtype=jnp.int32)
