"""A cell read in both directions."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp

from seqjax._internal.types import Carry, Pair, Params, PyTree
from seqjax._internal.validation import check_causal
from seqjax.combinators.checks import returns_pair
from seqjax.combinators.composite import Composite
from seqjax.core import taps
from seqjax.core.cell import Cell, Limit, check_cell_type
from seqjax.core.padding import fill_padding
from seqjax.core.plan import Plan
from seqjax.errors import ArgumentError

MERGES = {
    "concat": lambda f, b: jnp.concatenate([f, b], axis=-1),
    "sum": lambda f, b: f + b,
    "mean": lambda f, b: (f + b) / 2,
    "product": lambda f, b: f * b,
    "pair": lambda f, b: (f, b),
}


class BidirectionalCarry(NamedTuple):
    """The carries of the two directions."""

    forward: Carry
    backward: Carry


class Bidirectional(Composite):
    """A cell read in both directions (Schuster and Paliwal 1997); made by `bidirectional`."""

    cell: Cell
    _: dataclasses.KW_ONLY
    merge: str = "concat"

    causal = False

    def __post_init__(self) -> None:
        check_cell_type("bidirectional", self.cell)
        if self.merge not in MERGES:
            raise ArgumentError(f"bidirectional: merge must be one of {', '.join(MERGES)}, found {self.merge!r}")
        if returns_pair(self.cell) and self.merge != "pair":
            raise ArgumentError(f"bidirectional: {self.cell!r} gives a pair, which only merge='pair' can take")

    def __repr__(self) -> str:
        merge = "" if self.merge == "concat" else f", merge={self.merge!r}"
        return f"bidirectional({self.cell!r}{merge})"

    @property
    def parts(self) -> dict[str, Cell]:
        """The same cell under "forward" and "backward"."""
        return dict.fromkeys(BidirectionalCarry._fields, self.cell)

    def part_inputs(self, in_features: int | None) -> dict[str, int | None]:
        return dict.fromkeys(self.parts, in_features)

    def split_carry(self, carry: BidirectionalCarry) -> dict[str, Carry]:
        return carry._asdict()

    def join_carries(self, carries: dict[str, Carry]) -> BidirectionalCarry:
        return BidirectionalCarry(**carries)

    def limits(self, carry: BidirectionalCarry | None) -> Iterator[Limit]:
        """Those of the forward direction; resets cut the other one elsewhere."""
        return self.cell.limits(None if carry is None else carry.forward)

    @property
    def out_features(self) -> int | None:
        """Twice the cell's when concatenated, else the cell's (of each of a pair)."""
        features = self.cell.out_features
        return 2 * features if features is not None and self.merge == "concat" else features

    def size(self, in_features: int) -> int:
        """Twice the cell's when concatenated, else the cell's."""
        return self.cell.size(in_features) * (2 if self.merge == "concat" else 1)

    def step(self, params: Params, carry: Carry, x: PyTree) -> Pair:
        """There is none.

        Raises:
            NotCausalError: always.
        """
        check_causal(self)
        raise AssertionError("unreachable")

    def sequence(self, params: Params, carry: BidirectionalCarry, xs: PyTree, plan: Plan = Plan()) -> Pair:
        """Both directions over the real steps, their outputs merged in the order of the input."""
        turned = dataclasses.replace(plan, reverse=not plan.reverse)
        with taps.scope("forward"):
            forward, ahead = self.cell.sequence(params["forward"], carry.forward, xs, plan)
        with taps.scope("backward"):
            # Unreal steps hold the first real input of the forward direction; backwards that is the last one's.
            turned_xs = fill_padding(xs, plan.mask, turned.reverse)
            backward, behind = self.cell.sequence(params["backward"], carry.backward, turned_xs, turned)
        return BidirectionalCarry(forward, backward), taps.tap_output(MERGES[self.merge](ahead, behind))


def bidirectional(cell: Cell, *, merge: str = "concat") -> Bidirectional:
    """The cell in both directions, with parameters of its own for each.

    merge: "concat" `[B, T, 2 F]`, "sum", "mean", "product" `[B, T, F]`, or "pair", a tuple of both. Padding is
    left out of account in both directions, and outputs stand where their inputs stood. The result sees the
    future, so it has no step: `step` raises `NotCausalError`, as does that of a stack that holds one.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.bidirectional(sj.LSTM(4))
        >>> params = cell.init(jax.random.key(0), 3)
        >>> carry, ys = sj.scan(cell, params, jnp.ones((2, 5, 3)), lengths=[5, 2])
        >>> ys.shape, carry.forward.h.shape, carry.backward.c.shape
        ((2, 5, 8), (2, 4), (2, 4))
        >>> ahead, behind = sj.scan(sj.bidirectional(sj.LSTM(4), merge="pair"), params, jnp.ones((2, 5, 3)))[1]
        >>> ahead.shape, behind.shape
        ((2, 5, 4), (2, 5, 4))
    """
    return Bidirectional(cell, merge=merge)
