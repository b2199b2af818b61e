"""Wrong calls are named, and traced lengths are clipped."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import tasks
from seqjax.errors import ArgumentError, ArgumentTypeError

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: tasks.adding.sample(KEY, 0, 10), ArgumentError, "batch_size must be a whole number of at least 1"),
        (lambda: tasks.adding.sample(KEY, 2.0, 10), ArgumentTypeError, "batch_size must be a whole number"),
        (lambda: tasks.adding.sample(KEY, True, 10), ArgumentTypeError, "batch_size must be a whole number"),
        (lambda: tasks.adding.sample(KEY, 2, 1), ArgumentError, "length must be a whole number of at least 2"),
        (lambda: tasks.copy_memory.sample(KEY, 2, 20), ArgumentError, "length must be a whole number of at least 21"),
        (lambda: jax.jit(tasks.adding.sample)(KEY, 2, 10), ArgumentTypeError, "static"),
        (lambda: tasks.adding.sample(0, 2, 10), ArgumentTypeError, "jax.random.key"),
        (lambda: tasks.adding.sample(jax.random.split(KEY), 2, 10), ArgumentTypeError, "one key"),
        (lambda: tasks.adding.sample(KEY, 2, 10, [5, 11]), ArgumentError, r"2 \.\.\. 10 .*found 11"),
        (lambda: tasks.adding.sample(KEY, 2, 10, np.array([1, 5])), ArgumentError, "found 1"),
        (lambda: tasks.adding.sample(KEY, 2, 10, [5, 5, 5]), ArgumentError, r"\(3,\), expected"),
        (lambda: tasks.adding.sample(KEY, 2, 10, [5.0, 5.0]), ArgumentTypeError, "float64"),
        (lambda: tasks.adding.baseline(1), ArgumentError, "at least 2"),
        (lambda: tasks.parity.loss(jnp.zeros((2, 5, 3)), tasks.parity.sample(KEY, 2, 5)), ArgumentError, r"Dense\(2\)"),
        (
            lambda: tasks.parity.score(jnp.zeros((2, 5, 2), int), tasks.parity.sample(KEY, 2, 5)),
            ArgumentTypeError,
            "floating",
        ),
        (lambda: tasks.find("adding_97"), ArgumentError, "'adding_1997'"),
        (lambda: tasks.CopyMemory(symbols=1), ArgumentError, "symbols must be a whole number of at least 2"),
        (lambda: tasks.SelectiveCopy(memory=0), ArgumentError, "memory"),
        (lambda: tasks.DelayedXor(delay=1.5), ArgumentError, "delay"),
        (lambda: tasks.TwoSequence(noise=-1.0), ArgumentError, "variance"),
        (lambda: tasks.Reverse(symbols=1), ArgumentError, "symbols"),
        (lambda: tasks.CycleNavigation(places=1), ArgumentError, "places"),
        (lambda: tasks.ModularArithmetic(modulus=True), ArgumentError, "modulus"),
        (lambda: tasks.AssociativeRecall(16, 8), ArgumentError, "distinct keys"),
        (lambda: tasks.AssociativeRecall(power=float("nan")), ArgumentError, "power"),
        (lambda: tasks.InductionHeads(symbols=1), ArgumentError, "symbols"),
        (lambda: tasks.WordProblem("B5"), ArgumentError, "A4xZ5"),
        (lambda: tasks.WordProblem("S7"), ArgumentError, "720"),
        (lambda: tasks.MackeyGlass(ahead=0), ArgumentError, "ahead"),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_traced_lengths_are_clipped_to_what_the_task_can_have():
    found = jax.jit(lambda n: tasks.adding.sample(KEY, 3, 10, n).lengths)(jnp.array([-4, 5, 99], jnp.int8))
    np.testing.assert_array_equal(found, [2, 5, 10])


@pytest.mark.parametrize(
    ("part", "value", "error", "words"),
    [
        (1, jnp.int32(1), ArgumentError, r"targets of shape \(\), expected \(5, ...\)"),
        (0, jnp.zeros(4, int), ArgumentError, r"inputs of shape \(4,\)"),
        (2, jnp.ones((5, 2), bool), ArgumentError, r"weights of shape \(5, 2\)"),
        (2, jnp.ones(5, int), ArgumentTypeError, "weights of dtype int32, expected bool"),
    ],
)
def test_an_example_without_a_value_for_each_step_is_refused(part, value, error, words):
    """Targets of shape () were spread over the batch: wrong in silence where B equals T."""

    class Wrong(tasks.Classification):
        """A task of one's own."""

        vocabulary, out_features = 2, 2

        def example(self, key, n, length):
            parts = [jnp.zeros(length, int), jnp.zeros(length, int), jnp.ones(length, bool)]
            parts[part] = value
            return tuple(parts)

    with pytest.raises(error, match=words):
        Wrong().sample(jax.random.key(0), 5, 5)
