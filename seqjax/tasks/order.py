"""Which came first: the temporal order problems and the two-sequence problem, classified at the last step."""

import dataclasses

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Int, Key
from seqjax._internal.validation import check_counts
from seqjax.errors import ArgumentError
from seqjax.tasks.base import Example
from seqjax.tasks.scoring import Classification


class TemporalOrder(Classification):
    """The temporal order problem (Pascanu, Mikolov, Bengio 2013).

    Uniform distractors c, d, e, f, with A or B at a step in [n // 10, 2 (n // 10)) and again at a step in
    [n // 2, n // 2 + n // 10). Class at the last step: AA 0, AB 1, BA 2, BB 3. Ids: A 0, B 1, c ... f 2 ... 5.
    The paper calls a model good with less than 1 % of sequences wrong.

    Baseline: the two symbols are independent and fair, so the classes are equally likely: accuracy 1/4.

    Example: B (1) at step 2 comes before A (0) at step 11: class BA, 2.

    >>> from seqjax import tasks
    >>> print(tasks.temporal_order.as_text(20, seed=2))
    input   2 3 1 5 3 2 5 4 5 5 2 0 3 2 2 2 4 4 2 4
    target  . . . . . . . . . . . . . . . . . . . 2
    """

    name = "temporal_order"
    vocabulary = 6
    out_features = 4
    min_length = 10

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        starts = jnp.array([n // 10, n // 2])
        return _order(key, n, length, starts, starts + n // 10)

    def baseline_for(self, n: int) -> float:
        return 1 / 4


class TemporalOrder1997(TemporalOrder):
    """The temporal order problem of Hochreiter and Schmidhuber 1997, experiment 6a.

    The first symbol is E, the last (the trigger) B, the others uniform distractors a, b, c, d, but X or Y at steps t1
    and t2. The paper has n from 100 to 110, t1 uniform in 10 ... 20 and t2 in 50 ... 60; for any n it is t1 in
    n // 10 ... 2 n // 10 and t2 in 5 n // 10 ... 6 n // 10 here, steps counted from 0. Class at the last step: XX 0,
    XY 1, YX 2, YY 3. Ids: X 0, Y 1, a ... d 2 ... 5, E 6, B 7.

    Baseline: accuracy 1/4, as above.

    Example: Y (1) at step 2 comes before X (0) at step 12: class YX, 2; E (6) begins and B (7) asks.

    >>> from seqjax import tasks
    >>> print(tasks.temporal_order_1997.as_text(20, seed=2))
    input   6 3 1 5 3 2 5 4 5 5 2 5 0 2 2 2 4 4 2 7
    target  . . . . . . . . . . . . . . . . . . . 2
    """

    name = "temporal_order_1997"
    vocabulary = 8

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        starts, lasts = jnp.array([n // 10, 5 * n // 10]), jnp.array([2 * n // 10, 6 * n // 10])
        inputs, targets, weights = _order(key, n, length, starts, lasts + 1)
        inputs = jnp.where(weights, 7, inputs).at[0].set(6)
        return inputs, targets, weights


class TwoSequence(Classification):
    """The two-sequence problem (Bengio, Simard, Frasconi 1994; Hochreiter and Schmidhuber 1997, experiment 3a, 3b).

    One number a step. The first N are all +1 (class 1) or all -1 (class 0), each class with chance 1/2, the others
    Gaussian with mean 0 and variance 0.2. The class is asked for at the last step. Experiment 3b adds Gaussian noise
    of variance 0.2 to the first N too: `TwoSequence(noise=0.2)`.

    Baseline: equally likely classes, accuracy 1/2.

    Example: the first three numbers are +1, which is class 1; the rest is noise.

    >>> from seqjax import tasks
    >>> print(tasks.two_sequence.as_text(8))
    input   1 1 1 0.39 -0.39 0.15 0.42 -0.05
    target  . . .    .     .    .    .     1

    Args:
        informative: N; the paper has 1 and 3.
        noise: variance of what is added to the first N.
        distraction: variance of the others.
    """

    name = "two_sequence"
    in_features = 1
    out_features = 2

    informative: int = 3
    _: dataclasses.KW_ONLY
    noise: float = 0.0
    distraction: float = 0.2

    def __post_init__(self) -> None:
        check_counts(self, informative=1)
        for name in ("noise", "distraction"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise ArgumentError(f"TwoSequence: {name} must be a variance, a number from 0, found {value!r}")

    @property
    def min_length(self) -> int:
        return self.informative + 1

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        choose, draw = jax.random.split(key)
        label = jax.random.randint(choose, (), 0, 2, jnp.int32)
        gauss = jax.random.normal(draw, (length,), jnp.float32)
        t = jnp.arange(length)
        signal = (2 * label - 1) + self.noise**0.5 * gauss
        inputs = jnp.where(t < self.informative, signal, self.distraction**0.5 * gauss)
        return inputs[:, None], jnp.broadcast_to(label, (length,)), t == n - 1

    def baseline_for(self, n: int) -> float:
        return 1 / 2


def _order(
    key: Key[Array, ""], n: Int[Array, ""], length: int, starts: Int[Array, "2"], ends: Int[Array, "2"]
) -> Example:
    """Distractors 2 ... 5, with 0 or 1 at a step of each of two ranges [start, end), and the class of the two."""
    keys = jax.random.split(key, 3)
    symbols = jax.random.randint(keys[0], (2,), 0, 2, jnp.int32)
    places = jax.random.randint(keys[1], (2,), starts, ends, jnp.int32)
    inputs = jax.random.randint(keys[2], (length,), 2, 6, jnp.int32).at[places].set(symbols)
    targets = jnp.broadcast_to(2 * symbols[0] + symbols[1], (length,))
    return inputs, targets, jnp.arange(length) == n - 1
