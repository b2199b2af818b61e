"""Strings to be written again: reverse, duplicate, odds first and the missing duplicate."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from seqjax._internal.validation import check_counts
from seqjax.tasks.base import Classification


class StringTask(Classification):
    """A task of the Chomsky hierarchy benchmark (Deletang et al. 2023): read a string, then write another.

    A string of L tokens is followed by as many empty tokens as the answer has, and the answer is read there, all at
    once and not fed back: n = L + |answer| steps, of which the last |answer| count. The length of a sequence is n, not
    L; it is rounded down where no L fits. The empty token has the greatest id, vocabulary - 1.

    A subclass gives `string`, and |answer| = per_token * L + extra.
    """

    per_token: ClassVar[Any] = 0
    extra: ClassVar[Any] = 1
    min_string_length: ClassVar[Any] = 1
    """The least L that a string can have."""

    @property
    def min_length(self) -> int:
        """L + |answer| for the shortest string."""
        return (1 + self.per_token) * self.min_string_length + self.extra

    def round_length(self, n: Any) -> Any:
        """Down to L + |answer| for a whole L."""
        return (1 + self.per_token) * self.string_length(n) + self.extra

    def string_length(self, n: Any) -> Any:
        """L, for a sequence of n steps."""
        return (n - self.extra) // (1 + self.per_token)

    def string(self, key: jax.Array, size: jax.Array, length: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        """A string of `size` = L tokens, its answer, and which tokens of the answer count: `[T]` each, from step 0.

        `size` is traced; what stands beyond the ends is free.
        """
        raise TypeError(f"{type(self).__name__} must define string(key, size, length)")

    def example(self, key: jax.Array, n: jax.Array, length: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The string, and its answer after it."""
        size = self.string_length(n)
        tokens, answer, counts = self.string(key, size, length)
        t = jnp.arange(length)
        later = jnp.clip(t - size, 0, length - 1)
        return jnp.where(t < size, tokens, self.vocabulary - 1), answer[later], (t >= size) & counts[later]

    def baseline_for(self, n: int) -> float:
        return self.string_baseline(int(self.string_length(n)))

    def string_baseline(self, size: int) -> float:
        """The baseline for strings of L tokens."""
        raise TypeError(f"{type(self).__name__} must define string_baseline(size)")


class Reverse(StringTask):
    """Reverse string: the answer to s_1 ... s_L is s_L ... s_1.  n = 2 L.

    Symbols are independent and uniform, 0 ... K - 1; K is the empty token.
    Baseline: accuracy 1 / K at every step.

    Args:
        symbols: K; 2 in the paper.
    """

    name = "reverse"
    per_token = 1
    extra = 0

    symbols: int = 2

    def __post_init__(self) -> None:
        check_counts(self, symbols=2)

    @property
    def vocabulary(self) -> int:
        """K + 1."""
        return self.symbols + 1

    @property
    def out_features(self) -> int:
        """K."""
        return self.symbols

    def string(self, key: jax.Array, size: jax.Array, length: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The definition."""
        tokens = jax.random.randint(key, (length,), 0, self.symbols, jnp.int32)
        read = self._read(jnp.arange(length), size)
        return tokens, tokens[jnp.clip(read, 0, length - 1)], jnp.ones(length, bool)

    def _read(self, t: jax.Array, size: jax.Array) -> jax.Array:
        """Which token of the string stands at step t of the answer."""
        return size - 1 - t

    def string_baseline(self, size: int) -> float:
        return 1 / self.symbols


class Duplicate(Reverse):
    """Duplicate string: the answer to s_1 ... s_L is s_1 ... s_L s_1 ... s_L.  n = 3 L.

    Symbols and baseline as in `Reverse`.

    Args:
        symbols: K; 2 in the paper.
    """

    name = "duplicate"
    per_token = 2

    def _read(self, t: jax.Array, size: jax.Array) -> jax.Array:
        return t % size


class OddsFirst(Reverse):
    """Odds first: the answer to s_1 ... s_L is s_1 s_3 s_5 ... s_2 s_4 s_6 ...  n = 2 L.

    This is the paper's order; the code published with it puts s_2 s_4 s_6 ... first.
    Symbols and baseline as in `Reverse`.

    Args:
        symbols: K; 2 in the paper.
    """

    name = "odds_first"

    def _read(self, t: jax.Array, size: jax.Array) -> jax.Array:
        odds = (size + 1) // 2
        return jnp.where(t < odds, 2 * t, 2 * (t - odds) + 1)


class MissingDuplicate(StringTask):
    """Missing duplicate: a string of L // 2 bits stands twice, one bit is hidden; which was it?  n = L + 1.

    Ids: bits 0 and 1, the hidden place 2, a filler 3 at the end of the string where L is odd, empty token 4. Bit and
    place are uniform.
    Baseline: a fair bit, accuracy 1/2.
    """

    name = "missing_duplicate"
    vocabulary = 5
    out_features = 2
    min_string_length = 2

    def string(self, key: jax.Array, size: jax.Array, length: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The definition."""
        draw, place = jax.random.split(key)
        half = size // 2
        bits = jax.random.randint(draw, (length,), 0, 2, jnp.int32)
        hidden = jax.random.randint(place, (), 0, 2 * half, jnp.int32)
        t = jnp.arange(length)
        twice = jnp.where(t < 2 * half, bits[t % half], 3)
        answer = jnp.broadcast_to(twice[hidden], (length,))
        return jnp.where(t == hidden, 2, twice), answer, t == 0

    def string_baseline(self, size: int) -> float:
        return 1 / 2
