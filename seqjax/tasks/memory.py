"""Tokens to be kept: the copying memory problem, selective copying, and the delayed exclusive or."""

import math

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Float, Int, Key
from seqjax._internal.validation import check_counts
from seqjax.batching.batch import Batch
from seqjax.tasks.base import Example
from seqjax.tasks.scoring import Classification


class CopyMemory(Classification):
    """The copying memory problem (Hochreiter and Schmidhuber 1997; Arjovsky, Shah, Bengio 2016).

    M uniform symbols out of K, delay - 1 blanks, one delimiter, M blanks: n = delay + 2 M steps. Targets: blanks, and
    in the last M steps the symbols in order. Every step counts. Ids: symbols 0 ... K - 1, blank K, delimiter K + 1;
    classes: symbols and blank. The score is the loss, in nats a step.

    Baseline: blanks are certain and each symbol has chance 1 / K, so that M ln K nats are spread over n steps:
    10 ln 8 / (delay + 20) for the published setting.

    Example: 3 1 3 is asked for again after the delimiter (5); until then the answer is a blank (4).

    >>> from seqjax import tasks
    >>> print(tasks.CopyMemory(symbols=4, memory=3).as_text(10))
    input   3 1 3 4 4 4 5 4 4 4
    target  4 4 4 4 4 4 4 3 1 3

    Args:
        symbols: K.
        memory: M.
    """

    name = "copy_memory"
    score_name = "nats"
    higher_is_better = False

    symbols: int = 8
    memory: int = 10

    def __post_init__(self) -> None:
        check_counts(self, symbols=2, memory=1)

    @property
    def vocabulary(self) -> int:
        return self.symbols + 2

    @property
    def out_features(self) -> int:
        return self.symbols + 1

    @property
    def min_length(self) -> int:
        return 2 * self.memory + 1

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        data = jax.random.randint(key, (self.memory,), 0, self.symbols, jnp.int32)
        t = jnp.arange(length)
        recall = n - self.memory
        inputs = jnp.where(t == recall - 1, self.symbols + 1, self.symbols)
        inputs = jnp.where(t < self.memory, data[jnp.minimum(t, self.memory - 1)], inputs)
        targets = jnp.where(t >= recall, data[jnp.clip(t - recall, 0, self.memory - 1)], self.symbols)
        return inputs, targets, t < n

    def score(self, outputs: Float[Array, "B T V"], batch: Batch) -> Float[Array, ""]:
        return self.loss(outputs, batch)

    def baseline_for(self, n: int) -> float:
        return self.memory * math.log(self.symbols) / n


class SelectiveCopy(Classification):
    """Selective copying (Gu and Dao 2023, after Jing et al. 2019).

    M uniform symbols out of K stand in order at random places among noise tokens, then M markers ask for them:
    targets in these last M steps, which alone count, are the symbols in order. Ids: symbols 0 ... K - 1, noise K,
    marker K + 1. The published setting: a vocabulary of 16, M = 16, length 4096.

    Baseline: each symbol has chance 1 / K whatever the step: accuracy 1 / K.

    Example: 1, 3 and 0 stand among noise (4), and the markers (5) ask for them in order.

    >>> from seqjax import tasks
    >>> print(tasks.SelectiveCopy(symbols=4, memory=3).as_text(10))
    input   1 4 3 4 0 4 4 5 5 5
    target  . . . . . . . 1 3 0

    Args:
        symbols: K.
        memory: M.
    """

    name = "selective_copy"

    symbols: int = 14
    memory: int = 16

    def __post_init__(self) -> None:
        check_counts(self, symbols=2, memory=1)

    @property
    def vocabulary(self) -> int:
        return self.symbols + 2

    @property
    def out_features(self) -> int:
        return self.symbols

    @property
    def min_length(self) -> int:
        return 2 * self.memory

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        draw, place = jax.random.split(key)
        data = jax.random.randint(draw, (self.memory,), 0, self.symbols, jnp.int32)
        t = jnp.arange(length)
        recall = n - self.memory
        # The M smallest of independent numbers stand at M places of which every choice is equally likely.
        order = jnp.argsort(jnp.where(t < recall, jax.random.uniform(place, (length,), jnp.float32), 2))
        places = jnp.sort(order[: self.memory])
        inputs = jnp.where(t < recall, self.symbols, self.symbols + 1).at[places].set(data)
        targets = data[jnp.clip(t - recall, 0, self.memory - 1)]
        return inputs, targets, t >= recall

    def baseline_for(self, n: int) -> float:
        return 1 / self.symbols


class DelayedXor(Classification):
    """The delayed exclusive or (Engelken 2023, the definition of the code published with it).

    Independent fair bits x; target at step t is x[t - d] xor x[t - 2 d], and the steps t >= 2 d count.

    Baseline: the exclusive or of two independent fair bits is fair: accuracy 1/2.

    Example: the fifth answer is x[2] xor x[0], the sixth x[3] xor x[1], and so on.

    >>> from seqjax import tasks
    >>> print(tasks.DelayedXor(delay=2).as_text(9))
    input   1 1 1 1 0 0 1 1 1
    target  . . . . 0 0 1 1 1

    Args:
        delay: d.
    """

    name = "delayed_xor"
    vocabulary = 2
    out_features = 2

    delay: int = 10

    def __post_init__(self) -> None:
        check_counts(self, delay=1)

    @property
    def min_length(self) -> int:
        return 2 * self.delay + 1

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        bits = jax.random.randint(key, (length,), 0, 2, jnp.int32)
        targets = jnp.roll(bits, self.delay) ^ jnp.roll(bits, 2 * self.delay)
        return bits, targets, jnp.arange(length) >= 2 * self.delay

    def baseline_for(self, n: int) -> float:
        return 1 / 2
