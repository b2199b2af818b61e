"""Looking up what was seen: associative recall with many queries, and induction heads."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Array, Int, Key
from seqjax._internal.validation import check_counts
from seqjax.errors import ArgumentError
from seqjax.tasks.base import Example, Steps
from seqjax.tasks.scoring import Classification


class AssociativeRecall(Classification):
    """Multi-query associative recall, MQAR (Arora, Eyuboglu et al. 2023, with the defaults of its code).

    First M pairs key value. The rest are places for queries, every second step: query i, the i-th key again, stands
    at step 2 M + 2 g, its gap g drawn without replacement from 0 ... n / 2 - M - 1 with weights (g + 1)^(a - 1). Target
    at the query's own step: its value. All other steps after the pairs hold uniform tokens. Of V tokens keys are
    distinct ones of 1 ... V // 2 - 1, values distinct ones of V // 2 ... V - 1; classes are the V tokens. Odd lengths
    are rounded down. Published settings (n, M): (64, 4), (128, 8), (256, 16), (512, 64).

    Baseline: a value is uniform among V - V // 2 tokens: accuracy 1 / (V - V // 2).

    Example: the pairs are 2 12, 7 13 and 4 10; each key that stands there again is answered by its value.

    >>> from seqjax import tasks
    >>> print(tasks.AssociativeRecall(tokens=16, pairs=3).as_text(14))
    input   2 12 7 13 4 10  7 6  2 11 3 1  4 14
    target  .  . .  . .  . 13 . 12  . . . 10  .

    Args:
        tokens: V.
        pairs: M.
        power: a.
    """

    name = "associative_recall"

    tokens: int = 8192
    pairs: int = 4
    _: dataclasses.KW_ONLY
    power: float = 0.01

    def __post_init__(self) -> None:
        check_counts(self, tokens=4, pairs=1)
        if self.pairs > self.tokens // 2 - 1:
            raise ArgumentError(
                f"AssociativeRecall: pairs = {self.pairs} needs as many distinct keys, but tokens = {self.tokens} has "
                f"{self.tokens // 2 - 1}"
            )
        if not isinstance(self.power, (int, float)) or not abs(self.power) < float("inf"):
            raise ArgumentError(f"AssociativeRecall: power must be a number, found {self.power!r}")

    @property
    def vocabulary(self) -> int:
        return self.tokens

    @property
    def out_features(self) -> int:
        return self.tokens

    @property
    def min_length(self) -> int:
        return 4 * self.pairs

    def round_length(self, n: Steps) -> Steps:
        """Down to even."""
        return n // 2 * 2

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        draw = jax.random.split(key, 4)
        half = self.tokens // 2
        pools = jnp.array([half - 1, self.tokens - half])
        keys, values = jax.vmap(lambda key, pool: _distinct(key, pool, self.pairs))(draw[:2], pools)
        keys, values = 1 + keys, half + values
        gaps = jnp.arange((length - 2 * self.pairs) // 2)
        # The greatest of log weight + Gumbel noise, in order, are draws without replacement.
        weights = (self.power - 1) * jnp.log1p(gaps.astype(jnp.float32))
        noisy = weights + jax.random.gumbel(draw[2], gaps.shape, jnp.float32)
        chosen = lax.top_k(jnp.where(gaps < n // 2 - self.pairs, noisy, -jnp.inf), self.pairs)[1]
        places = 2 * self.pairs + 2 * chosen
        inputs = jax.random.randint(draw[3], (length,), 0, self.tokens, jnp.int32)
        inputs = inputs.at[: 2 * self.pairs].set(jnp.stack([keys, values], axis=1).reshape(-1)).at[places].set(keys)
        targets = jnp.zeros(length, jnp.int32).at[places].set(values)
        return inputs, targets, jnp.zeros(length, bool).at[places].set(True)

    def baseline_for(self, n: int) -> float:
        return 1 / (self.tokens - self.tokens // 2)


class InductionHeads(Classification):
    """Induction heads (Olsson et al. 2022, as posed by Gu and Dao 2023).

    Uniform tokens out of K, with the special token once at a uniform step in 0 ... n - 3 and again at the last one,
    where the token that followed its first appearance is asked for. Ids: tokens 0 ... K - 1, special K. The published
    setting has a vocabulary of 16 and 256 steps.

    Baseline: the token is uniform, accuracy 1 / K.

    Example: the special token (15) was followed by 8 before, so 8 is the answer where it stands again.

    >>> from seqjax import tasks
    >>> print(tasks.induction_heads.as_text(8))
    input   6 2 15 8 14 0 5 15
    target  . .  . .  . . .  8

    Args:
        symbols: K.
    """

    name = "induction_heads"
    min_length = 3

    symbols: int = 15

    def __post_init__(self) -> None:
        check_counts(self, symbols=2)

    @property
    def vocabulary(self) -> int:
        return self.symbols + 1

    @property
    def out_features(self) -> int:
        return self.symbols

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        draw, place = jax.random.split(key)
        inputs = jax.random.randint(draw, (length,), 0, self.symbols, jnp.int32)
        first = jax.random.randint(place, (), 0, n - 2, jnp.int32)
        targets = jnp.broadcast_to(inputs[first + 1], (length,))
        inputs = inputs.at[first].set(self.symbols).at[n - 1].set(self.symbols)
        return inputs, targets, jnp.arange(length) == n - 1

    def baseline_for(self, n: int) -> float:
        return 1 / self.symbols


def _distinct(key: Key[Array, ""], pool: Int[Array, ""], count: int) -> Int[Array, " count"]:
    """`count` different numbers below `pool`, in random order: the first ones of a shuffle.

    The shuffle swaps place i with a place j >= i; only what was swapped is kept, so that memory does not grow with
    the pool: the number at a place is what was last put there, else the place itself.
    """
    i = jnp.arange(count, dtype=jnp.int32)
    swaps = jax.random.randint(key, (count,), i, pool, jnp.int32)

    def step(carry: tuple[jax.Array, jax.Array], ij: tuple[jax.Array, jax.Array]) -> tuple[tuple, jax.Array]:
        places, numbers = carry

        def at(place: Int[jax.Array, ""]) -> Int[jax.Array, ""]:
            when = jnp.max(jnp.where(places == place, i, -1))
            return jnp.where(when >= 0, numbers[when], place)

        drawn, moved = at(ij[1]), at(ij[0])
        return (places.at[ij[0]].set(ij[1]), numbers.at[ij[0]].set(moved)), drawn

    return lax.scan(step, (jnp.full(count, -1, jnp.int32), i), (i, swaps))[1]
