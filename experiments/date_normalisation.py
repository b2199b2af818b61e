"""Does a recurrent decoder that looks back at its source read dates better than one that gets a summary of it?

"Saturday, 9 May 1998", "may 3rd 2001" and "9/10/09" are to be written as 1998-05-09, 2001-05-03 and 2009-10-09,
character by character: a classic exercise for attention, as every character of the answer has its place in the source,
in another order. The dates are written in English, German, French, Spanish and in numbers alone; what numbers mean is
settled in `harness.dates`. Days of the test are not among those of training.
Expectation: a bidirectional GRU whose decoder attends to it with Bahdanau's score (2015) is right after fewer updates
than one of as many parameters whose decoder gets the two ends of it alone; given enough updates the second catches up,
as a date is short and its meaning always of one form. Words should take longest, as each month of each language has to
be learned by itself.

Seeds are one program. Training dates are seen about once, so their share of right answers is the curve.

    python -m experiments.date_normalisation
    python -m experiments.date_normalisation --decoders additive general --steps 3000
"""

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.harness import dates, members, pairs
from experiments.harness.cells import count_parameters
from experiments.harness.command import check_options, command
from experiments.harness.dates import Written
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import interval, spread
from experiments.harness.tables import table
from seqjax import batching, losses, plot, train
from seqjax._internal.types import Array, Float, Int, PyTree
from seqjax.diagnostics import attention_weights
from seqjax.seq2seq import EncoderDecoder
from seqjax.text import Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DECODERS = ("fixed", "additive", "dot", "general", "concat")
SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")
ISO = 11
"""Characters of an answer, and its end."""
SAMPLES = (
    "Saturday, 9 May 1998", "may 3rd 2001", "9/10/09", "Mittwoch, den 7. Januar 2015", "LE 14 JUILLET 1989",
    "31 de diciembre de 1999", "20240229", "the 3rd of October 1990",
)  # fmt: skip
"""Dates that are written down at the end; the forms of the fifth and the last are none of training."""
POSITIVE = ("parameters", "pairs", "held_out", "evaluation", *members.POSITIVE)


@dataclass(frozen=True)
class Config(members.Members):
    """Options of the experiment."""

    decoders: tuple[str, ...] = ("fixed", "additive")
    """fixed: the ends of the encoder alone; or a score of attention"""
    parameters: int = 50_000
    """Of each model, as nearly as its width allows"""
    steps: int = 800
    """Updates"""
    batch_size: int = 64
    """Dates in a batch"""
    pairs: int = 50_000
    """Dates to train on"""
    held_out: int = 4000
    """Days of the test, of the 36,525 that there are"""
    evaluation: int = 2000
    """Dates of the test"""


def main(config: Config) -> dict[str, Any]:
    """Train each model; table and figures are also in the run folder.

    Raises:
        ArgumentError: an option out of range, or no such decoder.
    """
    check_options(config, *POSITIVE)
    for name in config.decoders:
        if name not in DECODERS:
            raise sj.ArgumentError(f"decoders must be of {', '.join(DECODERS)}, found {name!r}")
    days = dates.LAST.toordinal() - dates.FIRST.toordinal()
    if not 1 < config.held_out < days:
        raise sj.ArgumentError(f"held_out must be in [2, {days}), found {config.held_out}: there are {days + 1} days")
    run = Run("date_normalisation", config, by=("decoder",))
    rows = run.work({name: functools.partial(study, config, name) for name in config.decoders})
    print(table(spread(rows, run.by)))
    print(*(f"{row['decoder']}, seed {row['seed']}: {'; '.join(row['samples'])}" for row in rows), sep="\n")
    print_figures(run, lambda: figures(rows))
    summary = {"by": list(run.by), "measure": "exact_match", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def make_data(config: Config) -> tuple[list[Written], list[Written], list[Written]]:
    """Dates of training, and others for validation and test."""
    rng = np.random.default_rng(config.seed)
    seen, new = dates.split_days(config.held_out, rng)
    return (
        dates.sample(seen, config.pairs, rng),
        dates.sample(new[::2], config.evaluation, rng),
        dates.sample(new[1::2], config.evaluation, rng),
    )


def encode(written: Sequence[Written], characters: Vocabulary, batch_size: int, seed: int = 0) -> batching.Shuffled:
    """As ids."""
    sources = characters.encode_all((each.text for each in written), end=True)
    targets = characters.encode_all((each.iso for each in written), end=True)
    return batching.Shuffled(sources, targets, batch_size, seed, pairs=True, shuffle=batch_size < len(written))


def study(config: Config, name: str, folder: Path) -> Rows:
    """Train all members; a row for each."""
    begun, (seen, valid, test) = time.time(), make_data(config)
    characters = Vocabulary.characters((each.text + each.iso for each in seen), specials=SPECIALS)
    size, begin = len(characters), characters.id("<bos>")
    model = pairs.match(lambda width: pairs.recurrent(size, begin, width, name), config.parameters)
    loss = train.make_loss(model, losses.cross_entropy, metrics={"exact_match": whole})
    source = encode(seen, characters, min(config.batch_size, len(seen)), config.seed)
    found = members.fit_members(model, loss, source, config, rows=20)
    same = {"parameters": count_parameters(model, 0), "updates": config.steps, "seconds": round(time.time() - begun, 1)}
    rows = []
    for i, seed in enumerate(config.seeds):
        params = members.params_of(found, i)
        row = {"decoder": name, "seed": seed} | scores(model, params, characters, valid, test) | same
        row["curve"] = [[at["step"], float(at["exact_match"][i, 0])] for at in found.history]
        answers = [f"{text} -> {iso}" for text, iso in zip(SAMPLES, normalise(model, params, characters, SAMPLES))]
        row |= {"samples": answers, "alignment": alignment(model, params, characters, SAMPLES[0])}
        rows.append(row)
    return rows


def whole(logits: Float[Array, "B T V"], targets: Int[Array, "B T"]) -> Float[Array, "B T"]:
    """Whether all characters of an answer are right.

    With the right ones before each, which is the same: what comes first is wrong either way, or right.
    """
    right = losses.accuracy(logits, targets).min(axis=-1, keepdims=True)
    return jnp.broadcast_to(right, targets.shape)


def scores(
    model: EncoderDecoder, params: PyTree, characters: Vocabulary, valid: Sequence[Written], test: Sequence[Written]
) -> Row:
    """Shares of answers and of their characters that are right, and of answers to each kind of date."""
    found = []
    for part in (valid, test):
        batch = encode(part, characters, len(part)).batch(0)
        found.append(pairs.right(pairs.answers(model, params, batch, ISO, characters.id("<eos>")), batch))
    (known, _), (answers, each) = found
    row: Row = {"exact_match": float(answers.mean()), "valid_exact_match": float(known.mean())}
    row["token_accuracy"] = float(each.mean())
    kinds = np.array([written.kind for written in test])
    return row | {f"exact_match_{k}": float(answers[kinds == k].mean()) for k in dates.FORMATS if (kinds == k).any()}


def normalise(model: EncoderDecoder, params: PyTree, characters: Vocabulary, texts: Sequence[str]) -> list[str]:
    """What the model makes of each date."""
    batch = encode([Written("", text, "") for text in texts], characters, len(texts)).batch(0)
    tokens = np.asarray(pairs.answers(model, params, batch, ISO, characters.id("<eos>")))
    return [characters.decode(row) for row in tokens]


def alignment(model: EncoderDecoder, params: PyTree, characters: Vocabulary, text: str) -> list[list[float]]:
    """Where the model looks for each character of its answer, `[T, S]`."""
    (iso,) = normalise(model, params, characters, [text])
    batch = encode([Written("", text, iso)], characters, 1).batch(0)
    carry = model.initial_carry(params, (1,), source=(jnp.asarray(batch.inputs), jnp.asarray(batch.lengths)))
    tokens = jnp.concatenate([jnp.full((1, 1), model.begin), jnp.asarray(batch.targets)[:, :-1]], axis=1)
    (weights,) = attention_weights(model, params, tokens, carry).values()
    return np.asarray(weights)[0].round(3).tolist()


def figures(rows: Rows) -> Mapping[str, "Figure"]:
    """The share of right answers over training, and where each score of attention of the first seed looks."""
    curves: dict[str, list[tuple[list[float], list[float]]]] = {}
    ends: dict[str, tuple[float, float]] = {}
    maps: dict[str, Figure] = {}
    for name in dict.fromkeys(row["decoder"] for row in rows):
        own = [row for row in rows if row["decoder"] == name]
        curves[name] = [([at for at, _ in row["curve"]], [share for _, share in row["curve"]]) for row in own]
        ends[name] = interval([float(row["exact_match"]) for row in own])
        if name != "fixed":
            text, iso = own[0]["samples"][0].split(" -> ")
            weights = np.array(own[0]["alignment"])
            maps[f"alignment_{name}"] = plot.attention(weights, [*iso, "end"], [*text, "end"], title=f"{name}: {iso}")
    title = "Dates in many forms, written as 1998-05-09"
    drawn = plot.comparison(curves, ends, "share of right answers", title=title, bounds=(0, 1))
    drawn.axes[0].set(yscale="linear", ylim=(0, 1.02))
    return {"exact_match": drawn} | maps


if __name__ == "__main__":
    command(main, Config, __doc__)
