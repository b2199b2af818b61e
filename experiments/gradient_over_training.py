"""Does longer training on text make recurrent networks forget faster or slower?

Expectation: a network learns to keep what lowers its loss. In text most of that stands in the last few characters
(Khandelwal et al. 2018), so that a tanh RNN, whose gradient fades by a constant factor a step (Pascanu et al. 2013),
may give up reach for a better use of the near past, while an LSTM can open its forget gates where it pays. `make demo`
saw both after 150 updates: half-lives fell for RNNs and rose for the LSTM. Here they are followed for 10,000 updates
at a rate that falls to a tenth.

Measured on the same held-out windows each time: the mean norm of dL/d carry by distance from the loss of the last
character, its half-life, how much of it is left 10 and 100 steps back, and bits a character of validation text.

    python -m experiments.gradient_over_training --seeds 0 1 2
    python -m experiments.gradient_over_training --cell "LSTM(64, bias_init=chrono(100))" --steps 2000
"""

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from experiments.char_lm import nats, read_text
from experiments.harness.cells import cells_of
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import interval, spread
from experiments.harness.tables import table
from experiments.harness.training import fit_unit, init_params
from seqjax import batching, losses, plot, train
from seqjax._internal.types import Array, Float, Int, PyTree
from seqjax.diagnostics import watch
from seqjax.text import Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BITS = "bits_per_character"
HALF_LIFE = "half_life_steps"
SEEN = "evaluation/gradient/"
AT = f"{SEEN}log10_at_"


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    cell: tuple[str, ...] = ("RNN(64)", "GRU(64)", "LSTM(64)")
    """Cells between an embedding and a linear readout"""
    embedding: int = 32
    """Features of a character"""
    batch_size: int = 32
    """Rows of the stream, and windows to measure on"""
    length: int = 100
    """Steps of a row in a batch, which training's gradients reach back"""
    window: int = 200
    """Steps of a window that gradients are measured on"""
    steps: int = 10_000
    """Updates"""
    learning_rate: float = 3e-3
    """Of Adam, at the start; it falls to a tenth along a cosine"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    every: int = 100
    """Updates from measurement to measurement; a table has those at about equal ratios"""
    characters: int = 0
    """Read only so many of each split; 0 takes all"""
    seed: int = 0
    """Of parameters"""


def main(config: Config) -> dict[str, Any]:
    """Train and watch each cell; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range.
    """
    check_options(config, "embedding", "batch_size", "length", "window", "steps", "learning_rate", "clip", "every")
    cells = cells_of(config.cell)
    vocabulary, ids = read_text(config.characters)
    needed = 2 * config.batch_size * max(config.length, config.window)
    if (least := min(map(len, ids))) < needed:
        raise sj.ArgumentError(f"characters: a split has {least}, expected at least {needed} for rows and windows")
    run = Run("gradient_over_training", config, by=("cell", "update"))
    rows = run.work({repr(cell): functools.partial(study, config, cell, vocabulary, ids) for cell in cells})
    print(table(spread(rows, run.by)))
    print_figures(run, lambda: {HALF_LIFE: figure(rows)})
    summary = {"by": list(run.by), "measure": HALF_LIFE, "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def study(config: Config, cell: sj.Cell, vocabulary: Vocabulary, ids: list[Int[Array, " _"]], folder: Path) -> Rows:
    """One training; a row for each update of the table."""
    model = sj.stack(sj.Embed(len(vocabulary), config.embedding), cell, sj.Dense(len(vocabulary)))
    loss = functools.partial(nats, model)
    source, valid = (batching.Stream(part, config.batch_size, config.length) for part in ids[:2])
    seen = watcher(config, model, ids[2])

    def measure(params: PyTree) -> dict[str, float]:
        carry = functools.partial(model.initial_carry, batch_shape=(config.batch_size,))
        found = train.evaluate(loss, params, valid, carry=lambda params, key: carry(params))
        return {BITS: found["loss"] / math.log(2)} | seen(params)

    step = train.make_train_step(
        loss,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps, 0.1)),
        clip=config.clip,
        carry=lambda params, key: model.initial_carry(params, (config.batch_size,)),
        max_skips=config.steps + 1,
    )
    params = init_params(model, 0, config.seed)
    fresh = {"step": 0} | {f"evaluation/{name}": value for name, value in measure(params).items()}
    result, columns = fit_unit(
        folder, model, step, step.init(params, jax.random.key(config.seed)), source,
        steps=config.steps, in_features=0, every=config.every,
        evaluation=train.Evaluation(measure, every=config.every, metric=BITS), assets={"vocabulary": vocabulary},
    )  # fmt: skip
    history = [fresh, *(row for row in result.history if f"evaluation/{BITS}" in row)]
    kept = {history[i]["step"]: history[i] for i in places(len(history))}
    same = {"cell": repr(cell), "seed": config.seed, "parameters": columns["parameters"]}
    return [same | row_of(row) for row in kept.values()]


def watcher(config: Config, model: sj.Cell, ids: Int[Array, " N"]) -> Any:
    """Gradient norms on windows of text that training has not."""
    starts = np.random.default_rng((config.seed, 1)).integers(len(ids) - config.window, size=config.batch_size)
    windows = np.stack([ids[at : at + config.window + 1] for at in starts])
    targets = jnp.asarray(windows[:, -1])

    def loss(logits: Float[jax.Array, "B V"]) -> Float[jax.Array, " B"]:
        return jnp.asarray(losses.cross_entropy(logits, targets))

    return watch(model, windows[:, :-1], loss, gates=False)


def places(count: int) -> list[int]:
    """Of so many measurements the first two, then every one that is about 10^(1/4) times as far, and the last."""
    apart = 10 ** (np.arange(4 * math.ceil(math.log10(max(count, 2))) + 1) / 4)
    return sorted({0, *(round(at) for at in apart if at < count), count - 1})


def row_of(row: Row) -> Row:
    """What the table says of a measurement; norms are relative to that at the last step but one."""
    powers = {int(name.removeprefix(AT)): float(row[name]) for name in row if name.startswith(AT)}
    ratios: Row = {f"log10_ratio_{k}": power - powers[1] for k, power in powers.items() if k > 1}
    half_life = float(row[f"{SEEN}half_life"])
    lives: Row = {HALF_LIFE: half_life, "centroid_steps": row[f"{SEEN}centroid"]}
    return {"update": row["step"], BITS: row[f"evaluation/{BITS}"]} | lives | ratios


def figure(rows: Rows) -> "Figure":
    """Half-life over the updates of training, mean and interval over seeds."""
    lines: dict[str, list[tuple[float, float, float]]] = {}
    for cell, update in dict.fromkeys((str(row["cell"]), row["update"]) for row in rows):
        found = [float(row[HALF_LIFE]) for row in rows if (row["cell"], row["update"]) == (cell, update)]
        lines.setdefault(cell, []).append((update, *interval(found)))
    drawn = plot.trend(lines, "update", "half-life of the gradient in steps")
    (axis,) = drawn.axes
    axis.set_xscale("symlog", linthresh=min(at for points in lines.values() for at, *_ in points if at > 0))
    axis.set_xlim(0, None)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    return drawn


if __name__ == "__main__":
    command(main, Config, __doc__)
