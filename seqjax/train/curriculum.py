"""Sequences that grow longer as training goes on, in arrays of few shapes."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from seqjax._internal.validation import whole_number
from seqjax.batching import Ragged, Shuffled, shard
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True)
class Curriculum:
    """A source whose batch `step` has sequences of up to `length(step)` steps, padded to one of a few shapes.

    A program is compiled for each shape, not for each length.

    Args:
        sample: a function of (step, length, padded) that returns the `Batch`: true lengths of at most `length`, in
            arrays of `padded` steps.
        length: a function of the step, a whole number of at least 1.
        shapes: rising padded lengths, the last at least the longest; the powers of two where None.

    Raises:
        ArgumentError, ArgumentTypeError: no functions, or shapes that do not rise; in `batch`, a length beyond the
            last of them.

    Examples:
        >>> import jax, numpy as np
        >>> from seqjax import batching, tasks, train
        >>> key = jax.random.key(0)
        >>> of_a_task = train.Curriculum(
        ...     lambda step, n, padded: tasks.parity.sample(jax.random.fold_in(key, step), 4, padded, [n] * 4),
        ...     length=lambda step: min(3 + step // 100, 200),
        ... )
        >>> [of_a_task.batch(step).inputs.shape for step in (0, 100, 200)]  # 3, 4 and 5 steps
        [(4, 4), (4, 4), (4, 8)]
        >>> source = batching.Shuffled(np.ones((8, 12, 1), np.float32), None, 4)
        >>> of_a_source = train.Curriculum(
        ...     lambda step, length, padded: train.cut(source.batch(step), length, padded),
        ...     length=lambda step: 1 + step,
        ...     shapes=(5, 11),
        ... )
        >>> [of_a_source.batch(step).inputs.shape for step in (0, 9)]
        [(4, 5, 1), (4, 11, 1)]
    """

    sample: Callable[[int, int, int], Batch]
    length: Callable[[int], int]
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


def shorter_examples(
    inputs: Ragged | ArrayLike, targets: Ragged | ArrayLike, batch_size: int, seed: int = 0, *, pairs: bool = False
) -> Callable[[int, int, int], Batch]:
    """For a `Curriculum`: batches of those examples alone that have at most `length` steps.

    The beginning of a pair is no pair, and a label is not that of a beginning, so whole examples are chosen instead of
    cut: those whose input, and with pairs=True whose target too, has at most `length` steps. Epochs are those of the
    chosen; where they are fewer than `batch_size`, rows of length 0 fill the batch.

    Args:
        inputs, targets, batch_size, seed, pairs: as in `batching.Shuffled`.

    Returns:
        A function of (step, length, padded).

    Raises:
        ArgumentError, ArgumentTypeError: as `Shuffled`; in the function, a length that no example keeps to.

    Examples:
        >>> from seqjax import train
        >>> sources, targets = [[1], [2, 2], [3, 3, 3], [4, 4]], [[5], [6], [7, 7], [8, 8, 8, 8]]
        >>> chosen = train.shorter_examples(sources, targets, 2, pairs=True)
        >>> data = train.Curriculum(chosen, lambda step: 1 + step, shapes=(2, 4))
        >>> [sorted(data.batch(step).inputs[:, 0].tolist()) for step in (0, 1)]  # an empty row, and two of two
        [[0, 1], [1, 2]]
        >>> data.batch(3).inputs.shape, data.batch(3).targets.shape
        ((2, 4), (2, 4))
    """
    whole = Shuffled(inputs, targets, batch_size, seed, pairs=pairs)
    longest = np.maximum(whole.lengths, whole.target_lengths) if pairs else whole.lengths

    @functools.lru_cache(maxsize=2)
    def chosen(length: int, padded: int) -> Shuffled:
        keep = longest <= length
        if not keep.any():
            raise ArgumentError(f"length is {length}, but the shortest example has {longest.min()} steps")
        rows: Any = (whole.inputs, whole.targets)
        limits: Any = {"length": padded, "target_length": padded} if pairs else {"length": padded}
        return Shuffled(rows[0][keep], rows[1][keep], batch_size, seed, pairs=pairs, **limits)

    return lambda step, length, padded: chosen(min(length, int(longest.max())), padded).batch(step)


def cut(batch: Batch, length: int, padded: int) -> Batch:
    """The first `length` steps of each sequence, in arrays of at most `padded` steps.

    Args:
        batch: with a target for each step, weights `[B, T]`. Not of pairs, of which a beginning is no pair (they are
            told apart by their shapes alone); take `shorter_examples`.
        length, padded: steps.

    Raises:
        ArgumentError: targets of whole sequences, or of their own lengths: the beginning of one has no such target.

    Examples:
        >>> import numpy as np
        >>> from seqjax import batching, train
        >>> batch = batching.Shuffled(np.ones((2, 9, 1), np.float32), None, 2).batch(0)  # the next of each step
        >>> short = train.cut(batch, length=2, padded=4)
        >>> short.inputs.shape, short.lengths.tolist(), short.weights.tolist()[0]
        ((2, 4, 1), [2, 2], [True, True, False, False])
    """
    length, padded = whole_number("length", length, 1), whole_number("padded", padded, length)
    if np.ndim(batch.weights) != 2 or batch.weights.shape != batch.inputs.shape[:2]:
        raise ArgumentError(
            f"cut needs a target for each step: weights have shape {np.shape(batch.weights)}, expected "
            f"{np.shape(batch.inputs)[:2]}. A label of a whole sequence is not that of its beginning, and the "
            "beginning of a pair is no pair. Take train.shorter_examples"
        )
    xp = jnp if hasattr(batch.weights, "devices") else np
    weights = batch.weights[:, :padded] * (np.arange(min(padded, batch.weights.shape[1])) < length)[None]
    lengths = xp.minimum(batch.lengths, length).astype(np.int32)
    return Batch(batch.inputs[:, :padded], batch.targets[:, :padded], weights, lengths)
