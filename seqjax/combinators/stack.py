"""Cells one after another."""

import keyword
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.validation import check_asked, check_key
from seqjax.core import taps
from seqjax.core.cell import Cell, Params, check_causal, check_cell_type, init, initial_carry
from seqjax.core.plan import Plan
from seqjax.errors import ArgumentError


class Stack(Cell):
    """Cells one after another; made by `stack`. Parameters and carry have a part for each.

    cells: in order.
    names: of the parts; "0", "1", ... where there are none. A named stack has a dict as its carry, another a tuple.
    """

    cells: tuple[Cell, ...]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.cells:
            raise ArgumentError("stack() needs at least one cell, as in stack(LSTM(64), Dense(10))")
        for cell in self.cells:
            check_cell_type("stack", cell)
        if self.names and len(self.names) != len(self.cells):
            raise ArgumentError(f"stack: there are {len(self.cells)} cells, but {len(self.names)} names: {self.names}")
        for name in self.names:
            if not name.isidentifier() or keyword.iskeyword(name) or self.names.count(name) > 1:
                raise ArgumentError(f"stack: {name!r} is no name for a part; it must be a word, and used once")
        for before, cell in zip(self.cells, self.cells[1:]):
            if gives_pair(before):
                raise ArgumentError(f"{before!r} gives a pair, which no later cell of a stack can take")
            if cell.feature_axes == 0:
                raise ArgumentError(f"{cell!r} takes token ids, but stands after {before!r}, which gives vectors")

    def __repr__(self) -> str:
        names = [f"{name}=" for name in self.names] or [""] * len(self.cells)
        return f"stack({', '.join(name + repr(cell) for name, cell in zip(names, self.cells))})"

    @property
    def parts(self) -> dict[str, Cell]:
        """The cells by name, in order."""
        return dict(zip(self.names or map(str, range(len(self.cells))), self.cells))

    @property
    def feature_axes(self) -> Any:
        return self.cells[0].feature_axes

    @property
    def causal(self) -> bool:
        return all(cell.causal for cell in self.cells)

    @property
    def asks(self) -> frozenset[str]:
        return frozenset().union(*(cell.asks for cell in self.cells))

    @property
    def uniform(self) -> bool:
        return all(cell.uniform for cell in self.cells)

    @property
    def narrow(self) -> bool:
        return any(cell.narrow for cell in self.cells)

    @property
    def out_features(self) -> int | None:
        """Those of the last cell, as far as they are known without the input."""
        features = None
        for cell in self.cells:
            known = cell.out_features
            features = cell.size(features) if known is None and features is not None else known
        return features

    def size(self, in_features: int) -> int:
        """Each cell's in turn."""
        for cell in self.cells:
            in_features = cell.size(in_features)
        return in_features

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """A dict with the parameters of each cell, under "0", "1", ... or the names."""
        check_key(self, key)
        params = {}
        for (name, cell), k in zip(self.parts.items(), jax.random.split(key, len(self.cells))):
            params[name] = init(cell, k, in_features, dtype)
            in_features = cell.size(in_features)
        return params

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = (), **asked: Any) -> Any:
        """The carry of each cell; a key is split, and `in_features` are those of each cell's own input."""
        check_asked(self, asked)
        keys: Any = [None] * len(self.cells)
        if asked.get("key") is not None:
            check_key(self, asked["key"])
            keys = jax.random.split(asked["key"], len(self.cells))
        carries = {}
        for (name, cell), key in zip(self.parts.items(), keys):
            carries[name] = initial_carry(cell, params[name], batch_shape, **asked | {"key": key})
            if asked.get("in_features") is not None:
                asked["in_features"] = cell.size(asked["in_features"])
        return self._join(carries)

    def restart(self, params: Params, carry: Any, batch_shape: tuple[int, ...]) -> Any:
        """Each cell's own."""
        carries = self._split(carry)
        return self._join({k: c.restart(params[k], carries[k], batch_shape) for k, c in self.parts.items()})

    def check_input(self, xs: Any, mask: Any, values: bool) -> None:
        """As the first cell."""
        self.cells[0].check_input(xs, mask, values)

    def step(self, params: Params, carry: Any, x: Any) -> tuple[Any, Any]:
        """One step of each in turn."""
        check_causal(self)
        carries = self._split(carry)
        for name, cell in self.parts.items():
            with taps.scope(name):
                carries[name], x = taps.step(cell, params[name], carries[name], x)
        return self._join(carries), x

    def sequence(self, params: Params, carry: Any, xs: Any, plan: Plan = Plan()) -> tuple[Any, Any]:
        """The whole sequence through each in turn, so that each takes its own fastest path."""
        carries = self._split(carry)
        for name, cell in self.parts.items():
            with taps.scope(name):
                carries[name], xs = cell.sequence(params[name], carries[name], xs, plan)
        return self._join(carries), xs

    def _split(self, carry: Any) -> dict[str, Any]:
        return dict(carry) if self.names else dict(zip(self.parts, carry))

    def _join(self, carries: dict[str, Any]) -> Any:
        return carries if self.names else tuple(carries.values())


def stack(*cells: Cell, **named: Cell) -> Stack:
    """Cells one after another: `stack(Embed(256, 64), LSTM(128), Dense(256))` is a language model.

    With names, `stack(embed=Embed(256, 64), rnn=LSTM(128), out=Dense(256))`, parameters, carries and traces are
    found under them, and go on to be when a cell is put in between.

    Raises:
        ArgumentError, ArgumentTypeError: no cell, something that is none, or only some with names.
    """
    if cells and named:
        raise ArgumentError("stack: give names to all cells, or to none")
    return Stack(cells or tuple(named.values()), tuple(named))


def gives_pair(cell: Cell) -> bool:
    """Whether the output is a pair rather than an array."""
    if isinstance(cell, Stack):
        return gives_pair(cell.cells[-1])
    return getattr(cell, "merge", None) == "pair" or (hasattr(cell, "cell") and gives_pair(cell.cell))
