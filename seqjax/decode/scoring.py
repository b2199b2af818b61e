"""How hypotheses of several lengths are compared: length penalties, the coverage penalty, and when a row is closed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.spelling import Spelled
from seqjax._internal.types import Array, Float, Int
from seqjax._internal.validation import real_number
from seqjax.errors import ArgumentError, ArgumentTypeError


class LengthPenalty(Spelled):
    """What the total of a hypothesis is divided by; made by `power` and `gnmt`."""

    alpha: float
    shift: float = 0.0

    def __post_init__(self) -> None:
        alpha = real_number("length penalty: alpha", self.alpha)
        if not abs(alpha) < float("inf"):
            raise ArgumentError(f"length penalty: alpha must be finite, found {alpha}")
        object.__setattr__(self, "alpha", alpha)

    def __repr__(self) -> str:
        return f"gnmt({self.alpha!r})" if self.shift else repr(self.alpha)

    def divisor(self, length: Int[Array, "..."] | int, dtype: jnp.dtype) -> Float[jax.Array, "..."]:
        """The penalty of a hypothesis of so many tokens, the stop token among them."""
        steps = jnp.asarray(length).astype(dtype)
        return ((self.shift + steps) / (self.shift + 1)) ** self.alpha


def gnmt(alpha: float) -> LengthPenalty:
    """The length penalty ((5 + length) / (5 + 1)) ** alpha of Wu et al. 2016, equation 14.

    It is milder for short hypotheses than length ** alpha, which a plain number stands for.

        >>> from seqjax.decode import beam, gnmt
        >>> beam(4, length_penalty=gnmt(0.6))
        beam(4, length_penalty=gnmt(0.6))

    Raises:
        ArgumentError, ArgumentTypeError: alpha is not a finite number.
    """
    return LengthPenalty(alpha, 5.0)


def as_penalty(value: float | LengthPenalty) -> LengthPenalty:
    """A number alpha stands for length ** alpha.

    Raises:
        ArgumentError, ArgumentTypeError: neither a finite number nor `gnmt(alpha)`.
    """
    if isinstance(value, LengthPenalty):
        return value
    if callable(value) or isinstance(value, str):
        raise ArgumentTypeError(f"length_penalty must be a number alpha or gnmt(alpha), found {value!r}")
    return LengthPenalty(value)


def coverage_penalty(covered: Float[Array, "*B K S"]) -> Float[jax.Array, "*B K"]:
    """log of how far the source is covered: sum_s log(min(a_s, 1)), a_s the weights summed over steps (Wu et al. 2016).

    0 where every slot has had as much weight as one token of the target has, less otherwise. A slot on which no
    hypothesis of a row has put weight is taken for padding.
    """
    real = jnp.any(covered > 0, axis=-2, keepdims=True)
    least = jnp.finfo(covered.dtype).tiny
    return jnp.sum(jnp.where(real, jnp.log(jnp.clip(covered, least, 1.0)), 0.0), axis=-1)


class Rules(NamedTuple):
    """How hypotheses that have ended are compared, and when no more are looked for.

    early_stop: as `seqjax.decode.beam` says. coverage: the factor of the coverage penalty.
    """

    penalty: LengthPenalty
    early_stop: bool | str = False
    coverage: float = 0.0

    def scores(
        self, totals: Float[Array, "*B M"], length: Int[Array, ""], covered: Float[Array, "*B M"] | None
    ) -> Float[jax.Array, "*B M"]:
        """Totals over the length penalty, and the coverage penalty."""
        scores = jnp.asarray(totals) / self.penalty.divisor(length, totals.dtype)
        return scores if covered is None else scores + self.coverage * covered

    def bound(
        self, totals: Float[Array, "*B K"], length: Int[Array, ""], most: Int[Array, ""]
    ) -> Float[jax.Array, "*B"]:
        """The score that the best of those that go on may reach: at its present length, or at any up to `most`."""
        far = self.early_stop == "never" and self.penalty.alpha > 0
        return jnp.max(totals, axis=-1) / self.penalty.divisor(most if far else length, totals.dtype)
