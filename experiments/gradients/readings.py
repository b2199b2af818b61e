"""Sequences with an answer at each step: texts, and strings whose answers lie on both sides."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.gradients import sources
from seqjax import Batch, batching
from seqjax._internal.types import Array, Float, Int, Key

DISTRACTORS = 4
HELD_OUT = 10  # the last tenth of a text is for the test


class Reading(NamedTuple):
    """Tokens to be read, and an answer at each step.

    draw: `(key, batch_size, length)` gives a batch for training; draw_test one for the test.
    blind: the accuracy of the best causal answer, where it is known.
    """

    name: str
    vocabulary: int
    classes: int
    draw: Callable[[Key[Array, ""], int, int], Batch]
    draw_test: Callable[[Key[Array, ""], int, int], Batch]
    blind: float | None

    def source(self, batch_size: int, length: int, seed: int, is_test: bool = False) -> batching.Synthetic:
        """Endless batches."""
        draw = self.draw_test if is_test else self.draw
        return batching.Synthetic(lambda key: draw(key, batch_size, length), seed=seed % 2**32)


def text(data: str) -> Reading:
    """The next character of Shakespeare or of a text file; the last tenth of it is kept for the test.

    Raises:
        ArgumentError: no such text. DataError: it cannot be read.
    """
    source = sources.load(data)
    assert source.ids is not None
    ids, cut = np.asarray(source.ids, np.int32), len(source.ids) - len(source.ids) // HELD_OUT
    train, test = (functools.partial(windows, part) for part in (ids[:cut], ids[cut:]))
    return Reading("text", source.classes, source.classes, train, test, None)


def windows(ids: Int[np.ndarray, " S"], key: Key[Array, ""], batch_size: int, length: int) -> Batch:
    """Windows of a text, and at each step its next character."""
    starts = jax.random.randint(key, (batch_size, 1), 0, len(ids) - length)
    found = jnp.asarray(ids)[starts + jnp.arange(length + 1)[None]]
    return _batch(found[:, :-1], found[:, 1:])


def keys(gap: int, length: int) -> Reading:
    """Keys among distractors: at each step, which was the last one, and which will be the next?"""
    draw = functools.partial(keys_batch, gap)
    share = 1 / gap + 2 * (1 - 1 / gap) / length  # of steps that are keys
    return Reading("keys", 2 + DISTRACTORS, 4, draw, draw, (1 + share) / 2)


def keys_batch(gap: int, key: Key[Array, ""], batch_size: int, length: int) -> Batch:
    """Ids 0 and 1 are keys, at each step with chance 1 / gap, and at the first and the last; 2 ... 5 distractors.

    The class at step t is 2 a + b, with a the last key up to t and b the first one from t on, so that both are the same
    at a key. A causal network cannot know b before it comes: its best accuracy is 1 at keys and 1/2 elsewhere.
    """
    where, which, rest = jax.random.split(key, 3)
    t = jnp.arange(length)
    is_key = jax.random.bernoulli(where, 1 / gap, (batch_size, length)) | ((t == 0) | (t == length - 1))[None]
    bits = jax.random.randint(which, (batch_size, length), 0, 2)
    before = lax.cummax(jnp.where(is_key, t[None], 0), axis=1)
    after = lax.cummin(jnp.where(is_key, t[None], length - 1), axis=1, reverse=True)
    last, following = (jnp.take_along_axis(bits, at, axis=1) for at in (before, after))
    others = jax.random.randint(rest, (batch_size, length), 2, 2 + DISTRACTORS)
    return _batch(jnp.where(is_key, bits, others), 2 * last + following)


def _batch(inputs: Int[jax.Array, "B T"], targets: Int[jax.Array, "B T"]) -> Batch:
    lengths = jnp.full(len(inputs), inputs.shape[1], jnp.int32)
    return Batch(inputs, targets, jnp.ones(targets.shape, bool), lengths)


def halves(logits: Float[Array, "B T 4"], targets: Int[Array, "B T"]) -> dict[str, Float[jax.Array, "B T"]]:
    """Which answers on keys are right about the last key, and which about the next one."""
    said = jnp.argmax(logits, -1)
    return {
        "last_key_accuracy": jnp.asarray(said // 2 == targets // 2, jnp.float32),
        "next_key_accuracy": jnp.asarray(said % 2 == targets % 2, jnp.float32),
    }
