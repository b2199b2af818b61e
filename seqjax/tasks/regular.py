"""Regular languages: one answer after the string, for which a finite state is enough."""

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Int, Key
from seqjax._internal.validation import check_counts
from seqjax.tasks.base import Example
from seqjax.tasks.strings import StringTask


class Parity(StringTask):
    """Parity check (Deletang et al. 2023): whether the number of ones among L fair bits is odd.  n = L + 1.

    Ids: bits 0 and 1, empty token 2. Class 1 where it is odd.
    Baseline: the last bit alone makes it fair, accuracy 1/2.

    Example: three of the five bits are 1, an odd number; 2 is the empty token that asks.

    >>> from seqjax import tasks
    >>> print(tasks.parity.as_text(6, seed=2))
    input   1 0 1 1 0 2
    target  . . . . . 1
    """

    name = "parity"
    vocabulary = 3
    out_features = 2

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        bits = jax.random.randint(key, (length,), 0, 2, jnp.int32)
        t = jnp.arange(length)
        answer = jnp.sum(jnp.where(t < size, bits, 0)) % 2
        return bits, jnp.broadcast_to(answer, (length,)), t == 0

    def string_baseline(self, size: int) -> float:
        return 1 / 2


class EvenPairs(StringTask):
    """Even pairs (Deletang et al. 2023): whether the number of pairs 01 and 10 among L fair bits is odd.  n = L + 1.

    Each such pair changes the bit, so it is odd where the first bit is not the last. Ids: bits 0 and 1, empty token 2.
    Class 1 where it is odd.
    Baseline: two independent fair bits, accuracy 1/2.

    Example: the bits 1 1 0 0 0 hold one pair of unequal neighbours, an odd number: class 1.

    >>> from seqjax import tasks
    >>> print(tasks.even_pairs.as_text(6, seed=1))
    input   1 1 0 0 0 2
    target  . . . . . 1
    """

    name = "even_pairs"
    vocabulary = 3
    out_features = 2
    min_string_length = 2

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        bits = jax.random.randint(key, (length,), 0, 2, jnp.int32)
        return bits, jnp.broadcast_to(bits[0] ^ bits[size - 1], (length,)), jnp.arange(length) == 0

    def string_baseline(self, size: int) -> float:
        return 1 / 2


class CycleNavigation(StringTask):
    """Cycle navigation (Deletang et al. 2023): where a walk on a cycle of m places ends.  n = L + 1.

    It starts at place 0; each token 0, 1, 2 is a step of -1, 0, +1, independent and uniform. Empty token 3. Class: the
    place, mod m.
    Baseline: the most likely place. As the characteristic function of one step is (1 + 2 cos w) / 3, place k has the
    chance (1 / m) sum_j ((1 + 2 cos(2 pi j / m)) / 3)^L cos(2 pi j k / m), which soon is 1 / m.

    Example: the steps -1 +1 +1 0 0 0 end at place 1.

    >>> from seqjax import tasks
    >>> print(tasks.cycle_navigation.as_text(7, seed=1))
    input   0 2 2 1 1 1 3
    target  . . . . . . 1

    Args:
        places: m; 5 in the paper.
    """

    name = "cycle_navigation"
    vocabulary = 4

    places: int = 5

    def __post_init__(self) -> None:
        check_counts(self, places=2)

    @property
    def out_features(self) -> int:
        return self.places

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        steps = jax.random.randint(key, (length,), 0, 3, jnp.int32)
        t = jnp.arange(length)
        answer = jnp.sum(jnp.where(t < size, steps - 1, 0)) % self.places
        return steps, jnp.broadcast_to(answer, (length,)), t == 0

    def string_baseline(self, size: int) -> float:
        w = 2 * np.pi * np.arange(self.places) / self.places
        chances = np.cos(np.outer(np.arange(self.places), w)) @ ((1 + 2 * np.cos(w)) / 3) ** size / self.places
        return float(np.max(chances))
