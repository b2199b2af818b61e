"""Regular languages: one answer after the string, for which a finite state is enough."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax._internal.types import Array, Int, Key
from seqjax._internal.validation import check_counts
from seqjax.tasks.base import Example, Steps
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


class ModularArithmeticSimple(StringTask):
    """Modular arithmetic without brackets (Deletang et al. 2023): d o d o ... d, an odd number L of tokens.  n = L + 1.

    Digits d are uniform in 0 ... m - 1 and operators o in +, -, *, with products before sums; odd lengths n are rounded
    down. Ids: digits 0 ... m - 1, then + - * and the empty token, m ... m + 3. Class: the value mod m. Its state is
    finite: the sum of the finished terms and the product of the present one, m^2 pairs.

    Baseline: the most likely value, from the chain of these pairs (s, p) over the operators: (s + p, d), (s + p, -d)
    and (s, p d), each with chance 1/3 and d uniform. Products make 0 likelier than 1 / m.

    Example: 2 - 1 + 3 is 4.

    >>> from seqjax import tasks
    >>> print(tasks.modular_arithmetic_simple.as_text(6, seed=5))
    input   2 6 1 5 3 8
    target  . . . . . 4

    Args:
        modulus: m; 5 in the paper.
    """

    name = "modular_arithmetic_simple"

    modulus: int = 5

    def __post_init__(self) -> None:
        check_counts(self, modulus=2)

    @property
    def vocabulary(self) -> int:
        return self.modulus + 4

    @property
    def out_features(self) -> int:
        return self.modulus

    def string_length(self, n: Steps) -> Steps:
        """Odd."""
        return n // 2 * 2 - 1

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        digit_key, operator_key = jax.random.split(key)
        half = length // 2 + 1
        digits = jax.random.randint(digit_key, (half,), 0, self.modulus, jnp.int32)
        operators = jax.random.randint(operator_key, (half,), 0, 3, jnp.int32)
        # Each pair is an operator and the digit after it; the first operator is a plus that is not written.
        ahead = jnp.concatenate([jnp.zeros(1, jnp.int32), operators[:-1]])
        counts = 2 * jnp.arange(half) < size

        def step(carry: tuple[jax.Array, jax.Array], pair: tuple[jax.Array, ...]) -> tuple[tuple, None]:
            (total, product), (operator, digit, counts) = carry, pair
            is_product = operator == 2
            new = (
                jnp.where(is_product, total, total + product) % self.modulus,
                jnp.select([is_product, operator == 1], [product * digit, -digit], digit) % self.modulus,
            )
            return jax.tree.map(lambda a, b: jnp.where(counts, a, b), new, carry), None

        total, product = lax.scan(step, (jnp.int32(0), jnp.int32(0)), (ahead, digits, counts))[0]
        tokens = jnp.stack([digits, self.modulus + operators], axis=1).reshape(-1)[:length]
        return tokens, jnp.broadcast_to((total + product) % self.modulus, (length,)), jnp.arange(length) == 0

    def string_baseline(self, size: int) -> float:
        m = self.modulus
        chances = np.zeros((m, m))  # of (s, p)
        chances[0] = 1 / m
        s, p, d = np.indices((m, m, m))
        for _ in range(size // 2):
            moved = np.zeros_like(chances)
            for after in ((s + p, d), (s + p, -d), (s, p * d)):
                np.add.at(moved, (after[0] % m, after[1] % m), chances[s, p] / (3 * m))
            chances = moved
        values = np.bincount((np.add.outer(range(m), range(m)) % m).ravel(), chances.ravel())
        return float(values.max())
