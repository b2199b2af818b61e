"""Sequences that grow longer as training goes on, in arrays of few shapes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from seqjax._internal.validation import whole_number
from seqjax.batching import shard
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True)
class Curriculum:
    """A source whose batch `step` has sequences of up to `length(step)` steps, padded to one of a few shapes.

    A program is compiled for each shape, not for each length. Of a task, and of a source that there is:

        Curriculum(
            lambda step, length, padded: task.sample(jax.random.fold_in(key, step), 32, padded, [length] * 32),
            lambda step: min(10 + step // 100, 200),
        )
        Curriculum(lambda step, length, padded: cut(source.batch(step), length, padded), lambda step: 10 + step)

    Args:
        sample: a function of (step, length, padded) that returns the `Batch`: true lengths of at most `length`, in
            arrays of `padded` steps.
        length: a function of the step, a whole number of at least 1.
        shapes: rising padded lengths, the last at least the longest; the powers of two where None.

    Raises:
        ArgumentError, ArgumentTypeError: no functions, or shapes that do not rise; in `batch`, a length beyond the
            last of them.
    """

    sample: Callable[[int, int, int], Batch]
    length: Callable[[int], Any]
    shapes: Sequence[int] | None = None

    def __post_init__(self) -> None:
        for name in ("sample", "length"):
            if not callable(getattr(self, name)):
                raise ArgumentTypeError(f"{name} must be a function, found {getattr(self, name)!r}")
        if self.shapes is not None:
            shapes = [whole_number("shapes", shape, 1) for shape in self.shapes]
            if not shapes or sorted(set(shapes)) != shapes:
                raise ArgumentError(f"shapes must be rising padded lengths, at least one, found {self.shapes!r}")

    def batch(self, step: int, index: int = 0, count: int = 1) -> Batch:
        """Batch number `step`; of `count` processes the rows of process `index`."""
        length = whole_number(f"length({step})", self.length(step), 1)
        batch = self.sample(step, length, self._padded(length))
        return batch if count == 1 else shard(batch, index, count)

    def _padded(self, length: int) -> int:
        if self.shapes is None:
            return 1 << (length - 1).bit_length()
        for shape in self.shapes:
            if shape >= length:
                return int(shape)
        raise ArgumentError(f"shapes must hold one of at least {length} steps, found {list(self.shapes)}. Add it")


def cut(batch: Batch, length: int, padded: int) -> Batch:
    """The first `length` steps of each sequence, in arrays of at most `padded` steps.

    Args:
        batch: with a target for each step, weights `[B, T]`.
        length, padded: steps.

    Raises:
        ArgumentError: targets of whole sequences, or of their own lengths: the beginning of one has no such target.
    """
    length, padded = whole_number("length", length, 1), whole_number("padded", padded, length)
    if np.ndim(batch.weights) != 2 or batch.weights.shape != batch.inputs.shape[:2]:
        raise ArgumentError(
            f"cut needs a target for each step: weights have shape {np.shape(batch.weights)}, expected "
            f"{np.shape(batch.inputs)[:2]}. A label of a whole sequence is not that of its beginning"
        )
    xp = jnp if hasattr(batch.weights, "devices") else np
    weights = batch.weights[:, :padded] * (np.arange(min(padded, batch.weights.shape[1])) < length)[None]
    lengths = xp.minimum(batch.lengths, length).astype(np.int32)
    return Batch(batch.inputs[:, :padded], batch.targets[:, :padded], weights, lengths)
