"""What becomes of a decoder that has only ever read right tokens when it has to read its own, and what helps?

Bengio et al. (2015): with teacher forcing a mistake leads where training has never been, so errors gather; they train
on a mixture, in which a token is the model's own with a chance that grows (linear, exponential, inverse sigmoid), and
win two to three points of CIDEr. Huszar (2015) objects that this trains for another goal. Here the answer to a string
of symbols is its running sum modulo their number, each the one before plus one symbol, so that a mistake spoils all
that follow unless the decoder also keeps the sum in its state. Expectation: read with right tokens before it, the error
is level over the positions; running free it grows, as 1 - (1 - e)^t where all depends on the token before; policies
with own tokens push the second curve down towards the first, where they get as far in their updates, and training on
own tokens alone starts slowly. A curriculum (strings grow from one symbol to all) leaves the two curves apart.

Every policy is the same program, the chance of a token's being the model's own comes with the batch. Seeds are one
program. Errors are on strings of the full length.

    python -m experiments.exposure_bias
    python -m experiments.exposure_bias --policies teacher linear
"""

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.harness import members, pairs
from experiments.harness.cells import count_parameters
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import spread
from experiments.harness.tables import table
from seqjax import Batch, losses, plot, seq2seq, train
from seqjax._internal.types import Float, PyTree
from seqjax.seq2seq import EncoderDecoder, Feed, attend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POLICIES = ("teacher", "linear", "exponential", "inverse sigmoid", "free", "curriculum")
POSITIVE = ("symbols", "longest", "width", "evaluation", *members.POSITIVE)


@dataclass(frozen=True)
class Config(members.Members):
    """Options of the experiment."""

    policies: tuple[str, ...] = POLICIES
    """What is fed in training; of `chance_of`"""
    symbols: int = 5
    """Different symbols of a string"""
    longest: int = 16
    """Training strings have 1 ... so many symbols, those of the test so many"""
    width: int = 32
    """Of the decoder's GRU, and of the encoder's two together"""
    steps: int = 1500
    """Updates"""
    evaluation: int = 1000
    """Fresh strings of the test"""

    @property
    def strings(self) -> pairs.Strings:
        """What is asked."""
        return pairs.Strings("sum", self.symbols, self.longest)


def main(config: Config) -> dict[str, Any]:
    """Train with each policy; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, or no such policy.
    """
    check_options(config, *POSITIVE)
    for name in config.policies:
        if name not in POLICIES:
            raise sj.ArgumentError(f"policies must be of {', '.join(POLICIES)}, found {name!r}")
    run = Run("exposure_bias", config, by=("policy",))
    rows = run.work({name: functools.partial(study, config, name) for name in config.policies})
    print(table(spread(rows, run.by)))
    print_figures(run, lambda: {"free_error": figure(rows)})
    summary = {"by": list(run.by), "measure": "free_error", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def chance_of(name: str, steps: int) -> Callable[[int], float]:
    """The chance that a token is the model's own, of the number of the update.

    Linear to 1 over three quarters of all updates; exponential to 1/2 and inverse sigmoid to 1/2 after a half of them.
    """
    if name == "linear":
        return seq2seq.linear(0.75 * steps)
    if name == "exponential":
        return seq2seq.exponential(0.5 ** (2 / steps))
    if name == "inverse sigmoid":
        k = steps / 2
        for _ in range(100):  # of k ln k = steps / 2
            k = steps / 2 / max(1.0, math.log(k))
        return seq2seq.inverse_sigmoid(k)
    return lambda step: float(name == "free")


def source_of(config: Config, name: str) -> train.Scheduled:
    """Batches with the policy's chance; for the curriculum strings whose length rises over half of the updates."""
    strings, seed = config.strings, jax.random.key(config.seed)

    @jax.jit
    def draw(step: int, longest: int) -> Batch:
        of_sizes, of_tokens = jax.random.split(jax.random.fold_in(seed, step))
        return strings.sample(jax.random.randint(of_sizes, (config.batch_size,), 1, longest + 1), of_tokens)

    def longest(step: int) -> int:
        return pairs.grown(config.longest, step, config.steps) if name == "curriculum" else config.longest

    batches = train.Curriculum(lambda step, length, padded: draw(step, length), longest, (config.longest,))
    return train.Scheduled(batches, chance_of(name, config.steps))


def study(config: Config, name: str, folder: Path) -> Rows:
    """Train all members; a row for each."""
    begun, model = time.time(), model_of(config)
    loss = train.make_loss(model, losses.cross_entropy, feed=seq2seq.scheduled)
    found = members.fit_members(model, loss, source_of(config, name), config, rows=20)
    same = {"parameters": count_parameters(model, 0), "updates": config.steps, "seconds": round(time.time() - begun, 1)}
    rows = []
    for i, seed in enumerate(config.seeds):
        rows.append({"policy": name, "seed": seed} | scores(config, model, members.params_of(found, i)) | same)
    return rows


def model_of(config: Config) -> EncoderDecoder:
    """A GRU with Luong's "general" attention."""
    size, width = config.strings.vocabulary, config.width
    encoder = sj.stack(sj.Embed(size, width), sj.bidirectional(sj.GRU(width // 2)))
    decoder = sj.stack(sj.Embed(size, width), attend(sj.GRU(width), "general"), sj.Dense(size))
    return EncoderDecoder(encoder, decoder, begin=config.strings.begin)


def scores(config: Config, model: EncoderDecoder, params: PyTree) -> Row:
    """Errors with right tokens before each and running free: means over the positions, and at each."""
    sizes = jnp.full(config.evaluation, config.longest)
    valid, test = (config.strings.sample(sizes, jax.random.key(config.seed + 1_000_000 * i)) for i in (1, 2))
    forced, free = (np.asarray(errors(model, params, test, feed)) for feed in (seq2seq.teacher(), seq2seq.free()))
    row: Row = {"free_error": float(free.mean()), "forced_error": float(forced.mean())}
    row["valid_free_error"] = float(jnp.mean(errors(model, params, valid, seq2seq.free())))
    row |= {f"free_error_{t}": float(value) for t, value in enumerate(free, 1)}
    return row | {f"forced_error_{t}": float(value) for t, value in enumerate(forced, 1)}


@functools.partial(jax.jit, static_argnums=0)
def errors(model: EncoderDecoder, params: PyTree, batch: Batch, feed: Feed) -> Float[jax.Array, " T"]:
    """The share of wrong answers at each position, without the end token."""
    rows = len(batch.inputs)
    carry = model.initial_carry(params, (rows,), source=(batch.inputs, batch.lengths))
    inputs = jnp.concatenate([jnp.full((rows, 1), model.begin), batch.targets[:, :-1]], axis=1)
    _, logits = seq2seq.unroll(model, params, inputs, feed, carry)
    return jnp.mean(1 - losses.accuracy(logits, batch.targets), axis=0)[:-1]


def figure(rows: Rows) -> "Figure":
    """Errors by position: of all policies running free, and of teacher forcing with right tokens before each."""
    lines = {}
    for name in dict.fromkeys(row["policy"] for row in rows):
        own = [row for row in rows if row["policy"] == name]
        for kind in ("free", "forced") if name == "teacher" else ("free",):
            places = sorted(int(k.rpartition("_")[2]) for k in own[0] if k.startswith(f"{kind}_error_"))
            label = name if kind == "free" else f"{name}, right tokens read"
            means = {t: float(np.mean([float(row[f"{kind}_error_{t}"]) for row in own])) for t in places}
            lines[label] = [(t, mean, math.nan) for t, mean in means.items()]
    title = "Running sums, written token by token: means over seeds"
    drawn = plot.trend(lines, "position", "share of wrong answers", title, bounds=(0, 1))
    drawn.axes[0].set_xscale("linear")
    drawn.axes[0].set_xlim(0, None)
    return drawn


if __name__ == "__main__":
    command(main, Config, __doc__)
