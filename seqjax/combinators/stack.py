"""Cells one after another."""

import keyword

from seqjax._internal.types import Carry, Pair, Params, PyTree
from seqjax._internal.validation import check_causal
from seqjax.combinators.checks import returns_pair
from seqjax.combinators.composite import Composite
from seqjax.core import taps
from seqjax.core.cell import Cell, check_cell_type
from seqjax.core.plan import Plan
from seqjax.errors import ArgumentError


class Stack(Composite):
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
            if returns_pair(before):
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

    def part_inputs(self, in_features: int | None) -> dict[str, int | None]:
        """Of each cell what the one before it gives."""
        inputs = {}
        for name, cell in self.parts.items():
            inputs[name] = in_features
            in_features = None if in_features is None else cell.size(in_features)
        return inputs

    def split_carry(self, carry: Carry) -> dict[str, Carry]:
        return dict(carry) if self.names else dict(zip(self.parts, carry))

    def join_carries(self, carries: dict[str, Carry]) -> Carry:
        return carries if self.names else tuple(carries.values())

    @property
    def causal(self) -> bool:
        return all(cell.causal for cell in self.cells)

    @property
    def out_features(self) -> int | None:
        """Those of the last cell, as far as they are known without the input."""
        features = None
        for cell in self.cells:
            known = cell.out_features
            features = cell.size(features) if known is None and features is not None else known
        return features

    def size(self, in_features: int) -> int:
        for cell in self.cells:
            in_features = cell.size(in_features)
        return in_features

    def step(self, params: Params, carry: Carry, x: PyTree) -> Pair:
        """One step of each in turn."""
        check_causal(self)
        carries = self.split_carry(carry)
        for name, cell in self.parts.items():
            with taps.scope(name):
                carries[name], x = taps.tap_step(cell, params[name], carries[name], x)
        return self.join_carries(carries), x

    def sequence(self, params: Params, carry: Carry, xs: PyTree, plan: Plan = Plan()) -> Pair:
        """The whole sequence through each in turn, so that each takes its own fastest path."""
        carries = self.split_carry(carry)
        for name, cell in self.parts.items():
            with taps.scope(name):
                carries[name], xs = cell.sequence(params[name], carries[name], xs, plan)
        return self.join_carries(carries), xs


def stack(*cells: Cell, **named: Cell) -> Stack:
    """Cells one after another: `stack(Embed(256, 64), LSTM(128), Dense(256))` is a language model.

    With names, `stack(embed=Embed(256, 64), rnn=LSTM(128), out=Dense(256))`, parameters, carries and traces are
    found under them, and go on to be when a cell is put in between.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> model = sj.stack(embed=sj.Embed(10, 4), rnn=sj.LSTM(8), out=sj.Dense(10))
        >>> params = model.init(jax.random.key(0), 0)
        >>> {name: list(part) for name, part in params.items()}
        {'embed': ['table'], 'rnn': ['project', 'mix'], 'out': ['kernel', 'bias']}
        >>> carry, logits = sj.scan(model, params, jnp.array([[1, 2, 3]]))
        >>> logits.shape, carry["rnn"].h.shape
        ((1, 3, 10), (1, 8))

    Raises:
        ArgumentError, ArgumentTypeError: no cell, something that is none, or only some with names.
    """
    if cells and named:
        raise ArgumentError("stack: give names to all cells, or to none")
    return Stack(cells or tuple(named.values()), tuple(named))
