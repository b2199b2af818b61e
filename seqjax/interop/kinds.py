"""The kinds of modules of which `as_cell` makes cells, and how each gives the parts of a cell.

A module without variables but parameters treats each vector alone (`PointwiseKind`). One that keeps caches or draws
from a key of its own carries those, one set for each example (`StatefulKind`). A cell of Flax's `RNN` carries its own
carry (`RNNKind`). Modules that obey the protocol of `seqjax.nn` are in `seqjax.interop.protocol`.
"""

import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen, nnx

from seqjax._internal.trees import cast_floats, cast_like, is_inexact, out_dtype, select
from seqjax._internal.types import Carry, Key, Pair, Params, PyTree, Shape
from seqjax.core.engines import run_cell
from seqjax.core.explanation import add_line
from seqjax.core.plan import Plan
from seqjax.core.taps import tap_output
from seqjax.interop.alone import check_alone
from seqjax.interop.drawn import Path, add_drawn, find_drawn, take_drawn
from seqjax.interop.modules import NONE, Functions, Variables


def feature_axes_of(module: Any) -> int:
    """How many axes of an input are features: as the module says, 0 for an embedding of token ids, else 1."""
    found = getattr(module, "feature_axes", None)  # the norms of Flax mean something else by it
    return found if found in (0, 1) else 0 if isinstance(module, (nnx.Embed, linen.Embed)) else 1


def vocabulary_of(module: Any) -> int | None:
    """The number of token ids that a module knows, where it tells."""
    found = getattr(module, "vocabulary", getattr(module, "num_embeddings", None))
    return found if isinstance(found, int) else None


class Kind:
    """A module as the parts of a cell; `causal`, `asks` and so on are those of the cell."""

    causal = True
    uniform = False
    asks: frozenset[str] = frozenset()
    out_features: int | None = None

    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self.feature_axes = feature_axes_of(functions.module)
        self.vocabulary: int | None = vocabulary_of(functions.module)

    def init(self, key: Key[jax.Array, ""]) -> Params:
        """The parameters, in the dtypes that the module gives them."""
        return self.functions.init(key)[0]

    def check(self, in_features: int) -> None:
        """Refuse a module that takes the input, but is none of this kind."""

    def begin(self, params: Params, batch_shape: Shape, **given: PyTree) -> Carry:
        """The initial carry."""
        return ()

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        """The carry after a reset."""
        return self.begin(params, batch_shape)

    def limits(self, carry: Carry | None) -> Iterator[tuple[int, Any]]:
        """Capacity and count of each cache that can overflow."""
        return iter(())

    def step(self, params: Params, carry: Carry, x: jax.Array) -> Pair:
        """One step."""
        raise TypeError(f"{type(self).__name__} must define step(params, carry, x)")

    def sequence(self, cell: Any, params: Params, carry: Carry, xs: jax.Array, plan: Plan) -> Pair:
        """All steps: the fold, unless there is something better."""
        return run_cell(cell, params, carry, xs, plan)


def as_output(params: Params, x: jax.Array, y: PyTree) -> PyTree:
    """y in the dtype that outputs of a cell have."""
    dtype = out_dtype(params, x)
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if is_inexact(leaf) else leaf, y)


class PointwiseKind(Kind):
    """y = module(x)."""

    uniform = True

    def check(self, in_features: int) -> None:
        """Refuse a module in which one vector acts on what comes out for another.

        Raises:
            ArgumentError: so it does.
        """
        like = jax.eval_shape(self.init, jax.random.key(0))
        call = lambda params, x: self.functions.call(params, NONE, x)[1]
        check_alone(call, like, in_features if self.feature_axes else None)

    def step(self, params: Params, carry: Carry, x: jax.Array) -> Pair:
        return carry, as_output(params, x, self.functions.call(params, NONE, x)[1])

    def sequence(self, cell: Any, params: Params, carry: Carry, xs: jax.Array, plan: Plan) -> Pair:
        """All at once."""
        add_line(f"{cell!r}: all steps at once")
        return carry, tap_output(self.step(params, carry, xs)[1])


class RNNKind(Kind):
    """A cell of Flax's `RNN`: `initialize_carry` and `carry, y = module(carry, x)`."""

    def __init__(self, functions: Functions, initial: Callable[[Params, Shape], Carry], uniform: bool) -> None:
        super().__init__(functions)
        self._initial, self.uniform = initial, uniform

    def begin(self, params: Params, batch_shape: Shape, **given: PyTree) -> Carry:
        return _widen(params, self._initial(params, batch_shape))

    def step(self, params: Params, carry: Carry, x: jax.Array) -> Pair:
        after, y = self.functions.call(params, NONE, carry, x)[1]
        return cast_like(after, carry), as_output(params, x, y)


class ModuleCarry(NamedTuple):
    """What a module keeps for each example: `state`, which its calls write, and `random`, keys and their counts."""

    state: dict[str, Any]
    random: dict[str, Any]


class StatefulKind(Kind):
    """A module with caches, or keys to draw from: called on one step of one example, `[1, D]`, with its own set."""

    def __init__(self, functions: Functions, draws: bool) -> None:
        super().__init__(functions)
        self._draws = draws
        self.asks = frozenset({"key"} if draws else ())

    def init(self, key: Key[jax.Array, ""]) -> Params:
        """The parameters, and what the module draws besides."""
        params, variables = self.functions.init(key)
        return add_drawn(params, variables.state, self._drawn)

    @functools.cached_property
    def _drawn(self) -> list[Path]:
        return find_drawn(lambda key: self.functions.init(key)[1].state)

    def begin(self, params: Params, batch_shape: Shape, *, key: PyTree = None, **given: PyTree) -> ModuleCarry:
        _, variables = self.functions.init(jax.random.key(0))
        state = take_drawn(variables.state, params, self._drawn)
        state = jax.tree.map(partial(_repeat, batch_shape), _widen(params, state))
        if not self._draws:
            return ModuleCarry(state, {})
        leaves, tree = jax.tree.flatten(variables.random)
        own = [_keys(key, i, batch_shape) if _is_key(a) else _repeat(batch_shape, a) for i, a in enumerate(leaves)]
        return ModuleCarry(state, jax.tree.unflatten(tree, own))

    def restart(self, params: Params, carry: ModuleCarry, batch_shape: Shape) -> ModuleCarry:
        """State begins anew; random numbers go on."""
        if not self._draws:
            return self.begin(params, batch_shape)
        return carry._replace(state=self.begin(params, batch_shape, key=jax.random.key(0)).state)

    def step(self, params: Params, carry: ModuleCarry, x: jax.Array) -> Pair:
        run = partial(self._one, params)
        for _ in range(x.ndim - self.feature_axes):
            run = jax.vmap(run)
        after, y = run(carry, x)
        return cast_like(after, carry), as_output(params, x, y)

    def limits(self, carry: ModuleCarry | None) -> Iterator[tuple[int, Any]]:
        """Those of attention modules of Flax."""
        if carry is None:
            return iter([(capacity, 0) for capacity in self._capacities])
        return iter(_caches(carry.state))

    @functools.cached_property
    def _capacities(self) -> list[int]:
        """Of the caches before the first step."""
        state = jax.eval_shape(self.functions.init, jax.random.key(0))[1].state
        return [capacity for capacity, _ in _caches(state)]

    def _one(self, params: Params, carry: ModuleCarry, x: jax.Array) -> Pair:
        # Caches are written with what parameters and input give: a narrower one is seen in their dtype.
        state = cast_floats(carry.state, out_dtype(params, x))
        after, y = self.functions.call(params, Variables(state, carry.random), x[None])
        spoilt = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan) if is_inexact(leaf) else leaf, y)
        for capacity, count in _caches(carry.state):  # Flax would write over its last token, and say nothing
            y = select(count < capacity, y, spoilt)
        return ModuleCarry(*after), y[0]


def _caches(state: dict[str, Any]) -> list[tuple[int, Any]]:
    is_cache = lambda node: isinstance(node, dict) and {"cached_key", "cache_index"} <= node.keys()
    nodes = jax.tree.leaves(state, is_leaf=is_cache)
    return [(node["cached_key"].shape[-3], node["cache_index"]) for node in nodes if is_cache(node)]


def _widen(params: Params, carry: Carry) -> Carry:
    """A carry in float32 or wider, and as wide as the parameters."""
    dtype = jnp.promote_types(out_dtype(params, ()), jnp.float32)
    return jax.tree.map(lambda a: a.astype(jnp.promote_types(a.dtype, dtype)) if is_inexact(a) else a, carry)


def _is_key(leaf: jax.Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _keys(key: Key[jax.Array, ""], number: int, batch_shape: Shape) -> jax.Array:
    """A key for each example, of the stream `number`."""
    return jax.random.split(jax.random.fold_in(key, number), batch_shape)


def _repeat(batch_shape: Shape, leaf: jax.Array) -> jax.Array:
    return jnp.broadcast_to(leaf, (*batch_shape, *leaf.shape))
