"""Batches that are drawn, not read: as many as one likes, each a function of its number."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import SupportsIndex

import jax
import numpy as np

from seqjax._internal.types import PyTree
from seqjax._internal.validation import key_number
from seqjax.batching.devices import shard
from seqjax.errors import ArgumentTypeError


@dataclass(frozen=True, eq=False)
class Synthetic:
    """Batch `step` is `draw(key)`, with a key made of (seed, step): endless fresh data.

    >>> from seqjax import tasks
    >>> source = Synthetic(lambda key: tasks.parity.sample(key, 4, 6), seed=0)
    >>> source.batch(7).inputs.shape
    (4, 6)

    Args:
        draw: a pure function of a key, which is compiled; it gives a `Batch`.
        seed: of all batches, below 2**32. Data to evaluate on take another seed, and `evaluate(..., steps)`.

    Raises:
        ArgumentError, ArgumentTypeError: no function, or a seed that is no whole number in [0, 2**32).
    """

    draw: Callable[[jax.Array], PyTree]
    seed: int = 0
    _program: Callable[[np.uint32], PyTree] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not callable(self.draw):
            raise ArgumentTypeError(f"draw must be a function of a key, found {type(self.draw).__name__}")
        seed, draw = key_number("seed", self.seed), self.draw
        made = jax.jit(lambda step: draw(jax.random.fold_in(jax.random.key(seed), step)))
        object.__setattr__(self, "_program", made)

    def batch(self, step: SupportsIndex, index: int = 0, count: int = 1) -> PyTree:
        """Batch number `step`, or the rows of process `index` of `count`.

        Raises:
            ArgumentError, ArgumentTypeError: a step or index that is no whole number in range (steps are below 2**32),
                or rows that cannot be shared equally.
        """
        batch = self._program(np.uint32(key_number("step", step)))
        return batch if count == 1 and index == 0 else shard(batch, index, count)
