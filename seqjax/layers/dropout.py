"""Dropout, with its randomness in the carry."""

import dataclasses
import numbers
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.validation import check_batch_shape, check_key
from seqjax.core.cell import Cell, Params
from seqjax.core.loop import parallel
from seqjax.core.plan import Plan, note
from seqjax.core.taps import tap_output
from seqjax.errors import ArgumentError


class DropoutCarry(NamedTuple):
    """A key for each example and a number of draws so far, both `[B]`."""

    key: jax.Array
    draws: jax.Array


class Dropout(Cell):
    """Set features to zero with probability `rate`, and divide the rest by 1 - rate (Srivastava et al. 2014).

    Args:
        rate: 0 <= rate < 1. At 0 the layer passes its input on and needs no key: what `evaluation()` gives.
        per: "step", a new mask each real step, or "sequence", one mask until the next reset
            (Gal and Ghahramani 2016).

    The mask of the n-th draw is a function of the example's key and n, so neither padding nor the cutting of a
    sequence into chunks changes it. Carry: `DropoutCarry(key, draws)`, made by
    `initial_carry(params, batch_shape, key=key)`.
    """

    feature_axes: ClassVar[Any] = 1

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
        """As many as come in."""
        return None

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """No parameters."""
        return {}

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = (), *, key: jax.Array | None = None) -> Any:
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

    def restart(self, params: Params, carry: Any, batch_shape: tuple[int, ...]) -> Any:
        """A reset goes on with fresh masks instead of repeating the first ones."""
        if not self.rate or self.per == "step":
            return carry
        return carry._replace(draws=carry.draws + 1)

    def evaluation(self) -> "Dropout":
        """Rate 0."""
        return dataclasses.replace(self, rate=0.0)

    def step(self, params: Params, carry: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        """Draw, drop, count."""
        if not self.rate:
            return carry, x
        count = carry.draws + 1 if self.per == "step" else carry.draws
        return carry._replace(draws=count), x * self._mask(carry.key, carry.draws, x)

    def sequence(self, params: Params, carry: Any, xs: jax.Array, plan: Plan = Plan()) -> tuple[Any, jax.Array]:
        """All masks at once; one mask alone where it lasts the sequence."""
        note(f"{self!r}: all steps at once")
        if not self.rate:
            return carry, tap_output(xs)
        return parallel(self._all, carry, xs, plan)

    def _all(self, carry: Any, xs: jax.Array, mask: Any, starts: Any) -> tuple[Any, jax.Array]:
        if self.per == "step":
            drawing = jnp.ones(xs.shape[:-1], bool) if mask is None else mask
        elif starts is None:
            return carry, xs * self._mask(carry.key, carry.draws, xs)[None]
        else:
            drawing = starts
        steps = drawing.astype(jnp.int32)
        drawn = jax.lax.cumsum(steps, axis=0)
        counts = jnp.broadcast_to(carry.draws, drawn.shape) + drawn
        if self.per == "step":
            counts = counts - steps
        keys = jnp.broadcast_to(carry.key, counts.shape)
        last = carry.draws + jnp.sum(steps, axis=0, dtype=steps.dtype)
        return carry._replace(draws=last), xs * self._mask(keys, counts, xs)

    def _mask(self, key: jax.Array, count: jax.Array, x: jax.Array) -> jax.Array:
        def draw(key: jax.Array, count: jax.Array) -> jax.Array:
            return jax.random.bernoulli(jax.random.fold_in(key, count), 1 - self.rate, x.shape[-1:])

        for _ in range(key.ndim):
            draw = jax.vmap(draw)
        return draw(key, count).astype(x.dtype) / (1 - self.rate)
