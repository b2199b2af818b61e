"""In which order should a recurrent network see easy and hard sums to learn to add?

Learning to Execute (Zaremba and Sutskever 2014) in small: an LSTM reads "345+678=" and another one writes "1023", digit
by digit, with no attention. Both numbers have as many digits; their number is what makes a sum hard. The paper compares
four ways to choose it: always the hardest (baseline), growing from one digit to the most (naive), any of them (mixed),
and each sum in one of the two ways (combined). It finds that combined is best or nearly so, mixed follows, and naive
does better than the baseline in some cases and worse in others. Expectation: the same order, and that naive forgets
short sums, as it has not seen them since they grew.

What differs: 1 to 3 digits (there up to 9), one layer of 96 and thousands of sums (there two of 400, and millions),
two networks (there one, which reads and then writes), Adam, and numbers that grow with the number of the update, over
the first half of all (there whenever learning stands still). The paper's other ways to write the source are options:
from its end to its beginning, or twice. Seeds are one program.

    python -m experiments.arithmetic
    python -m experiments.arithmetic --source doubled --policies mixed
"""

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.harness import members, pairs
from experiments.harness.cells import count_parameters
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import interval, spread
from experiments.harness.tables import table
from seqjax import Batch, losses, plot, train
from seqjax._internal.types import Array, Int, Key, PyTree
from seqjax.seq2seq import EncoderDecoder, attend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POLICIES = ("baseline", "naive", "mixed", "combined")
SOURCES = ("plain", "reversed", "doubled")
POSITIVE = ("digits", "width", "evaluation", *members.POSITIVE)


class Sums(NamedTuple):
    """Sums of two numbers of at most `longest` digits: tokens 0 to 9, then "+", the end, and the begin token.

    source: plain, "345+678" and the end token; reversed, "876+543"; or doubled, "345+678345+678".
    """

    longest: int
    source: str = "plain"
    end: int = 11
    begin: int = 12
    vocabulary: int = 13

    def up_to(self, longest: int) -> "Sums":
        """The same with another longest size."""
        return self._replace(longest=longest)

    def sample(self, sizes: Int[Array, " B"], key: Key[Array, ""]) -> Batch:
        """Sums of two numbers with so many digits; the first is not 0."""
        n = jnp.asarray(sizes)[:, None]
        low, times = 10 ** (n - 1), 2 if self.source == "doubled" else 1
        a, b = (jax.random.randint(k, n.shape, low, 10 * low) for k in jax.random.split(key))
        size, at = 2 * n + 1, jnp.arange(times * (2 * self.longest + 1) + 1)[None]
        place = size - 1 - at if self.source == "reversed" else at % size
        digits = jnp.where(place < n, digit(a, n - 1 - place), jnp.where(place == n, 10, digit(b, size - 1 - place)))
        long = n + (a + b >= 10 * low)
        t = jnp.arange(self.longest + 2)[None]
        target = jnp.where(t < long, digit(a + b, long - 1 - t), self.end)
        return Batch(jnp.where(at < times * size, digits, self.end), target, t <= long, times * size[:, 0] + 1)


def digit(number: Int[Array, "B 1"], place: Int[Array, "B T"]) -> Int[jax.Array, "B T"]:
    """The digit of 10^place, of numbers below 10^9."""
    return jnp.asarray(number) // 10 ** jnp.clip(place, 0, 9) % 10


@dataclass(frozen=True)
class Config(members.Members):
    """Options of the experiment."""

    policies: tuple[str, ...] = POLICIES
    """How the number of digits is chosen"""
    source: str = "plain"
    """plain, reversed or doubled"""
    digits: int = 3
    """Of each number, at most 8"""
    width: int = 96
    """Of each LSTM, and of a token"""
    steps: int = 2000
    """Updates"""
    batch_size: int = 64
    """Sums in a batch"""
    evaluation: int = 1000
    """Fresh sums of each number of digits"""


def main(config: Config) -> dict[str, Any]:
    """Train with each policy; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, or no such policy or source.
    """
    check_options(config, *POSITIVE)
    for name, known, given in (("policies", POLICIES, config.policies), ("source", SOURCES, (config.source,))):
        for word in given:
            if word not in known:
                raise sj.ArgumentError(f"{name} must be of {', '.join(known)}, found {word!r}")
    if config.digits > 8:
        raise sj.ArgumentError(f"digits must be at most 8, found {config.digits}: sums are whole numbers of 32 bits")
    run = Run("arithmetic", config, by=("policy",))
    rows = run.work({name: functools.partial(study, config, name) for name in config.policies})
    print(table(spread(rows, run.by)))
    print(*(f"{row['policy']}, seed {row['seed']}: {'; '.join(row['samples'])}" for row in rows), sep="\n")
    print_figures(run, lambda: {"exact_match": figure(rows)})
    summary = {"by": list(run.by), "measure": "exact_match", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def source_of(config: Config, name: str) -> train.Curriculum:
    """Batches whose numbers have as many digits as the policy says."""
    sums, seed, count = Sums(config.digits, config.source), jax.random.key(config.seed), config.batch_size

    @jax.jit
    def draw(step: int, grown: int) -> Batch:
        of_sizes, of_coins, of_digits = jax.random.split(jax.random.fold_in(seed, step), 3)
        mixed = jax.random.randint(of_sizes, (count,), 1, config.digits + 1)
        naive = jax.random.bernoulli(of_coins, {"mixed": 0.0, "combined": 0.5}.get(name, 1.0), (count,))
        return sums.sample(jnp.where(naive, grown, mixed), of_digits)

    def grown(step: int) -> int:
        return config.digits if name == "baseline" else pairs.grown(config.digits, step, config.steps)

    return train.Curriculum(lambda step, length, padded: draw(step, length), grown, (config.digits,))


def study(config: Config, name: str, folder: Path) -> Rows:
    """Train all members; a row for each."""
    begun, model = time.time(), model_of(config)
    found = members.fit_members(model, functools.partial(pairs.nats, model), source_of(config, name), config, rows=20)
    same = {"parameters": count_parameters(model, 0), "updates": config.steps, "seconds": round(time.time() - begun, 1)}
    rows = []
    for i, seed in enumerate(config.seeds):
        rows.append({"policy": name, "seed": seed} | scores(config, model, members.params_of(found, i)) | same)
    return rows


def model_of(config: Config) -> EncoderDecoder:
    """Two LSTMs: the second starts from what the first one ends with, and sees it at every step."""
    size, width = Sums(config.digits).vocabulary, config.width
    decoder = sj.stack(sj.Embed(size, width), attend(sj.LSTM(width), "mean"), sj.Dense(size))
    encoder = sj.stack(sj.Embed(size, width), sj.LSTM(width))
    return EncoderDecoder(encoder, decoder, begin=Sums(config.digits).begin, context="last")


def scores(config: Config, model: EncoderDecoder, params: PyTree) -> Row:
    """Of the longest sums, and of each number of digits; token accuracy is with the right digits before each."""
    sums, count, sizes = Sums(config.digits, config.source), config.evaluation, tuple(range(1, config.digits + 1))
    valid = pairs.by_length(model, params, sums, sizes[-1:], count, config.seed + 1_000_000)
    test = pairs.by_length(model, params, sums, sizes, count, config.seed + 2_000_000)
    batch = sums.sample(jnp.full(count, config.digits), jax.random.key(config.seed + 3_000_000))
    _, forced = train.make_loss(model, losses.cross_entropy, metrics={"accuracy": losses.accuracy})(params, batch, None)
    row: Row = {"exact_match": test[config.digits][0], "valid_exact_match": valid[config.digits][0]}
    row |= {"token_accuracy": float(forced["accuracy"].value())} | {f"exact_match_{n}": test[n][0] for n in sizes}
    written = pairs.answers(model, params, batch, config.digits + 2, sums.end)[:3]
    plain = zip(in_words(sums, batch.inputs[:3]), in_words(sums, written))
    return row | {"samples": [f"{question}={answer}" for question, answer in plain]}


def in_words(sums: Sums, tokens: Int[Array, "B L"]) -> list[str]:
    """Digits up to the end token, as they stand."""
    words = ("".join("0123456789+. "[token] for token in row) for row in np.asarray(tokens).tolist())
    return [word.partition(".")[0] for word in words]


def figure(rows: Rows) -> "Figure":
    """The share of right sums by the number of digits."""
    lines = {}
    sizes = [int(key.removeprefix("exact_match_")) for key in rows[0] if key.startswith("exact_match_")]
    for name in dict.fromkeys(row["policy"] for row in rows):
        own = [row for row in rows if row["policy"] == name]
        lines[name] = [(at, *interval([float(row[f"exact_match_{at}"]) for row in own])) for at in sizes]
    drawn = plot.trend(lines, "digits of each number", "share of right sums", "Learning to add", bounds=(0, 1))
    drawn.axes[0].set(xscale="linear", xticks=sizes)
    return drawn


if __name__ == "__main__":
    command(main, Config, __doc__)
