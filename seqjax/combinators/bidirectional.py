"""A cell read in both directions."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.validation import check_asked, check_key
from seqjax.combinators.stack import gives_pair
from seqjax.core import taps
from seqjax.core.cell import Cell, Params, check_causal, init, initial_carry
from seqjax.core.plan import Plan, harmless
from seqjax.core.wrapper import Wrapper
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

    forward: Any
    backward: Any


class Bidirectional(Wrapper):
    """A cell read in both directions (Schuster and Paliwal 1997); made by `bidirectional`."""

    _: dataclasses.KW_ONLY
    merge: str = "concat"

    causal = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.merge not in MERGES:
            raise ArgumentError(f"bidirectional: merge must be one of {', '.join(MERGES)}, found {self.merge!r}")
        if gives_pair(self.cell) and self.merge != "pair":
            raise ArgumentError(f"bidirectional: {self.cell!r} gives a pair, which only merge='pair' can take")

    def __repr__(self) -> str:
        merge = "" if self.merge == "concat" else f", merge={self.merge!r}"
        return f"bidirectional({self.cell!r}{merge})"

    @property
    def out_features(self) -> int | None:
        """Twice the cell's when concatenated, else the cell's (of each of a pair)."""
        features = self.cell.out_features
        return 2 * features if features is not None and self.merge == "concat" else features

    def size(self, in_features: int) -> int:
        """Twice the cell's when concatenated, else the cell's."""
        return self.cell.size(in_features) * (2 if self.merge == "concat" else 1)

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """{"forward": ..., "backward": ...}, drawn apart."""
        check_key(self, key)
        keys = jax.random.split(key)
        return {name: init(self.cell, k, in_features, dtype) for name, k in zip(BidirectionalCarry._fields, keys)}

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = (), **asked: Any) -> BidirectionalCarry:
        """The initial carry of each direction; a key is split."""
        check_asked(self, asked)
        key = asked.pop("key", None)
        keys = (None, None) if key is None else jax.random.split(key)
        parts = zip(BidirectionalCarry._fields, keys)
        return BidirectionalCarry(*(initial_carry(self.cell, params[n], batch_shape, key=k, **asked) for n, k in parts))

    def restart(self, params: Params, carry: Any, batch_shape: tuple[int, ...]) -> BidirectionalCarry:
        """Each direction's own."""
        parts = zip(BidirectionalCarry._fields, carry)
        return BidirectionalCarry(*(self.cell.restart(params[name], part, batch_shape) for name, part in parts))

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
        with taps.scope("forward"):
            forward, ahead = self.cell.sequence(params["forward"], carry.forward, xs, plan)
        with taps.scope("backward"):
            turned_xs = harmless(xs, plan.mask, turned.reverse)
            backward, behind = self.cell.sequence(params["backward"], carry.backward, turned_xs, turned)
        return BidirectionalCarry(forward, backward), taps.tap_output(MERGES[self.merge](ahead, behind))


def bidirectional(cell: Cell, *, merge: str = "concat") -> Bidirectional:
    """The cell in both directions, with parameters of its own for each.

    merge: "concat" `[B, T, 2 F]`, "sum", "mean", "product" `[B, T, F]`, or "pair", a tuple of both. Padding is
    left out of account in both directions, and outputs stand where their inputs stood. The result sees the
    future, so it has no step: `step` raises `NotCausalError`, as does that of a stack that holds one.
    """
    return Bidirectional(cell, merge=merge)
