"""Dropout, with its randomness in the carry."""

import dataclasses
import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Carry, DTypeLike, Float, Int, Key, Pair, Params, Shape
from seqjax._internal.validation import check_batch_shape, check_key
from seqjax.core.cell import Cell
from seqjax.core.explanation import add_line
from seqjax.core.loop import parallel
from seqjax.core.plan import Plan
from seqjax.core.taps import tap_output
from seqjax.errors import ArgumentError


class DropoutCarry(NamedTuple):
    """A key for each example and a number of draws so far, both `[B]`."""

    key: Key[jax.Array, "*B"]
    draws: Int[jax.Array, "*B"]


class Dropout(Cell):
    """Set features to zero with probability `rate`, and divide the rest by 1 - rate (Srivastava et al. 2014).

    Args:
        rate: 0 <= rate < 1. At 0 the layer passes its input on and needs no key: what `evaluation()` gives.
        per: "step", a new mask each real step, or "sequence", one mask until the next reset
            (Gal and Ghahramani 2016).

    The mask of the n-th draw is a function of the example's key and n, so neither padding nor the cutting of a
    sequence into chunks changes it. Carry: `DropoutCarry(key, draws)`, made by
    `initial_carry(params, batch_shape, key=key)`.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.Dropout(0.5)
        >>> carry = cell.initial_carry({}, (), key=jax.random.key(0))
        >>> carry, ys = sj.scan(cell, {}, jnp.ones((3, 4)), carry)
        >>> sorted({float(y) for y in ys.ravel()}), int(carry.draws)
        ([0.0, 2.0], 3)
        >>> bool(jnp.all(sj.scan(cell.evaluation(), {}, jnp.ones((3, 4)))[1] == 1))
        True
    """

    rate: float
    _: dataclasses.KW_ONLY
    per: str = "step"

    def __post_init__(self) -> None:
        if isinstance(self.rate, bool) or not isinstance(self.rate, numbers.Real) or not 0 <= self.rate < 1:
            raise ArgumentError(f"Dropout: rate must be in [0, 1), found {self.rate!r}")
        object.__setattr__(self, "rate", float(self.rate))  # NumPy's numbers become Python's
        if self.per not in ("step", "sequence"):
            raise ArgumentError(f"Dropout: per must be 'step' or 'sequence', found {self.per!r}")

    @property
    def asks(self) -> frozenset[str]:
        return frozenset({"key"} if self.rate else ())

    @property
    def out_features(self) -> None:
        return None

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        return {}

    def initial_carry(self, params: Params, batch_shape: Shape = (), *, key: Key[jax.Array, ""] | None = None) -> Carry:
        """A key of its own for each example.

        Raises:
            ArgumentError: there is no key, and the rate is above 0.
        """
        if not self.rate:
            return ()
        check_batch_shape(self, batch_shape)
        if key is None:
            raise ArgumentError(
                f"{self!r} draws random numbers: pass carry=cell.initial_carry(params, batch_shape, key=key), "
                "or evaluate with cell.evaluation()"
            )
        check_key(self, key)
        return DropoutCarry(jax.random.split(key, batch_shape), jnp.zeros(batch_shape, jnp.int32))

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        """As it is: a reset goes on with fresh masks instead of repeating the first ones."""
        if not self.rate or self.per == "step":
            return carry
        return carry._replace(draws=carry.draws + 1)

    def evaluation(self) -> "Dropout":
        """The layer with rate 0."""
        return dataclasses.replace(self, rate=0.0)

    def step(self, params: Params, carry: Carry, x: Float[Array, "*B D"]) -> Pair:
        """Draw, drop, count."""
        if not self.rate:
            return carry, x
        count = carry.draws + 1 if self.per == "step" else carry.draws
        return carry._replace(draws=count), x * self._mask(carry.key, carry.draws, x)

    def sequence(self, params: Params, carry: Carry, xs: Float[Array, "T *B D"], plan: Plan = Plan()) -> Pair:
        """All masks at once; one mask alone where it lasts the sequence."""
        add_line(f"{self!r}: all steps at once")
        if not self.rate:
            return carry, tap_output(xs)
        return parallel(self._run_all, carry, xs, plan)

    def _run_all(
        self,
        carry: DropoutCarry,
        xs: Float[Array, "T *B D"],
        mask: Bool[Array, " T *B"] | None,
        starts: Bool[Array, " T *B"] | None,
    ) -> Pair:
        # A step draws if it is real, a sequence if it starts; the count of draws so far picks the mask of each step.
        if self.per == "step":
            draws = jnp.ones(xs.shape[:-1], bool) if mask is None else mask
        elif starts is None:
            return carry, xs * self._mask(carry.key, carry.draws, xs)[None]
        else:
            draws = starts
        steps = draws.astype(jnp.int32)
        count = jax.lax.cumsum(jnp.asarray(steps), axis=0)
        counts = jnp.broadcast_to(carry.draws, count.shape) + count
        if self.per == "step":
            counts = counts - steps
        keys = jnp.broadcast_to(carry.key, counts.shape)
        last = carry.draws + jnp.sum(steps, axis=0, dtype=steps.dtype)
        return carry._replace(draws=last), xs * self._mask(keys, counts, xs)

    def _mask(
        self, key: Key[jax.Array, "*B"], count: Int[jax.Array, "*B"], x: Float[Array, "... D"]
    ) -> Float[jax.Array, "*B D"]:
        """0 or 1 / (1 - rate) for each feature, of the draw number `count`."""

        def draw(key: Key[jax.Array, ""], count: Int[jax.Array, ""]) -> Bool[jax.Array, " D"]:
            return jax.random.bernoulli(jax.random.fold_in(key, count), 1 - self.rate, x.shape[-1:])

        for _ in range(key.ndim):
            draw = jax.vmap(draw)
        return draw(key, count).astype(x.dtype) / (1 - self.rate)
