"""What a task is: sequences drawn from a key, a loss, a score, and the score of an answer that looks at nothing."""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.spelling import Spelled
from seqjax._internal.types import Array, Bool, Float, Int, Key, Num
from seqjax._internal.validation import check_key, key_number, known, whole_number
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError, ArgumentTypeError

Example = tuple[Num[Array, "T ..."], Num[Array, "T ..."], Bool[Array, " T"]]
"""Inputs, targets and weights of one sequence."""

Steps = int | Int[Array, "..."]
"""A number of steps, or numbers that are being traced."""


@dataclass_transform(frozen_default=True)
class Task(Spelled):
    """A synthetic task: a frozen value without arrays, which is its own configuration.

    A subclass gives `example` for one sequence and the facts below; it prints as the call that makes it. Every
    task trains with the same lines (without `Embed` where the inputs are numbers):

    >>> import jax
    >>> from seqjax import GRU, Dense, Embed, scan, stack, tasks
    >>> task = tasks.Reverse(symbols=4)
    >>> model = stack(Embed(task.vocabulary, 16), GRU(32), Dense(task.out_features))
    >>> params = model.init(jax.random.key(0), task.in_features)
    >>> batch = task.sample(jax.random.key(1), 32, 10)
    >>> _, outputs = scan(model, params, batch.inputs, lengths=batch.lengths)
    >>> loss, score = task.loss(outputs, batch), task.score(outputs, batch)
    >>> print(f"{task.score_name}, {task.baseline(10):.2f} for an answer that looks at nothing")
    accuracy, 0.25 for an answer that looks at nothing
    """

    name: ClassVar[Any]
    """What people call it; the key in `tasks.ALL`."""

    vocabulary: ClassVar[Any] = 0
    """Number of input token ids, 0 ... vocabulary - 1; 0 where the inputs are floating point features."""

    in_features: ClassVar[Any] = 0
    """Features of one input, for `cell.init(key, in_features)`; 0 where the inputs are tokens."""

    out_features: ClassVar[Any]
    """Classes V, or dimensions F of a regression target."""

    score_name: ClassVar[Any]
    """What `score` measures: "accuracy", "mse" or "nats"."""

    higher_is_better: ClassVar[Any]
    """Which way the score goes."""

    min_length: ClassVar[Any] = 1
    """The least true length that a sequence can have."""

    @property
    def about(self) -> str:
        """One line on the task: the first of its class's docstring."""
        return (type(self).__doc__ or "").partition("\n")[0]

    def sample(
        self, key: Key[Array, ""], batch_size: int, length: int, lengths: Sequence[int] | Int[Array, " B"] | None = None
    ) -> Batch:
        """Draw sequences. The same key gives the same batch, in float32 and int32 whatever the precision of JAX.

        Sequences are independent. Steps beyond a true length are zero; targets that do not count are zero.

        >>> import jax
        >>> from seqjax import tasks
        >>> batch = tasks.parity.sample(jax.random.key(0), 2, 6, lengths=[4, 6])
        >>> batch.inputs.tolist()  # bits, then the empty token 2, then padding
        [[1, 1, 1, 2, 0, 0], [0, 0, 0, 1, 1, 2]]
        >>> batch.weights.astype(int).tolist()
        [[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1]]

        Args:
            key: from `jax.random.key`.
            batch_size: B, how many sequences; static.
            length: T, steps of the arrays; static.
            lengths: true lengths, whole numbers `[B]`, `min_length` ... T; T for all where None. May be traced, and is
                then clipped to that range. Each is rounded down to what the task can have (see its class), and
                `Batch.lengths` says to what.

        Returns:
            inputs tokens `[B, T]` or features `[B, T, D]`, targets classes `[B, T]` or `[B, T, F]`, weights `[B, T]`,
            True where a target counts, lengths `[B]`.

        Raises:
            ArgumentError, ArgumentTypeError: an argument that cannot be right.
        """
        batch_size = whole_number(f"{self!r}: batch_size", batch_size, 1)
        length = self._check_length(length)
        check_key(self, key)
        lengths = np.full(batch_size, length) if lengths is None else self._check_lengths(lengths, batch_size, length)
        return _sample(self, jax.random.split(key, batch_size), jnp.asarray(lengths).astype(jnp.int32), length)

    def as_text(self, length: int, seed: int = 0) -> str:
        """One sequence to read: a line for the inputs (for each feature where they are numbers), one for the targets.

        A point stands where no target counts.

        >>> from seqjax import tasks
        >>> print(tasks.reverse.as_text(6, seed=1))
        input   1 1 0 2 2 2
        target  . . . 0 1 1

        Raises:
            ArgumentError, ArgumentTypeError: a length that no sequence of the task can have, or no seed.
        """
        batch = self.sample(jax.random.key(key_number("seed", seed)), 1, length)
        inputs, targets, weights = (np.asarray(part)[0, : batch.lengths[0]] for part in batch[:3])
        rows = {}
        for name, array in (("input", inputs), ("target", targets)):
            columns = array[:, None] if array.ndim == 1 else array
            for d, column in enumerate(columns.T, 1):
                counts = weights if name == "target" else np.ones_like(weights)
                words = [_short(value) if there else "." for value, there in zip(column.tolist(), counts)]
                rows[name if columns.shape[1] == 1 else f"{name} {d}"] = words
        widths = [max(map(len, words)) for words in zip(*rows.values())]
        label = max(map(len, rows))
        lines = [" ".join(word.rjust(width) for word, width in zip(words, widths)) for words in rows.values()]
        return "\n".join(f"{name:{label}}  {line}" for name, line in zip(rows, lines))

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        """Draw one sequence of n real steps: inputs `[T]` or `[T, D]`, targets `[T]` or `[T, F]`, weights `[T]`.

        n is traced, one of those that `round_length` gives. What stands beyond n, or under a weight of False, is free.
        """
        raise TypeError(f"{type(self).__name__} must define example(key, n, length)")

    def round_length(self, n: Steps) -> Steps:
        """The greatest true length, at most n, that the task can have."""
        return n

    def loss(self, outputs: Float[Array, "B T V"], batch: Batch) -> Float[Array, ""]:
        """Mean over the steps that count: a scalar to minimise.  outputs `[B, T, out_features]`.

        Whatever the outputs are at the other steps, NaN too, changes neither value nor gradient.

        Raises:
            ArgumentError, ArgumentTypeError: outputs of another shape or dtype.
        """
        raise TypeError(f"{type(self).__name__} must define loss(outputs, batch)")

    def score(self, outputs: Float[Array, "B T V"], batch: Batch) -> Float[Array, ""]:
        """Mean over the steps that count, of what `score_name` says: a scalar to report.

        Raises:
            ArgumentError, ArgumentTypeError: outputs of another shape or dtype.
        """
        raise TypeError(f"{type(self).__name__} must define score(outputs, batch)")

    def baseline(self, length: int) -> float:
        """Expected score of the best answer that looks at no input, knowing the task, the length and the step.

        >>> from seqjax import tasks
        >>> print(f"{tasks.adding.baseline(100):.4f} {tasks.cycle_navigation.baseline(5):.4f}")
        0.1667 0.2346

        Raises:
            ArgumentError, ArgumentTypeError: a length that no sequence of the task can have.
        """
        return float(self.baseline_for(int(self.round_length(self._check_length(length)))))

    def baseline_for(self, n: int) -> float:
        """The baseline for a true length n that the task can have."""
        raise TypeError(f"{type(self).__name__} must define baseline_for(n)")

    def _check_length(self, length: int) -> int:
        return whole_number(f"{self!r}: length", length, self.min_length)

    def _check_lengths(self, given: Sequence[int] | Int[Array, " B"], batch_size: int, length: int) -> Int[Array, " B"]:
        given = given if isinstance(given, (jax.Array, np.ndarray)) else np.asarray(given)
        if not jnp.issubdtype(given.dtype, jnp.integer):
            raise ArgumentTypeError(f"{self!r}: lengths must be whole numbers of steps, found dtype {given.dtype}")
        if given.shape != (batch_size,):
            raise ArgumentError(
                f"{self!r}: lengths has shape {given.shape}, expected one for each sequence, {(batch_size,)}"
            )
        if known(given):
            values = np.asarray(given)
            if values.min() < self.min_length or values.max() > length:
                wrong = int(values.min() if values.min() < self.min_length else values.max())
                raise ArgumentError(
                    f"{self!r}: lengths must be in {self.min_length} ... {length} (min_length ... length), "
                    f"found {wrong}"
                )
        return given


@functools.partial(jax.jit, static_argnums=(0, 3))
def _sample(task: Task, keys: Key[Array, " B"], lengths: Int[Array, " B"], length: int) -> Batch:
    lengths = jnp.asarray(task.round_length(jnp.clip(lengths, task.min_length, length)))
    inputs, targets, weights = jax.vmap(lambda key, n: _example(task, key, n, length))(keys, lengths)
    real = jax.lax.broadcasted_iota(jnp.int32, weights.shape, 1) < lengths[:, None]
    weights = weights & real
    return Batch(_zero_unless(real, inputs), _zero_unless(weights, targets), weights, lengths)


def _example(task: Task, key: Key[Array, ""], n: Int[Array, ""], length: int) -> tuple[jax.Array, ...]:
    """`task.example`, whose parts must have a step each: targets of shape () would be spread over the batch."""
    parts = tuple(map(jnp.asarray, task.example(key, n, length)))
    for name, part in zip(("inputs", "targets", "weights"), parts):
        if part.shape[:1] != (length,) or (name == "weights" and part.shape != (length,)):
            raise ArgumentError(
                f"{task!r}: example gave {name} of shape {part.shape}, expected ({length}, ...), one for each step"
            )
    if parts[2].dtype != bool:
        raise ArgumentTypeError(f"{task!r}: example gave weights of dtype {parts[2].dtype}, expected bool")
    return parts


def _zero_unless(mask: Bool[Array, "B T"], array: Num[Array, "B T ..."]) -> Num[Array, "B T ..."]:
    """Zero where the mask is False; int32 or float32, whatever the precision of JAX."""
    dtype = jnp.float32 if jnp.issubdtype(array.dtype, jnp.floating) else jnp.int32
    mask = mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim))
    return jnp.where(mask, array, 0).astype(dtype)


def _short(value: int | float) -> str:
    """At most two decimals."""
    return str(value) if isinstance(value, int) else f"{value:.2f}".rstrip("0").rstrip(".")
