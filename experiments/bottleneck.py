"""What does a context of fixed size cost as a source gets longer, and what does each kind of attention give instead?

Bahdanau et al. (2015, figure 2) in small: their encoder-decoder without attention writes ever worse translations as
sentences get longer, and the one that looks back at the source does not. Here a string of symbols is read and written
again, so every answer is right or wrong. Expectation: with the two ends of a bidirectional GRU as all that the decoder
gets, the share of right answers falls with the length, as the string has to fit into so many units (Cho et al. 2014);
with attention it stays near one up to the length of training, whichever score it has (additive, dot, general, concat:
Luong et al. 2015), and a transformer does as well where it gets enough updates. Beyond the length of training all fall,
as nothing has been asked of those places.

All models have about as many parameters: the width of each is the one that comes nearest to `parameters`. The encoder
is a bidirectional GRU of half the decoder's width in each direction, so that a dot product is possible; every decoder
starts from a projection of the ends. Seeds are one program.

    python -m experiments.bottleneck
    python -m experiments.bottleneck --decoders fixed additive --order reverse
"""

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import seqjax as sj
from experiments.harness import members, pairs
from experiments.harness.cells import count_parameters
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import interval, spread
from experiments.harness.tables import table
from seqjax import batching, nn, plot
from seqjax._internal.types import PyTree
from seqjax.interop import as_cell
from seqjax.seq2seq import EncoderDecoder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORES = ("additive", "dot", "general", "concat")
DECODERS = ("fixed", *SCORES, "transformer")
POSITIVE = ("symbols", "longest", "test_longest", "parameters", "every_length", "evaluation", *members.POSITIVE)


@dataclass(frozen=True)
class Config(members.Members):
    """Options of the experiment."""

    decoders: tuple[str, ...] = DECODERS
    """fixed: the ends of the encoder alone; scores of attention; transformer"""
    order: str = "copy"
    """copy or reverse"""
    symbols: int = 10
    """Different symbols of a string"""
    longest: int = 16
    """Training strings have 1 ... so many symbols"""
    test_longest: int = 24
    """The longest string of the test"""
    every_length: int = 2
    """The test has strings of so many symbols, twice so many ..."""
    parameters: int = 30_000
    """Of each model, as nearly as its width allows"""
    steps: int = 1200
    """Updates"""
    evaluation: int = 200
    """Fresh strings of each length"""

    @property
    def strings(self) -> pairs.Strings:
        """Those of training."""
        return pairs.Strings(self.order, self.symbols, self.longest)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of the test's strings."""
        return tuple(range(self.every_length, self.test_longest + 1, self.every_length))


def main(config: Config) -> dict[str, Any]:
    """Train each model; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, or no such decoder or order.
    """
    check_options(config, *POSITIVE)
    for name, known, given in (("decoders", DECODERS, config.decoders), ("order", pairs.ORDERS, (config.order,))):
        for word in given:
            if word not in known:
                raise sj.ArgumentError(f"{name} must be of {', '.join(known)}, found {word!r}")
    run = Run("bottleneck", config, by=("order", "decoder"))
    jobs = {name: functools.partial(study, config, name) for name in config.decoders}
    rows = run.work(jobs)
    print(table(spread(rows, run.by)))
    print_figures(run, lambda: {"exact_match": figure(rows)})
    summary = {"by": list(run.by), "measure": "exact_match", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def study(config: Config, name: str, folder: Path) -> Rows:
    """Train all members; a row for each."""
    begun, model = time.time(), pairs.match(functools.partial(model_of, config, name), config.parameters)
    source = batching.Synthetic(functools.partial(config.strings.draw, config.batch_size), seed=config.seed)
    found = members.fit_members(model, functools.partial(pairs.nats, model), source, config, rows=20)
    rows = []
    for i, seed in enumerate(config.seeds):
        found_here = scores(config, model, members.params_of(found, i))
        row = {"order": config.order, "decoder": name, "seed": seed} | found_here
        rows.append(row | {"last_loss_nats": float(np.asarray(found.history[-1]["loss"])[i, 0])})
    same = {"parameters": count_parameters(model, 0), "updates": config.steps, "seconds": round(time.time() - begun, 1)}
    return [row | same for row in rows]


def scores(config: Config, model: EncoderDecoder, params: PyTree) -> Row:
    """Means over the test's lengths, trained ones and longer ones, and what is at each length."""
    found = pairs.by_length(model, params, config.strings, config.lengths, config.evaluation, config.seed + 2_000_000)
    whole = {size: exact for size, (exact, _) in found.items()}
    trained = [value for size, value in whole.items() if size <= config.longest]
    longer = [value for size, value in whole.items() if size > config.longest]
    row: Row = {
        "exact_match": float(np.mean(trained)),
        "longer_exact_match": float(np.mean(longer)) if longer else None,
    }
    row |= {"valid_exact_match": row["exact_match"], "token_accuracy": float(np.mean([t for _, t in found.values()]))}
    return row | {f"exact_match_{size}": value for size, value in whole.items()}


def model_of(config: Config, name: str, width: int) -> EncoderDecoder:
    """The model of this name and width, a multiple of 4."""
    size, begin = config.strings.vocabulary, config.strings.begin
    if name == "transformer":
        capacity = 2 * max(config.longest, config.test_longest)
        return EncoderDecoder(None, as_cell(nn.EncoderDecoder, size, width, 4, 2, capacity=capacity), begin=begin)
    return pairs.recurrent(size, begin, width, name)


def figure(rows: Rows) -> "Figure":
    """The share of right answers by length: Bahdanau's figure."""
    lines = {}
    for name in dict.fromkeys(row["decoder"] for row in rows):
        own = [row for row in rows if row["decoder"] == name]
        sizes = [int(key.removeprefix("exact_match_")) for key in own[0] if key.startswith("exact_match_")]
        lines[name] = [(at, *interval([float(row[f"exact_match_{at}"]) for row in own])) for at in sizes]
    title = f"A string is read, then written: {rows[0]['order']}"
    drawn = plot.trend(lines, "symbols of the string", "share of right answers", title, bounds=(0, 1))
    drawn.axes[0].set_xscale("linear")  # as Bahdanau's; there is no room for the label of each length
    drawn.axes[0].set_xlim(0, None)
    return drawn


if __name__ == "__main__":
    command(main, Config, __doc__)
