"""Two marked numbers to be added or multiplied at the end: the adding problems and the multiplication problem."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Float, Int, Key, Num
from seqjax.tasks.base import Example
from seqjax.tasks.scoring import Regression


class Adding(Regression):
    """The adding problem (Le, Jaitly, Hinton 2015), marked as by Arjovsky, Shah, Bengio 2016.

    Inputs are pairs (value, mark). Values are uniform in [0, 1); the mark is 1 at one step of the first half, 0 ...
    n // 2 - 1, and at one of the second half, n // 2 ... n - 1, and 0 elsewhere. Target at the last step: the sum of
    the two marked values.

    Baseline: the mean, 1, for every sequence. Its error is the variance of the sum of two independent U[0, 1),
    2 * 1/12 = 1/6 = 0.1667 for any length. (0.1767, which stands in several papers, is a misprint.)

    Example: the values 0.5 and 0.99 are marked, and the last step asks for their sum.

    >>> from seqjax import tasks
    >>> print(tasks.adding.as_text(6, seed=1))
    input 1  0.5 0.27 0.94 0.58 0.99 0.74
    input 2    1    0    0    0    1    0
    target     .    .    .    .    . 1.49
    """

    name = "adding"
    in_features = 2
    out_features = 1
    min_length = 2

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        draw, place = jax.random.split(key)
        values = jax.random.uniform(draw, (length,), jnp.float32)
        halves = jnp.array([0, n // 2]), jnp.array([n // 2, n])
        first, second = jax.random.randint(place, (2,), *halves, jnp.int32)
        t = jnp.arange(length)
        marked = (t == first) | (t == second)
        return _pairs(values, marked), _repeat(values[first] + values[second], length), t == n - 1

    def baseline_for(self, n: int) -> float:
        return 1 / 6


class Adding1997(Regression):
    """The adding problem of Hochreiter and Schmidhuber 1997, experiment 4.

    Inputs are pairs (value, mark). Values are uniform in [-1, 1). The mark of the first and of the last pair is -1.
    One of the first ten pairs is chosen, then one of the first n // 2 - 1 pairs left; both get the mark 1, and X1, X2
    are their values. Where the first pair is chosen its mark stays -1 and its value is set to 0 (the paper says so of
    X1; here it holds for X2 too, so that the target is always that of the pairs marked 1). Target at the last step:
    0.5 + (X1 + X2) / 4, in [0, 1].

    The paper draws lengths between T and 1.1 T, which is what `lengths` is for; its T / 2 is n // 2 of each sequence
    here. It counts a sequence as right where |error| < 0.04.

    Baseline: the mean, 1/2. With P the chance that the first pair is chosen, P = 1/10 + 9/10 / (n // 2 - 1), the
    variance of X1 + X2 is (2 - P) / 3, and that of the target (2 - P) / 48: 1/24 were it not for the rule of the
    first pair.

    Example: the first pair is chosen (so it is 0 and keeps its mark -1) and 0.51: 0.5 + (0 + 0.51) / 4.

    >>> from seqjax import tasks
    >>> print(tasks.adding_1997.as_text(20, seed=3))
    input 1   0 0.03 0.99 0.51 -0.56 0.61 0.52 -0.96 -0.41 -0.42 0.8 -0.78 -0.67 -0.06 0.87 0.45 0.52 0.04 0.3 -0.6
    input 2  -1    0    0    1     0    0    0     0     0     0   0     0     0     0    0    0    0    0   0   -1
    target    .    .    .    .     .    .    .     .     .     .   .     .     .     .    .    .    .    .   . 0.63
    """

    name = "adding_1997"
    in_features = 2
    out_features = 1
    min_length = 20
    first_value: ClassVar[float] = 0.0
    """The value of the first pair where it is chosen."""

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        draw, place = jax.random.split(key)
        values = self._values(draw, length)
        one, left = jax.random.randint(place, (2,), 0, jnp.array([10, n // 2 - 1]), jnp.int32)
        two = left + (left >= one)
        t = jnp.arange(length)
        chosen = (t == one) | (t == two)
        values = jnp.where(chosen & (t == 0), self.first_value, values)
        marks = jnp.where((t == 0) | (t == n - 1), -1, chosen)
        return _pairs(values, marks), _repeat(self._target(values[one], values[two]), length), t == n - 1

    def _values(self, key: Key[Array, ""], length: int) -> Float[Array, " T"]:
        return jax.random.uniform(key, (length,), jnp.float32, -1, 1)

    def _target(self, x1: Float[Array, ""], x2: Float[Array, ""]) -> Float[Array, ""]:
        return 0.5 + (x1 + x2) / 4

    def baseline_for(self, n: int) -> float:
        return (2 - _first_pair(n)) / 48


class Multiplication(Adding1997):
    """The multiplication problem of Hochreiter and Schmidhuber 1997, experiment 5.

    As `Adding1997`, but values are uniform in [0, 1), that of the first pair is set to 1 where it is chosen, and the
    target is X1 * X2.

    Baseline: the mean. With P as there, the target is a product of two U[0, 1) (mean 1/4, mean square 1/9) with
    chance 1 - P, else one of them (1/2, 1/3), so that its variance is
    (1 - P) / 9 + P / 3 - ((1 - P) / 4 + P / 2)^2; for P = 0 this is 7/144 = 0.0486.

    Example: the first pair is chosen (so it is 1 and keeps its mark -1) and 0.76: 1 * 0.76.

    >>> from seqjax import tasks
    >>> print(tasks.multiplication.as_text(20, seed=3))
    input 1   1 0.51 0.99 0.76 0.22 0.81 0.76 0.02 0.29 0.29 0.9 0.11 0.16 0.47 0.94 0.73 0.76 0.52 0.65  0.2
    input 2  -1    0    0    1    0    0    0    0    0    0   0    0    0    0    0    0    0    0    0   -1
    target    .    .    .    .    .    .    .    .    .    .   .    .    .    .    .    .    .    .    . 0.76
    """

    name = "multiplication"
    first_value = 1.0

    def _values(self, key: Key[Array, ""], length: int) -> Float[Array, " T"]:
        return jax.random.uniform(key, (length,), jnp.float32)

    def _target(self, x1: Float[Array, ""], x2: Float[Array, ""]) -> Float[Array, ""]:
        return x1 * x2

    def baseline_for(self, n: int) -> float:
        p = _first_pair(n)
        return (1 - p) / 9 + p / 3 - ((1 - p) / 4 + p / 2) ** 2


def _first_pair(n: int) -> float:
    """The chance that the first pair is one of the two."""
    return 1 / 10 + 9 / 10 / (n // 2 - 1)


def _pairs(values: Float[Array, " T"], marks: Num[Array, " T"] | Bool[Array, " T"]) -> Float[Array, "T 2"]:
    return jnp.stack([values, marks.astype(jnp.float32)], axis=-1)


def _repeat(target: Float[Array, ""], length: int) -> Float[Array, "T 1"]:
    """`[T, 1]`, of which the weights leave the last real step."""
    return jnp.broadcast_to(target, (length, 1))
