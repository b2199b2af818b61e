"""Constrained beam search: texts that hold given words."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Bool, Int
from seqjax._internal.validation import whole_number
from seqjax.decode import beams
from seqjax.decode import candidates as c
from seqjax.decode.automaton import Phrases, make_automaton
from seqjax.decode.beam import check_early_stop, check_width
from seqjax.decode.beams import Beams
from seqjax.decode.generation import Generation
from seqjax.decode.scoring import LengthPenalty, Rules, as_penalty
from seqjax.decode.strategy import Choice, Sizes, Strategy, View, Written
from seqjax.errors import ArgumentError, ArgumentTypeError

Words = tuple[int | tuple[int, ...], ...]
"""Token ids, or tuples of them."""


class Grid(NamedTuple):
    """A search in banks: K = `width` hypotheses times banks, bank after bank; and how far each is with each phrase."""

    beams: Beams
    progress: Int[jax.Array, "B K P"]


class Constrained(Strategy):
    """Beam search for texts that hold given words; made by `constrained`."""

    width: int
    words: Words
    _: dataclasses.KW_ONLY
    length_penalty: float | LengthPenalty = 1.0
    early_stop: bool | str = False
    n_best: int | None = None

    def __post_init__(self) -> None:
        check_width("constrained", self.width, self.n_best)
        object.__setattr__(self, "words", check_words(self.words))  # a list may be given
        as_penalty(self.length_penalty)
        check_early_stop("constrained", self.early_stop)

    @property
    def phrases(self) -> Phrases:
        """The words, each a tuple."""
        return tuple(word if isinstance(word, tuple) else (word,) for word in self.words)

    @property
    def needed(self) -> int:
        """Tokens of all words."""
        return sum(map(len, self.phrases))

    @property
    def beams(self) -> int:
        """K: `width` for each number of tokens of the words, 0 to all."""
        return self.width * (1 + self.needed)

    def check(self, vocabulary: int, steps: int, stop: tuple[int, ...]) -> None:
        """Refuse words that cannot be written.

        Raises:
            ArgumentError: out of the vocabulary, with a stop token in them, or too long for so few steps.
        """
        for token in (token for phrase in self.phrases for token in phrase):
            if token >= vocabulary:
                raise ArgumentError(f"constrained: words has the token {token}, but the vocabulary has {vocabulary}")
            if token in stop:
                raise ArgumentError(f"constrained: words has the token {token}, at which a text stops")
        if 0 < steps < self.needed:
            raise ArgumentError(f"constrained: words has {self.needed} tokens, which do not fit into {steps} steps")

    def init(self, sizes: Sizes) -> Grid:
        """One empty hypothesis, in the first bank."""
        start = beams.begin(sizes, self.beams, self.width)
        return Grid(start, jnp.zeros((sizes.batch, self.beams, len(self.words)), jnp.int32))

    def select(self, search: Grid, view: View) -> tuple[Grid, Choice]:
        """The best continuations of each bank; a text ends when it holds all words."""
        automaton, count = (
            make_automaton(self.phrases, view.log_probs.shape[-1]),
            beams.count_candidates(self.width, view),
        )
        totals, banks = beams.totals_of(search.beams.live, view), automaton.banks(search.progress)
        tokens = jnp.arange(totals.shape[-1], dtype=jnp.int32)
        totals = jnp.where(view.is_stop(tokens)[None, None] & (banks < self.needed), -jnp.inf, totals)
        found = [
            c.best(jnp.where(banks == bank, totals, -jnp.inf), totals, view.log_probs, count)
            for bank in range(self.needed + 1)
        ]
        kept = [c.go_on(candidates, beams.must_end(candidates, view), self.width) for candidates in found]
        joined, whole = c.Candidates(*(jnp.concatenate(parts, axis=-1) for parts in zip(*kept))), found[-1]
        ends = beams.must_end(whole, view) & (jnp.arange(whole.tokens.shape[-1]) < self.width)[None]
        rules = Rules(as_penalty(self.length_penalty), self.early_stop)
        after = beams.advance(search.beams, view, rules, whole, ends, joined)
        progress = automaton.move(search.progress, joined.parents, joined.tokens)
        return Grid(after, progress), beams.make_choice(joined, after)

    def done(self, search: Grid) -> Bool[jax.Array, " B"]:
        """Where no better hypothesis is looked for."""
        return search.beams.closed

    def finish(self, search: Grid, written: Written) -> Generation:
        """The hypotheses that have ended, best first."""
        return beams.results(search.beams, written.fill, self.n_best or self.width)


def check_words(words: object) -> Phrases:
    """Words as tuples of token ids.

    Raises:
        ArgumentError, ArgumentTypeError: no words, an empty one, one twice, or what are no token ids.
    """
    if isinstance(words, str) or not hasattr(words, "__iter__"):
        raise ArgumentTypeError(
            f"constrained: words must be token ids, or tuples of them, found {words!r}. Encode them"
        )
    phrases = tuple(tuple(word) if hasattr(word, "__iter__") else (word,) for word in words)
    if not phrases or not all(phrases):
        raise ArgumentError(f"constrained: words must be one word at least, of one token at least, found {words!r}")
    phrases = tuple(tuple(whole_number("constrained: a token of words", t) for t in phrase) for phrase in phrases)
    if len(set(phrases)) < len(phrases):
        raise ArgumentError(f"constrained: words has a word twice, which is to be there once: {words!r}")
    return phrases


def constrained(
    width: int,
    words: Words,
    *,
    length_penalty: float | LengthPenalty = 1.0,
    early_stop: bool | str = False,
    n_best: int | None = None,
) -> Constrained:
    """Beam search for texts that hold all of `words` (grid beam search, Hokamp & Liu 2017).

    Hypotheses are in banks by how many tokens of the words they hold, c = 0 ... C, and `width` of each bank go on:
    C + 1 times the beams of `beam(width)`. Only texts in bank C stop or are results. How far a text is with a word
    follows from the text, so no text is in two banks, and a word that the model writes by itself counts. Every result
    holds all words, if the model gives no token the probability 0.

    Args:
        width: hypotheses in each bank.
        words: token ids, or tuples of them for words of several tokens; each must be in the text, in any order; they
            may overlap.
        length_penalty, early_stop, n_best: as in `beam`.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.decode import constrained, generate
        >>> model = sj.stack(sj.Embed(10, 8), sj.LSTM(16), sj.Dense(10))
        >>> params = model.init(jax.random.key(0), 0)
        >>> result = generate(model, params, jnp.array([1]), steps=6, strategy=constrained(2, (7, (3, 4))), stop=0)
        >>> [7 in text and (3, 4) in zip(text, text[1:]) for text in result.tokens[0].tolist()]
        [True, True]

    Raises:
        ArgumentError, ArgumentTypeError: an option that cannot be; words that do not fit into the steps, or hold a
            stop token.
    """
    return Constrained(width, words, length_penalty=length_penalty, early_stop=early_stop, n_best=n_best)
