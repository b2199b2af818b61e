"""What a task is: sequences drawn from a key, a loss, a score, and the score of an answer that looks at nothing."""

import functools
from typing import Any, ClassVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import losses
from seqjax._internal.spelling import Spelled
from seqjax._internal.validation import known
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError, ArgumentTypeError


@dataclass_transform(frozen_default=True)
class Task(Spelled):
    """A synthetic task: a frozen value without arrays, which is its own configuration.

    A subclass gives `example` for one sequence and the facts below; it prints as the call that makes it. Every
    task trains with the same lines:

        model = stack(Embed(task.vocabulary, 16), GRU(32), Dense(task.out_features))    without Embed for floats
        params = model.init(key, task.in_features)
        batch = task.sample(key, 32, 100)
        _, outputs = scan(model, params, batch.inputs, lengths=batch.lengths)
        loss, score = task.loss(outputs, batch), task.score(outputs, batch)
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

    def sample(self, key: jax.Array, batch_size: int, length: int, lengths: Any = None) -> Batch:
        """Draw sequences. The same key gives the same batch, in float32 and int32 whatever the precision of JAX.

        Sequences are independent. Steps beyond a true length are zero; targets that do not count are zero.

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
        batch_size = self._whole("batch_size", batch_size, 1)
        length = self._whole("length", length, self.min_length)
        dtype = getattr(key, "dtype", None)
        if not (dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) and key.shape == ()):
            raise ArgumentTypeError(f"{self!r}: key must be one key, as jax.random.key(0), found {key!r}")
        lengths = np.full(batch_size, length) if lengths is None else self._lengths(lengths, batch_size, length)
        return _sample(self, jax.random.split(key, batch_size), jnp.asarray(lengths).astype(jnp.int32), length)

    def example(self, key: jax.Array, n: jax.Array, length: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        """One sequence of n real steps: inputs `[T]` or `[T, D]`, targets `[T]` or `[T, F]`, weights `[T]`.

        n is traced, one of those that `round_length` gives. What stands beyond n, or under a weight of False, is free.
        """
        raise TypeError(f"{type(self).__name__} must define example(key, n, length)")

    def round_length(self, n: Any) -> Any:
        """The greatest true length, at most n, that the task can have."""
        return n

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """Mean over the steps that count: a scalar to minimise.  outputs `[B, T, out_features]`.

        Whatever the outputs are at the other steps, NaN too, changes neither value nor gradient.

        Raises:
            ArgumentError, ArgumentTypeError: outputs of another shape or dtype.
        """
        raise TypeError(f"{type(self).__name__} must define loss(outputs, batch)")

    def score(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """Mean over the steps that count, of what `score_name` says: a scalar to report.

        Raises:
            ArgumentError, ArgumentTypeError: outputs of another shape or dtype.
        """
        raise TypeError(f"{type(self).__name__} must define score(outputs, batch)")

    def baseline(self, length: int) -> float:
        """Expected score of the best answer that looks at no input, knowing the task, the length and the step.

        Raises:
            ArgumentError, ArgumentTypeError: a length that no sequence of the task can have.
        """
        return float(self.baseline_for(int(self.round_length(self._whole("length", length, self.min_length)))))

    def baseline_for(self, n: int) -> float:
        """The baseline for a true length n that the task can have."""
        raise TypeError(f"{type(self).__name__} must define baseline_for(n)")

    def _whole(self, name: str, value: Any, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            slip = " It must be static: mark it so for jit" if isinstance(value, jax.core.Tracer) else ""
            raise ArgumentTypeError(f"{self!r}: {name} must be a whole number, found {value!r}.{slip}")
        if value < least:
            raise ArgumentError(f"{self!r}: {name} must be at least {least}, found {value}")
        return int(value)

    def _lengths(self, given: Any, batch_size: int, length: int) -> Any:
        if not hasattr(given, "dtype"):
            given = np.asarray(given)
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
def _sample(task: Task, keys: jax.Array, lengths: jax.Array, length: int) -> Batch:
    lengths = task.round_length(jnp.clip(lengths, task.min_length, length))
    inputs, targets, mask = jax.vmap(lambda key, n: task.example(key, n, length))(keys, lengths)
    real = jax.lax.broadcasted_iota(jnp.int32, mask.shape, 1) < lengths[:, None]
    mask = mask & real
    return Batch(_kept(real, inputs), _kept(mask, targets), mask, lengths)


def _kept(mask: jax.Array, array: jax.Array) -> jax.Array:
    """Zero where the mask is False; int32 or float32."""
    dtype = jnp.float32 if jnp.issubdtype(array.dtype, jnp.floating) else jnp.int32
    mask = mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim))
    return jnp.where(mask, array, 0).astype(dtype)


def _check_outputs(task: Task, outputs: Any, batch: Batch) -> None:
    expected = (*batch.weights.shape, task.out_features)
    if not hasattr(outputs, "shape") or tuple(outputs.shape) != expected:
        found = f"shape {tuple(outputs.shape)}" if hasattr(outputs, "shape") else repr(outputs)
        raise ArgumentError(
            f"{task!r}: outputs must be [B, T, out_features] = {expected}, found {found}. "
            f"Is Dense({task.out_features}) the last layer?"
        )


class Classification(Task):
    """A task whose targets are classes: cross-entropy in nats as the loss, accuracy as the score."""

    score_name: ClassVar[Any] = "accuracy"
    higher_is_better: ClassVar[Any] = True

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """Mean cross-entropy in nats over the steps that count.  outputs (logits) `[B, T, V]`: a scalar."""
        _check_outputs(self, outputs, batch)
        return losses.weighted_mean(losses.cross_entropy(outputs, batch.targets), batch.weights)

    def score(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """Share of the steps that count at which the largest logit is the target's.  outputs `[B, T, V]`: a scalar."""
        _check_outputs(self, outputs, batch)
        return losses.weighted_mean(losses.accuracy(outputs, batch.targets), batch.weights)


class Regression(Task):
    """A task whose targets are numbers: the mean squared error is loss and score."""

    score_name: ClassVar[Any] = "mse"
    higher_is_better: ClassVar[Any] = False

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """Mean squared error over the steps that count and the features.  outputs `[B, T, F]`: a scalar."""
        _check_outputs(self, outputs, batch)
        return losses.weighted_mean(losses.squared_error(outputs, batch.targets), batch.weights)

    def score(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """The loss."""
        return self.loss(outputs, batch)
