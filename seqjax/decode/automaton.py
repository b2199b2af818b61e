"""How much of several phrases a text holds, as it grows token by token."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Int
from seqjax.decode.candidates import take

Phrases = tuple[tuple[int, ...], ...]


class Automaton(NamedTuple):
    """For phrases P and their tokens (columns; column 0 stands for any other token): what progress follows on which.

    The progress of a phrase is the length of its longest beginning with which the text ends, and stays at the whole
    length once it was there (Knuth, Morris and Pratt 1977).

    after: int32 `[P, 1 + longest, columns]`. columns: int32 `[V]`. lengths: int32 `[P]`.
    """

    after: Int[np.ndarray, "P M U"]
    columns: Int[np.ndarray, " V"]
    lengths: Int[np.ndarray, " P"]

    def banks(self, progress: Int[Array, "B K P"]) -> Int[jax.Array, "B K V"]:
        """How many tokens of the phrases each continuation holds (see `bank`)."""
        follows = self._follow(progress)
        return jnp.take(bank(follows, self.lengths), self.columns, axis=-1)

    def move(
        self, progress: Int[Array, "B K P"], parents: Int[Array, "B M"], tokens: Int[Array, "B M"]
    ) -> Int[jax.Array, "B M P"]:
        """The progress of continuations."""
        follows = take(jnp.moveaxis(self._follow(progress), -2, -1), parents)
        columns = jnp.asarray(self.columns)[tokens][..., None, None]
        return jnp.take_along_axis(follows, columns, axis=-2)[..., 0, :]

    def _follow(self, progress: Int[Array, "B K P"]) -> Int[jax.Array, "B K P U"]:
        return jnp.asarray(self.after)[np.arange(len(self.lengths)), progress]


def bank(progress: Int[Array, "... P U"], lengths: Int[np.ndarray, " P"]) -> Int[jax.Array, "... U"]:
    """Lengths of the phrases that are whole, and the largest progress of the others.

    The next token of the phrase with that progress adds one, or more, whatever it does to the others. So from every
    text all phrases can be reached, one token and one bank, or more, a step.
    """
    sizes = jnp.reshape(jnp.asarray(lengths), (*(1,) * (progress.ndim - 2), -1, 1))
    whole = progress == sizes
    return jnp.sum(jnp.where(whole, sizes, 0), axis=-2) + jnp.max(jnp.where(whole, 0, progress), axis=-2)


def make_automaton(phrases: Phrases, vocabulary: int) -> Automaton:
    """The automaton of phrases of token ids."""
    known = sorted({token for phrase in phrases for token in phrase})
    columns = np.zeros(vocabulary, np.int32)
    columns[known] = np.arange(1, len(known) + 1)
    after = np.zeros((len(phrases), 1 + max(map(len, phrases)), 1 + len(known)), np.int32)
    for row, phrase in zip(after, phrases):
        row[len(phrase)] = len(phrase)
        for progress in range(len(phrase)):
            row[progress, 1:] = [overlap(phrase, (*phrase[:progress], token)) for token in known]
    return Automaton(after, columns, np.array([len(phrase) for phrase in phrases], np.int32))


def overlap(phrase: tuple[int, ...], text: tuple[int, ...]) -> int:
    """The length of the longest beginning of the phrase with which the text ends."""
    return next(n for n in range(min(len(phrase), len(text)), -1, -1) if phrase[:n] == text[len(text) - n :])
