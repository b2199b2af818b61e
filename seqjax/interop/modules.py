"""A module of NNX as pure functions of its variables, `(params, variables, *args) -> (variables, output)`.

It is taken apart into what is learned (`params`), what calls write (`state`: caches, counters) and what dropout draws
from (`random`: keys and counts). All three are nested dicts with string keys.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx

from seqjax._internal.types import Key, Pair, Params, PyTree
from seqjax.errors import ArgumentError


class Variables(NamedTuple):
    """What a module keeps besides its parameters: `state` that calls write, and `random`, keys and their counts."""

    state: dict[str, Any]
    random: dict[str, Any]


NONE = Variables({}, {})


@runtime_checkable
class Functions(Protocol):
    """A module of Flax as functions; of NNX here, of Linen in `seqjax.interop.linen`."""

    module: Any
    """The module with nothing in its variables, for its static attributes."""

    def init(self, key: Key[jax.Array, ""]) -> tuple[Params, Variables]:
        """Parameters and the variables before the first call."""

    def call(self, params: Params, variables: Variables, *args: Any, method: str = "__call__", **options: Any) -> Pair:
        """The variables after a call, and what it returns."""


Places = list[tuple[tuple, Any]]
"""Variables without values by their paths."""


class NNXFunctions:
    """A module of NNX; its graph definition is found once, with no array made."""

    def __init__(self, build: Callable[[nnx.Rngs], nnx.Module]) -> None:
        self._build = build
        self._graph: nnx.GraphDef | None = None
        self._places: list[Places] = []
        jax.eval_shape(self._take_apart, jax.random.key(0))
        self.module = self._merge(map(nnx.from_flat_state, self._places))

    def init(self, key: Key[jax.Array, ""]) -> tuple[Params, Variables]:
        params, random, state = map(_to_dict, _split(self._build(nnx.Rngs(key)))[1:])
        return params, Variables(state, random)

    def call(self, params: Params, variables: Variables, *args: Any, method: str = "__call__", **options: Any) -> Pair:
        filled = params, variables.random or self._unused(), variables.state
        module = self._merge(map(_fill, self._places, filled))
        output = getattr(module, method)(*args, **options)
        _, random, state = map(_to_dict, _split(module)[1:])
        return Variables(only(state, variables.state), only(random, variables.random)), output

    @property
    def has_state(self) -> bool:
        """Whether there are variables that are neither parameters nor keys."""
        return bool(self._places[2])

    def _take_apart(self, key: Key[jax.Array, ""]) -> PyTree:
        self._graph, *parts = _split(self._build(nnx.Rngs(key)))
        self._places = [[(path, _with(v, None)) for path, v in nnx.to_flat_state(part)] for part in parts]
        if any(isinstance(v, nnx.BatchStat) for _, v in self._places[2]):
            refuse_statistics()
        return [_to_dict(part) for part in parts]

    def _merge(self, states: Iterable[Any]) -> Any:
        return nnx.merge(self._graph, *states)  # type: ignore[arg-type]

    def _unused(self) -> dict[str, Any]:
        """Keys and counts for a module that draws nothing from those that it has."""
        zero = lambda v: jax.random.key(0) if isinstance(v, nnx.RngKey) else jnp.zeros((), "uint32")
        return _to_dict(nnx.from_flat_state([(path, v.replace(zero(v))) for path, v in self._places[1]]))


def _split(module: nnx.Module) -> Any:
    for _, part in nnx.iter_modules(module):
        for name, value in tuple(vars(part).items()):
            if isinstance(value, jax.Array):  # which Flax takes for static within jit
                setattr(part, name, nnx.data(value))
    return nnx.split(module, nnx.Param, nnx.RngState, ..., graph=True)


def _fill(places: Places, values: dict[str, Any]) -> nnx.State:
    filled = []
    for path, variable in places:
        value: Any = values
        for name in path:
            value = value[str(name)]
        filled.append((path, _with(variable, value)))
    return nnx.from_flat_state(filled)


def _with(variable: Any, value: Any) -> Any:
    """The variable with this value; an attribute that is an array without one is the value itself."""
    return variable.replace(value) if isinstance(variable, nnx.Variable) else value


def _to_dict(state: nnx.State) -> dict[str, Any]:
    """Nested dicts of arrays; the numbers of a list become strings."""
    nested: dict[str, Any] = {}
    for path, variable in nnx.to_flat_state(state):
        at = nested
        for name in path[:-1]:
            at = at.setdefault(str(name), {})
        at[str(path[-1])] = variable.get_value() if isinstance(variable, nnx.Variable) else jnp.asarray(variable)
    return nested


def only(found: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """`found` without what a call has added, as `sow` does."""
    return {k: only(found[k], v) if isinstance(v, dict) else found[k] for k, v in like.items()}


def refuse_statistics() -> None:
    """Refuse BatchNorm.

    Raises:
        ArgumentError: always.
    """
    raise ArgumentError(
        "as_cell: the module keeps statistics over a batch (BatchNorm), through which one sequence would act on "
        "another. Use LayerNorm or RMSNorm"
    )
