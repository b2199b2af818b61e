"""What tasks of two kinds have in common: classes by cross-entropy and accuracy, numbers by squared error."""

from typing import Any, ClassVar

from seqjax import losses
from seqjax._internal.types import Array, Float
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError
from seqjax.tasks.base import Task


def _check_outputs(task: Task, outputs: Any, batch: Batch) -> None:
    expected = (*batch.weights.shape, task.out_features)
    if not hasattr(outputs, "shape") or tuple(outputs.shape) != expected:
        found = f"shape {tuple(outputs.shape)}" if hasattr(outputs, "shape") else repr(outputs)
        raise ArgumentError(
            f"{task!r}: outputs must be [B, T, out_features] = {expected}, found {found}. "
            f"Is Dense({task.out_features}) the last layer?"
        )


class Classification(Task):
    """A task whose targets are classes: cross-entropy in nats as the loss, accuracy as the score.

    A task of one's own gives `example` and `baseline_for`:

    >>> import jax, jax.numpy as jnp
    >>> class Previous(Classification):
    ...     "Say the bit before."
    ...     name, vocabulary, out_features, min_length = "previous", 2, 2, 2
    ...     def example(self, key, n, length):
    ...         bits = jax.random.randint(key, (length,), 0, 2)
    ...         return bits, jnp.roll(bits, 1), jnp.arange(length) > 0
    ...     def baseline_for(self, n):
    ...         return 1 / 2
    >>> print(Previous().as_text(6, seed=2))
    input   1 0 1 1 0 1
    target  . 1 0 1 1 0
    """

    score_name: ClassVar[Any] = "accuracy"
    higher_is_better: ClassVar[Any] = True

    def loss(self, outputs: Float[Array, "B T V"], batch: Batch) -> Float[Array, ""]:
        """Mean cross-entropy in nats over the steps that count.  outputs (logits) `[B, T, V]`: a scalar."""
        _check_outputs(self, outputs, batch)
        return losses.weighted_mean(losses.cross_entropy(outputs, batch.targets), batch.weights)

    def score(self, outputs: Float[Array, "B T V"], batch: Batch) -> Float[Array, ""]:
        """Share of the steps that count at which the largest logit is the target's.  outputs `[B, T, V]`: a scalar."""
        _check_outputs(self, outputs, batch)
        return losses.weighted_mean(losses.accuracy(outputs, batch.targets), batch.weights)


class Regression(Task):
    """A task whose targets are numbers: the mean squared error is loss and score.

    >>> import jax
    >>> from seqjax import tasks
    >>> batch = tasks.adding.sample(jax.random.key(0), 4096, 10)
    >>> blind = 0 * batch.targets + 1  # the mean, whatever the inputs are
    >>> print(f"{tasks.adding.score(blind, batch):.2f}, expected {tasks.adding.baseline(10):.2f}")
    0.17, expected 0.17
    """

    score_name: ClassVar[Any] = "mse"
    higher_is_better: ClassVar[Any] = False

    def loss(self, outputs: Float[Array, "B T V"], batch: Batch) -> Float[Array, ""]:
        """Mean squared error over the steps that count and the features.  outputs `[B, T, F]`: a scalar."""
        _check_outputs(self, outputs, batch)
        return losses.weighted_mean(losses.squared_error(outputs, batch.targets), batch.weights)

    def score(self, outputs: Float[Array, "B T V"], batch: Batch) -> Float[Array, ""]:
        return self.loss(outputs, batch)
