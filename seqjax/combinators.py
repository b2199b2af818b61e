"""Cells made of cells: one after another, in both directions, with a path around."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seqjax.cell import Cell, Params, check_causal, check_cell_type, init, initial_carry
from seqjax.errors import ArgumentError
from seqjax.plan import Plan

MERGES = {
    "concat": lambda f, b: jnp.concatenate([f, b], axis=-1),
    "sum": lambda f, b: f + b,
    "mean": lambda f, b: (f + b) / 2,
    "product": lambda f, b: f * b,
    "pair": lambda f, b: (f, b),
}


class Stack(Cell):
    """Cells one after another; made by `stack`. Parameters and carry have a part for each, in order."""

    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        if not self.cells:
            raise ArgumentError("stack() needs at least one cell, as in stack(LSTM(64), Dense(10))")
        for cell in self.cells:
            check_cell_type("stack", cell)
        for cell in self.cells[:-1]:
            if getattr(cell, "merge", None) == "pair":
                raise ArgumentError(f"{cell!r} gives a pair, which no later cell of a stack can take")

    def __repr__(self) -> str:
        return f"stack({', '.join(map(repr, self.cells))})"

    @property
    def feature_axes(self) -> Any:
        """Those of the first cell."""
        return self.cells[0].feature_axes

    def check_input(self, xs: Any, mask: Any, values: bool) -> None:
        """As the first cell."""
        self.cells[0].check_input(xs, mask, values)

    @property
    def causal(self) -> bool:
        """Whether all of them are."""
        return all(cell.causal for cell in self.cells)

    @property
    def random(self) -> bool:
        """Whether any of them is."""
        return any(cell.random for cell in self.cells)

    @property
    def out_features(self) -> int | None:
        """Those of the last cell that says."""
        sizes = [cell.out_features for cell in self.cells if cell.out_features is not None]
        return sizes[-1] if sizes else None

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """A dict with the parameters of each cell under "0", "1", ..."""
        params = {}
        for i, (cell, k) in enumerate(zip(self.cells, jax.random.split(key, len(self.cells)))):
            params[str(i)] = init(cell, k, in_features, dtype)
            in_features = cell.out_features or in_features
        return params

    def initial_carry(
        self, params: Params, batch_shape: tuple[int, ...] = (), *, key: jax.Array | None = None
    ) -> tuple[Any, ...]:
        """A tuple with the carry of each cell."""
        keys = [None] * len(self.cells) if key is None else jax.random.split(key, len(self.cells))
        return tuple(initial_carry(cell, params[str(i)], batch_shape, keys[i]) for i, cell in enumerate(self.cells))

    def restart(self, params: Params, carry: Any, batch_shape: tuple[int, ...]) -> tuple[Any, ...]:
        """Each cell's own."""
        return tuple(cell.restart(params[str(i)], carry[i], batch_shape) for i, cell in enumerate(self.cells))

    def step(self, params: Params, carry: Any, x: Any) -> tuple[tuple[Any, ...], Any]:
        """One step of each in turn."""
        check_causal(self)
        after = []
        for i, cell in enumerate(self.cells):
            part, x = cell.step(params[str(i)], carry[i], x)
            after.append(part)
        return tuple(after), x

    def sequence(self, params: Params, carry: Any, xs: Any, plan: Plan = Plan()) -> tuple[tuple[Any, ...], Any]:
        """The whole sequence through each in turn, so that each takes its own fastest path."""
        after = []
        for i, cell in enumerate(self.cells):
            part, xs = cell.sequence(params[str(i)], carry[i], xs, plan)
            after.append(part)
        return tuple(after), xs


class BidirectionalCarry(NamedTuple):
    """The carries of the two directions."""

    forward: Any
    backward: Any


class Bidirectional(Cell):
    """A cell read in both directions (Schuster and Paliwal 1997); made by `bidirectional`."""

    cell: Cell
    _: dataclasses.KW_ONLY
    merge: str = "concat"

    causal = False

    def __post_init__(self) -> None:
        check_cell_type("bidirectional", self.cell)
        if self.merge not in MERGES:
            raise ArgumentError(f"bidirectional: merge must be one of {', '.join(MERGES)}, found {self.merge!r}")

    def __repr__(self) -> str:
        merge = "" if self.merge == "concat" else f", merge={self.merge!r}"
        return f"bidirectional({self.cell!r}{merge})"

    @property
    def feature_axes(self) -> Any:
        """Those of the cell."""
        return self.cell.feature_axes

    @property
    def random(self) -> bool:
        """As the cell."""
        return bool(self.cell.random)

    @property
    def out_features(self) -> int | None:
        """Twice the cell's when concatenated, else the cell's (of each of a pair)."""
        size = self.cell.out_features
        return 2 * size if size is not None and self.merge == "concat" else size

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """{"forward": ..., "backward": ...}, drawn apart."""
        if self.merge == "concat" and self.cell.out_features is None:
            raise ArgumentError(f"{self!r}: a cell that keeps its input's width cannot be concatenated")
        keys = jax.random.split(key)
        return {name: init(self.cell, k, in_features, dtype) for name, k in zip(("forward", "backward"), keys)}

    def initial_carry(
        self, params: Params, batch_shape: tuple[int, ...] = (), *, key: jax.Array | None = None
    ) -> BidirectionalCarry:
        """The initial carry of each direction."""
        keys = (None, None) if key is None else jax.random.split(key)
        return BidirectionalCarry(
            initial_carry(self.cell, params["forward"], batch_shape, keys[0]),
            initial_carry(self.cell, params["backward"], batch_shape, keys[1]),
        )

    def step(self, params: Params, carry: Any, x: Any) -> tuple[Any, Any]:
        """There is none.

        Raises:
            NotCausalError: always.
        """
        check_causal(self)
        raise AssertionError("unreachable")

    def sequence(self, params: Params, carry: Any, xs: Any, plan: Plan = Plan()) -> tuple[BidirectionalCarry, Any]:
        """Both directions over the real steps, their outputs merged in the order of the input."""
        turned = dataclasses.replace(plan, reverse=not plan.reverse)
        forward, ahead = self.cell.sequence(params["forward"], carry.forward, xs, plan)
        backward, behind = self.cell.sequence(params["backward"], carry.backward, xs, turned)
        return BidirectionalCarry(forward, backward), MERGES[self.merge](ahead, behind)


class Residual(Cell):
    """A cell with a path around it (He et al. 2016); made by `residual`. Parameters and carry are the cell's."""

    cell: Cell

    def __post_init__(self) -> None:
        check_cell_type("residual", self.cell)

    def __repr__(self) -> str:
        return f"residual({self.cell!r})"

    @property
    def causal(self) -> bool:
        """As the cell."""
        return bool(self.cell.causal)

    @property
    def random(self) -> bool:
        """As the cell."""
        return bool(self.cell.random)

    @property
    def out_features(self) -> None:
        """As many as come in."""
        return None

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """The cell's parameters.

        Raises:
            ArgumentError: the cell changes the number of features.
        """
        size = self.cell.out_features
        if size is not None and size != in_features:
            raise ArgumentError(
                f"{self!r}: the cell gives {size} features but gets {in_features}, so they cannot be added"
            )
        return init(self.cell, key, in_features, dtype)

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = (), *, key: jax.Array | None = None) -> Any:
        """The cell's."""
        return initial_carry(self.cell, params, batch_shape, key)

    def restart(self, params: Params, carry: Any, batch_shape: tuple[int, ...]) -> Any:
        """The cell's."""
        return self.cell.restart(params, carry, batch_shape)

    def step(self, params: Params, carry: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        """x + y."""
        check_causal(self)
        carry, y = self.cell.step(params, carry, x)
        return carry, x.astype(y.dtype) + y

    def sequence(self, params: Params, carry: Any, xs: jax.Array, plan: Plan = Plan()) -> tuple[Any, jax.Array]:
        """xs + ys."""
        carry, ys = self.cell.sequence(params, carry, xs, plan)
        return carry, xs.astype(ys.dtype) + ys


def stack(*cells: Cell) -> Stack:
    """Cells one after another: `stack(Embed(256, 64), LSTM(128), Dense(256))` is a language model.

    Raises:
        ArgumentError, ArgumentTypeError: no cell, or something that is none.
    """
    return Stack(cells)


def bidirectional(cell: Cell, *, merge: str = "concat") -> Bidirectional:
    """The cell in both directions, with parameters of its own for each.

    merge: "concat" `[B, T, 2 F]`, "sum", "mean", "product" `[B, T, F]`, or "pair", a tuple of both. Padding is
    left out of account in both directions, and outputs stand where their inputs stood. The result sees the
    future, so it has no step: `step` raises `NotCausalError`, as does that of a stack that holds one.
    """
    return Bidirectional(cell, merge=merge)


def residual(cell: Cell) -> Residual:
    """x + cell(x), for a cell that gives as many features as it gets."""
    return Residual(cell)
