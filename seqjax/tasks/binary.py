"""Binary addition."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax._internal.types import Array, Int, Key
from seqjax.tasks.base import Example
from seqjax.tasks.strings import StringTask


class BinaryAddition(StringTask):
    """Binary addition (Deletang et al. 2023).  |answer| = L + 1, n = 2 L + 1.

    The string is a + b, the numbers with their lowest bit first: a has i bits, i uniform in 1 ... L - 2, b has the
    other L - 1 - i, and each number is uniform from 1 up. The answer is the sum, lowest bit first, without zeros
    above its highest one, and the end token 2. What comes after the end token does not count, as in the paper's
    accuracy. Ids: bits 0 and 1, plus 2, empty token 3.

    Baseline: at step p the answer is 1, or 0, or the end, or nothing that counts; the best blind answer hits
    sum_p max(P(bit p is 1), P(bit p is 0), P(S = p)) of E[S] + 1 steps, where S is how many bits the sum has.
    P(bit p is 1) follows from carrying along the bits; for P(S <= p) see `_sum_chances`.

    Example: 1 0 + 1 1 0 0, lowest bit first, is 1 + 3 = 4: 0 0 1, then the end (2).

    >>> from seqjax import tasks
    >>> print(tasks.binary_addition.as_text(15, seed=0))
    input   1 0 2 1 1 0 0 3 3 3 3 3 3 3 3
    target  . . . . . . . 0 0 1 2 . . . .
    """

    name = "binary_addition"
    vocabulary = 4
    out_features = 3
    per_token = 1
    extra = 1
    min_string_length = 3

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        place, *draw = jax.random.split(key, 3)
        first = jax.random.randint(place, (), 1, size - 1, jnp.int32)
        bits = jnp.array([first, size - 1 - first])
        a, b = jax.vmap(lambda key, bits: _number(key, bits, length))(jnp.stack(draw), bits)
        t = jnp.arange(length)
        tokens = jnp.where(t < first, a, jnp.where(t == first, 2, jnp.roll(b, first + 1)))

        def add(carry: jax.Array, bits: jax.Array) -> tuple[jax.Array, jax.Array]:
            total = bits + carry
            return total // 2, total % 2

        total = lax.scan(add, jnp.int32(0), a + b)[1]
        end = jnp.max(jnp.where(total == 1, t + 1, 0))
        return tokens, jnp.where(t == end, 2, total), t <= end

    def string_baseline(self, size: int) -> float:
        first = np.arange(1, size - 1)
        ones, at_most = _bit_chances(first, size - 1 - first, size), _sum_chances(first, size - 1 - first, size)
        ones, at_most = ones.mean(axis=1), at_most.mean(axis=1)
        ends = np.diff(at_most, prepend=0)
        hits = np.maximum(np.maximum(ones, 1 - at_most - ones), ends)
        return hits.sum() / (1 + (1 - at_most).sum())


def _number(key: Key[Array, ""], bits: Int[Array, ""], length: int) -> Int[Array, " T"]:
    """A number uniform in 1 ... 2^bits - 1, as `[T]` with the lowest bit first.

    Its highest one is d places below the top with chance proportional to 2^-d, and the bits under it are fair.
    """
    high, low = jax.random.split(key)
    t = jnp.arange(length)
    below = jax.random.categorical(high, jnp.where(t < bits, -t * math.log(2), -jnp.inf).astype(jnp.float32))
    top = bits - 1 - below
    fair = jax.random.randint(low, (length,), 0, 2, jnp.int32)
    return jnp.where(t < top, fair, jnp.where(t == top, 1, 0)).astype(jnp.int32)


def _bit_chances(i: np.ndarray, j: np.ndarray, size: int) -> np.ndarray:
    """P(bit p of a + b is 1) for p = 0 ... size, `[size + 1, ...]`; a and b uniform from 1 up, of i and j bits.

    Over all bits fair, `state[c, x, y]` is the chance of a carry c with a (x = 1) and b (y = 1) seen to be above 0;
    what is still 0 becomes more with the chance that one of the bits left is 1; and all is divided by the chance
    that both are above 0.
    """
    state = np.zeros((2, 2, 2, len(i)))
    state[0, 0, 0] = 1
    chances = np.zeros((size + 1, len(i)))
    for p in range(size + 1):
        fair = (np.where(p < i, 0.5, 0), np.where(p < j, 0.5, 0))
        later = (1 - 0.5 ** np.maximum(i - 1 - p, 0), 1 - 0.5 ** np.maximum(j - 1 - p, 0))
        moved = np.zeros_like(state)
        for c, x, y, a, b in np.ndindex(2, 2, 2, 2, 2):
            chance = state[c, x, y] * np.where(a, fair[0], 1 - fair[0]) * np.where(b, fair[1], 1 - fair[1])
            moved[(a + b + c) // 2, x | a, y | b] += chance
            if (a + b + c) % 2:
                chances[p] += chance * (1 if x | a else later[0]) * (1 if y | b else later[1])
        state = moved
    return chances / ((1 - 0.5**i) * (1 - 0.5**j))


def _sum_chances(i: np.ndarray, j: np.ndarray, size: int) -> np.ndarray:
    """P(a + b < 2^p) for p = 0 ... size, `[size + 1, ...]`; a and b uniform from 1 up, of i and j bits.

    Both must be below 2^p, which leaves them uniform from 1 up with i' = min(i, p) and j' = min(j, p) bits. Their sum
    then is below 2^p for sure where both are below p; otherwise, one of them having p bits, it is not with chance
    2^(m - 1) / (2^p - 1), m the smaller of i' and j'.
    """
    p = np.arange(size + 1)[:, None]
    ii, jj = np.minimum(i, p), np.minimum(j, p)

    def chance_below(few: np.ndarray, many: np.ndarray) -> np.ndarray:
        return (0.5 ** (many - few) - 0.5**many) / (1 - 0.5**many)

    over = 0.5 ** (p - np.minimum(ii, jj) + 1) / np.where(p > 0, 1 - 0.5**p, 1)
    return chance_below(ii, i) * chance_below(jj, j) * np.where(np.maximum(ii, jj) < p, 1, 1 - over)
