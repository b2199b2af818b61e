"""Many to many, of another length: an English caption of a picture, in German.

The attending LSTM of `experiments/translation.py`, so small that it is trained in minutes. It reads and writes
sub-words of bytes, so no word is unknown: a rare one is spelt, and then often translated wrongly.
Expectation: short captions come out right, or nearly; BLEU is far below what more width and passes give, and far above
that of the English text itself (the baseline).

    python -m experiments.applications.translate --seeds 0 1 2
    python -m experiments.applications.translate --model RUN --apply "A man in a blue shirt is standing on a ladder."

Behind the translation stands, for each of its words, the word of the source that had most of the attention.
"""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments import translation
from experiments.applications.apply import application, check_given
from experiments.translation import Coders
from seqjax import decode
from seqjax._internal.types import Array, Float, Int
from seqjax.checkpoint import Model
from seqjax.diagnostics import attention_weights
from seqjax.seq2seq import EncoderDecoder
from seqjax.text import Tokenizer


@dataclass(frozen=True)
class Config(translation.Config):
    """Options of the experiment."""

    models: tuple[str, ...] = ("lstm",)
    """gru and lstm with attention, transformer"""
    vocabulary: int = 1500
    """Sub-words of each language"""
    width: int = 96
    """Of the recurrent decoder, and of both directions of its encoder together"""
    embedding: int = 64
    """Features of a sub-word, and width of the transformer"""
    epochs: int = 3
    """Passes through the training pairs"""
    learning_rate: float = 4e-3
    """Of Adam, after the warm-up; it falls to a twentieth along a cosine"""
    dropout: float = 0.1
    """Share of the features of a sub-word, and of outputs, that a training step does not see"""


def main(config: Config) -> dict[str, Any]:
    """Train each model, and test the parameters of the pass with the best validation.

    Raises:
        ArgumentError: an option out of range, or no such model.
    """
    return translation.compare("translate", config)


def apply(model: Model, text: str) -> str:
    """The translation by beam search, and what was looked at for each of its words."""
    assert isinstance(model.cell, EncoderDecoder)  # as `find_model` has seen
    coders = Coders(model.assets["source"], model.assets["target"])
    (found,) = translation.translate(model.cell, model.params, coders, [check_given(text)], decode.beam(5, n_best=1))
    looks = ", ".join(f"{word}: {source}" for word, source in align(model, coders, text, found))
    return f"{text} -> {found}" + (f" ({looks})" if looks else "")


def align(model: Model, coders: Coders, source: str, target: str) -> list[tuple[str, str]]:
    """Each word of the target, and the word of the source with most of its attention; of a transformer, nothing."""
    still = model.cell.evaluation()
    assert isinstance(still, EncoderDecoder)  # as switching dropout off leaves it
    read, written = coders.source.encode(source, end=True), coders.target.encode(target, end=True)
    carry = still.initial_carry(model.params, (1,), source=(read[None], np.array([len(read)])))
    given = np.append(still.begin, written[:-1])[None]
    seen = list(attention_weights(still, model.params, given, carry).values())
    if len(seen) > 1 or not target:
        return []
    rows, columns = words_of(coders.target, written[:-1]), words_of(coders.source, read[:-1])
    return most_looked_at(np.asarray(seen[0][0], np.float64)[:-1, :-1], rows, columns)


def words_of(coder: Tokenizer, ids: Int[np.ndarray, " T"]) -> list[tuple[str, list[int]]]:
    """What stands between blanks, and the places of its sub-words; "." and "," go with the word before."""
    places: list[list[int]] = []
    for at, piece in enumerate(ids):
        if not places or coder.decode([piece]).startswith(" "):
            places.append([])
        places[-1].append(at)
    return [(coder.decode(ids[own]).strip(), own) for own in places]


def most_looked_at(
    weights: Float[Array, "T S"], rows: list[tuple[str, list[int]]], columns: list[tuple[str, list[int]]]
) -> list[tuple[str, str]]:
    """For each word of the rows the word of the columns with the largest sum of weights."""
    sums = [[float(weights[np.ix_(mine, theirs)].sum()) for _, theirs in columns] for _, mine in rows]
    return [(word, columns[int(np.argmax(row))][0]) for (word, _), row in zip(rows, sums)]


if __name__ == "__main__":
    application(main, Config, __doc__, apply, sys.argv[1:])
