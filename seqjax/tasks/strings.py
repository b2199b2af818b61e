"""Strings to be written again: reverse, duplicate, odds first, in rising order, and the missing duplicate."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Int, Key
from seqjax._internal.validation import check_counts
from seqjax.tasks.base import Example, Steps
from seqjax.tasks.scoring import Classification


class StringTask(Classification):
    """A task of the Chomsky hierarchy benchmark (Deletang et al. 2023): read a string, then write another.

    A string of L tokens is followed by as many empty tokens as the answer has, and the answer is read there, all at
    once and not fed back: n = L + |answer| steps, of which the last |answer| count. The length of a sequence is n, not
    L; it is rounded down where no L fits. The empty token has the greatest id, vocabulary - 1.

    A subclass gives `string`, and |answer| = per_token * L + extra:

    >>> import jax, jax.numpy as jnp
    >>> class Last(StringTask):
    ...     "Which bit came last?"
    ...     name, vocabulary, out_features = "last", 3, 2
    ...     def string(self, key, size, length):
    ...         bits = jax.random.randint(key, (length,), 0, 2)
    ...         return bits, jnp.broadcast_to(bits[size - 1], (length,)), jnp.arange(length) == 0
    ...     def string_baseline(self, size):
    ...         return 1 / 2
    >>> print(Last().as_text(5))
    input   1 1 1 1 2
    target  . . . . 1
    """

    per_token: ClassVar[int] = 0
    extra: ClassVar[int] = 1
    min_string_length: ClassVar[int] = 1
    """The least L that a string can have."""

    @property
    def min_length(self) -> int:
        return (1 + self.per_token) * self.min_string_length + self.extra

    def round_length(self, n: Steps) -> Steps:
        """Down to L + |answer| for a whole L."""
        return (1 + self.per_token) * self.string_length(n) + self.extra

    def string_length(self, n: Steps) -> Steps:
        """L, for a sequence of n steps."""
        return (n - self.extra) // (1 + self.per_token)

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        """A string of `size` = L tokens, its answer, and which tokens of the answer count: `[T]` each, from step 0.

        `size` is traced; what stands beyond the ends is free.
        """
        raise TypeError(f"{type(self).__name__} must define string(key, size, length)")

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        """The string, and its answer after it."""
        size = jnp.asarray(self.string_length(n))
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

    Example: 2 3 4 3 is written backwards where the empty token (5) stands.

    >>> from seqjax import tasks
    >>> print(tasks.Reverse(symbols=5).as_text(8, seed=2))
    input   2 3 4 3 5 5 5 5
    target  . . . . 3 4 3 2

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
        return self.symbols + 1

    @property
    def out_features(self) -> int:
        return self.symbols

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        tokens = jax.random.randint(key, (length,), 0, self.symbols, jnp.int32)
        read = self._read(jnp.arange(length), size)
        return tokens, tokens[jnp.clip(read, 0, length - 1)], jnp.ones(length, bool)

    def _read(self, t: Int[Array, " T"], size: Int[Array, ""]) -> Int[Array, " T"]:
        """Which token of the string stands at step t of the answer."""
        return size - 1 - t

    def string_baseline(self, size: int) -> float:
        return 1 / self.symbols


class Duplicate(Reverse):
    """Duplicate string: the answer to s_1 ... s_L is s_1 ... s_L s_1 ... s_L.  n = 3 L.

    Symbols and baseline as in `Reverse`.

    Example: 2 3 4 is written twice where the empty token (5) stands.

    >>> from seqjax import tasks
    >>> print(tasks.Duplicate(symbols=5).as_text(9, seed=2))
    input   2 3 4 5 5 5 5 5 5
    target  . . . 2 3 4 2 3 4

    Args:
        symbols: K; 2 in the paper.
    """

    name = "duplicate"
    per_token = 2

    def _read(self, t: Int[Array, " T"], size: Int[Array, ""]) -> Int[Array, " T"]:
        return t % size


class OddsFirst(Reverse):
    """Odds first: the answer to s_1 ... s_L is s_1 s_3 s_5 ... s_2 s_4 s_6 ...  n = 2 L.

    This is the paper's order; the code published with it puts s_2 s_4 s_6 ... first.
    Symbols and baseline as in `Reverse`.

    Example: of 2 3 4 3 1 the first, third and fifth are written, then the second and fourth.

    >>> from seqjax import tasks
    >>> print(tasks.OddsFirst(symbols=5).as_text(10, seed=2))
    input   2 3 4 3 1 5 5 5 5 5
    target  . . . . . 2 4 1 3 3

    Args:
        symbols: K; 2 in the paper.
    """

    name = "odds_first"

    def _read(self, t: Int[Array, " T"], size: Int[Array, ""]) -> Int[Array, " T"]:
        odds = (size + 1) // 2
        return jnp.where(t < odds, 2 * t, 2 * (t - odds) + 1)


class BucketSort(Reverse):
    """Bucket sort (Deletang et al. 2023): the answer to s_1 ... s_L is its symbols in rising order.  n = 2 L.

    Symbols are independent and uniform, 0 ... K - 1; K is the empty token. Counting to L for each symbol is enough.

    Baseline: symbol p of the answer is at most k where more than p of the L symbols are, with chance
    P(Binomial(L, (k + 1) / K) > p); the best blind answer takes the likeliest symbol of each p.

    Example: 2 3 4 3 sorted.

    >>> from seqjax import tasks
    >>> print(tasks.bucket_sort.as_text(8, seed=2))
    input   2 3 4 3 5 5 5 5
    target  . . . . 2 3 3 4

    Args:
        symbols: K; 5 in the paper.
    """

    name = "bucket_sort"

    symbols: int = 5

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        tokens = jax.random.randint(key, (length,), 0, self.symbols, jnp.int32)
        ordered = jnp.sort(jnp.where(jnp.arange(length) < size, tokens, self.symbols))
        return tokens, ordered, jnp.ones(length, bool)

    def string_baseline(self, size: int) -> float:
        from scipy.special import bdtrc

        at_most = [bdtrc(np.arange(size), size, (k + 1) / self.symbols) for k in range(self.symbols)]
        hits = np.diff(at_most, axis=0, prepend=0)
        return float(hits.max(axis=0).mean())


class MissingDuplicate(StringTask):
    """Missing duplicate: a string of L // 2 bits stands twice, one bit is hidden; which was it?  n = L + 1.

    Ids: bits 0 and 1, the hidden place 2, a filler 3 at the end of the string where L is odd, empty token 4. Bit and
    place are uniform. As each bit stands twice, the hidden one is the parity of all that can be seen: with
    bits, as in the paper, a finite state is enough.
    Baseline: a fair bit, accuracy 1/2.

    Example: 1 1 0 stands twice, and the place marked 2 is its third bit, 0.

    >>> from seqjax import tasks
    >>> print(tasks.missing_duplicate.as_text(7, seed=0))
    input   1 1 2 1 1 0 4
    target  . . . . . . 0
    """

    name = "missing_duplicate"
    vocabulary = 5
    out_features = 2
    min_string_length = 2

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
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
