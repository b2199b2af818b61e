"""What do depth, mixing, residual paths and direction do to the reach of the gradient, and to learning?

Two readings with an answer at each step. Text (Shakespeare): the next character, for causal networks, one to four
layers of one kind, kinds mixed, with and without residual paths. Keys: among distractors stand keys A and B, one in 20
steps; which was the last one, and which will be the next? Half of that lies in the future, so that a causal network
cannot be right in more than a little over half of all steps, while one that reads both directions can be right in all;
each half is one bit, to be kept over the gap. All networks have about as many parameters, with embedding and readout.

Measured before and after training, on one batch: the norm of dL/dx and of dL/dv in each state and output of each layer,
for L the loss of the last step, of the one in the middle (which has a past and a future), and the sum of all.

Expectation: the path through time is the same in each layer, but a gradient of a lower layer may go up first and back
later or the other way round, so that k steps through n layers have many paths, and reach grows with depth at the same
decay per step; narrower layers cost capacity (Hermans and Schrauwen 2013 find slower time scales in higher layers).
Residual paths lead past layers, not through time: they should help learning more than reach. In a mixed stack the layer
that keeps most decides. A backward direction has the same reach into the future (Schuster and Paliwal 1997). Reach
is no measure of memory: who holds a bit safely, in an attractor, lets gradients vanish (Bengio et al. 1994), and so a
network that has learned the keys may have less of it than before.

    python -m experiments.depth_and_direction
    python -m experiments.depth_and_direction --readings keys --both "bidirectional(GRU(W))" --parameters 20000
"""

import functools
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

import seqjax as sj
from experiments.gradients import directions, readings
from experiments.gradients.layers import ends
from experiments.harness import members
from experiments.harness.cells import count_parameters, match_width
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import interval, spread
from experiments.harness.tables import table
from experiments.harness.training import init_params
from seqjax import Batch, losses, plot, train
from seqjax._internal.types import Array, Key, PyTree
from seqjax.combinators import Stack

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EMBEDDING = 32
CURVE = 30  # points of a learning curve
SOLVED = 0.1  # nats: keys are known
PHASES = ("before", "after")
DEEP = {f"4 {name}{how}": f"stack({name}(W), {others})" for name in ("RNN", "LSTM") for how, others in (
    ("", ", ".join([f"{name}(W)"] * 3)), (", residual", ", ".join([f"residual({name}(W))"] * 3)),
)}  # fmt: skip
"""Whose layers are drawn beside each other; those of MIXED before and after training."""
MIXED = {
    "text": "stack(RNN(W), LSTM(W), GRU(W))",
    "keys": "stack(bidirectional(LSTM(W)), bidirectional(LSTM(W)))",
}


@dataclass(frozen=True)
class Config(members.Members):
    """Options of the experiment; W is the width, by which all networks of a reading are made equally large."""

    readings: tuple[str, ...] = ("text", "keys")
    """text, keys"""
    causal: tuple[str, ...] = (
        "RNN(W)", "stack(RNN(W), RNN(W))", "LSTM(W)", "stack(LSTM(W), LSTM(W))", "GRU(W)",
        "stack(GRU(W), GRU(W), GRU(W), GRU(W))", *DEEP.values(), MIXED["text"], "stack(GRU(W), LSTM(W), RNN(W))",
    )  # fmt: skip
    """Networks for the text"""
    both: tuple[str, ...] = (
        "LSTM(W)", "stack(LSTM(W), LSTM(W))", "bidirectional(RNN(W))", "bidirectional(GRU(W))",
        "bidirectional(LSTM(W))", "stack(LSTM(W), bidirectional(LSTM(W)))", MIXED["keys"],
        "stack(bidirectional(RNN(W)), bidirectional(LSTM(W)), bidirectional(GRU(W)))",
    )  # fmt: skip
    """Networks for the keys"""
    data: str = "shakespeare"
    """shakespeare, or the path of a text file"""
    parameters: int = 15_000
    """Of each network, about"""
    length: int = 100
    """Steps of a sequence, in training and where gradients are measured"""
    gap: int = 20
    """Steps from key to key, in the mean"""
    steps: int = 1000
    """Updates"""
    measured: int = 32
    """Sequences over which norms are averaged"""
    evaluation: int = 500
    """Fresh sequences of the test"""


def main(config: Config) -> dict[str, Any]:
    """Measure and train each network; tables and figures are also in the run folder.

    Raises:
        ArgumentError: an option out of range, no such reading, or a network that cannot be had in this size.
    """
    check_options(config, "parameters", "length", "gap", "measured", "evaluation", *members.POSITIVE)
    if config.length < 4:
        raise sj.ArgumentError(f"length must be at least 4, so that there is a middle, found {config.length}")
    found = [reading_of(name, config) for name in config.readings]
    plan = [
        (reading, text, cell_of(text, reading, config))
        for reading in found
        for text in (config.causal if reading.name == "text" else config.both)
    ]
    run = Run("depth_and_direction", config, by=("reading", "cell"))
    jobs = {f"{reading.name} {text}": functools.partial(study, config, reading, text, c) for reading, text, c in plan}
    rows = run.work(jobs)
    print(table(spread(rows, run.by)))
    print_figures(run, lambda: figures(rows))
    summary = {"by": list(run.by), "measure": "loss_nats", "trend": None, "rows": rows, "layers": layer_rows(rows)}
    run.finish(summary)
    return summary


def reading_of(name: str, config: Config) -> readings.Reading:
    """Text or keys.

    Raises:
        ArgumentError: another name, or no such text.
    """
    if name not in MIXED:
        raise sj.ArgumentError(f"readings must be of {', '.join(MIXED)}, found {name!r}")
    return readings.text(config.data) if name == "text" else readings.keys(config.gap, config.length)


def model_of(cell: sj.Cell, reading: readings.Reading) -> Stack:
    """Embedding, the cell, and a linear readout."""
    return sj.stack(sj.Embed(reading.vocabulary, EMBEDDING), cell, sj.Dense(reading.classes))


def cell_of(text: str, reading: readings.Reading, config: Config) -> sj.Cell:
    """The cell of the width with which a model has about as many parameters as all others.

    Raises:
        ArgumentError: it cannot be had, or reads the answers of the text before it gives them.
    """
    cell = match_width(text, config.parameters, 0, functools.partial(model_of, reading=reading))
    if reading.name == "text" and not cell.causal:
        raise sj.ArgumentError(f"causal: {text} reads both directions, so it sees what it is to predict")
    if cell.asks & {"key", "memory"}:
        raise sj.ArgumentError(f"{text} must need neither random numbers nor a memory")
    return cell


def study(config: Config, reading: readings.Reading, text: str, cell: sj.Cell, folder: Path) -> Rows:
    """A row for each member: reach before and after training, and what it learned."""
    model, begun = model_of(cell, reading), time.time()
    loss = functools.partial(error, reading, model)
    source = reading.source(config.batch_size, config.length, config.seed)
    found = members.fit_members(model, loss, source, config, rows=min(CURVE, config.steps))
    batch = reading.source(config.measured, config.length, config.seed + 1_000_000, is_test=True).batch(0)
    test = reading.source(config.batch_size, config.length, config.seed + 2_000_000, is_test=True)
    rows: Rows = []
    for i, seed in enumerate(config.seeds):
        params = members.params_of(found, i)
        tested = train.evaluate(loss, params, test, steps=-(-config.evaluation // config.batch_size))
        row: Row = {"reading": reading.name, "cell": text, "seed": seed, "sized_cell": repr(cell)}
        row |= {"loss_nats": tested.pop("loss"), **tested, "best_causal_accuracy": reading.blind}
        layers: Rows = []
        for phase, values in zip(PHASES, (init_params(model, 0, seed), params)):
            inputs, each = directions.reach(model, values, batch)
            row |= {f"{phase}_{name}": value for name, value in inputs.items()}
            layers += [{"phase": phase} | one for one in each]
        curve = [(each["step"], float(f"{each['loss'][i, 0]:.4g}")) for each in found.history]
        row |= {"parameters": count_parameters(model, 0), "updates": config.steps}
        row["solved_at_update"] = next((step for step, nats in curve if nats < SOLVED), None)
        rows.append(row | {"skipped_updates": int(found.state.skipped.in_all[i, 0]), "losses": curve, "layers": layers})
    return [row | {"seconds": round(time.time() - begun, 1)} for row in rows]


def error(
    reading: readings.Reading, model: sj.Cell, params: PyTree, batch: Batch, key: Key[Array, ""] | None
) -> tuple[train.Mean, dict[str, train.Mean]]:
    """Cross-entropy of all steps; accuracy, and of keys that of each half of the answer."""
    _, logits = sj.scan(model, params, batch.inputs)
    found = {"accuracy": losses.accuracy(logits, batch.targets)}
    found |= readings.halves(logits, batch.targets) if reading.name == "keys" else {}
    nats = train.Mean.of(losses.cross_entropy(logits, batch.targets), batch.weights)
    return nats, {name: train.Mean.of(jax.lax.stop_gradient(each)) for name, each in found.items()}


def layer_rows(rows: Rows) -> Rows:
    """A line for each state of each layer: half-lives, and log10 norms at three steps."""
    found: Rows = []
    for row in rows:
        for layer in filter(lambda layer: layer["is_state"], row["layers"]):
            line = {name: row[name] for name in ("reading", "cell", "seed")}
            line |= {k: v for k, v in layer.items() if k not in ("is_state", "read") and not isinstance(v, list)}
            for loss in directions.LOSSES:
                where = ends(layer[f"log10_norms_from_{loss}"])
                line |= {f"from_{loss}_{name}": value for name, value in where.items()}
            found.append(line)
    return found


def figures(rows: Rows) -> dict[str, "Figure"]:
    """Learning; the gradient in the inputs by step; and that in the layers of deep and of mixed networks."""
    drawn: dict[str, Figure] = {}
    inputs: dict[str, dict[str, list[float | None]]] = {}
    for reading in dict.fromkeys(row["reading"] for row in rows):
        cells: dict[str, Rows] = {}
        for row in rows:
            if row["reading"] == reading:
                cells.setdefault(row["cell"], []).append(row)
        curves = {short_name(text): [curve_of(row) for row in each] for text, each in cells.items()}
        results = {short_name(text): interval([row["loss_nats"] for row in each]) for text, each in cells.items()}
        drawn[f"loss_{reading}"] = plot.comparison(curves, results, "loss in nats", title=f"{reading}: loss of a step")
        for phase in PHASES:
            name = f"{phase}_log10_inputs_from_middle"
            inputs[f"{reading}, {phase} training"] = {
                short_name(text): directions.mean_curve(each, name) for text, each in cells.items()
            }
        drawn |= layer_figures(reading, cells)
    middle = len(rows[0]["before_log10_inputs_from_middle"]) // 2
    title = f"Gradient of the loss of step {middle + 1} in the inputs"
    return drawn | {"inputs": plot.norm_by_step(inputs, middle, title)}


def short_name(text: str) -> str:
    """A network in a figure: "4 LSTM, residual" for four of them with residual paths, "RNN, LSTM, GRU" for these."""
    inner = re.fullmatch(r"stack\((.*)\)", text)
    if inner is None:
        return text.replace("(W)", "")
    layers = [re.sub(r"^residual\((.*)\)$", r"\1", part).replace("(W)", "") for part in inner[1].split(", ")]
    names = layers[0] if len(set(layers)) == 1 else ", ".join(layers)
    return (f"{len(layers)} " if names == layers[0] else "") + names + (", residual" if "residual(" in text else "")


def curve_of(row: Row) -> tuple[list[int], list[float]]:
    """Updates, and the mean loss up to each since the one before."""
    return [step for step, _ in row["losses"]], [loss for _, loss in row["losses"]]


def layer_figures(reading: str, cells: dict[str, Rows]) -> dict[str, "Figure"]:
    """Layers of deep stacks beside each other, and of a mixed or bidirectional one before and after training."""
    drawn: dict[str, Figure] = {}
    deep = {
        name: {f"layer {i + 1}": curve for i, curve in enumerate(states(cells[text], "after", "last").values())}
        for name, text in DEEP.items()
        if reading == "text" and text in cells
    }
    if deep:
        drawn["layers_deep"] = plot.layer_norms(deep, title="States after training, loss of the last step")
    if MIXED[reading] in cells:
        each, loss = cells[MIXED[reading]], "last" if reading == "text" else "middle"
        panels = {f"{phase} training": states(each, phase, loss) for phase in PHASES}
        length = len(each[0]["before_log10_inputs_from_middle"])
        step = None if loss == "last" else length // 2
        title = f"{short_name(MIXED[reading])}: loss of the {loss} step"
        drawn[f"layers_{reading}"] = plot.layer_norms(panels, title=title, step=step)
    return drawn


def states(rows: Rows, phase: str, loss: str) -> dict[str, list[float | None]]:
    """The mean curve over seeds of each layer's state; of an LSTM's two that of c."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for layer in row["layers"]:
            if layer["phase"] == phase and layer["is_state"]:
                found.setdefault(layer["path"], []).append(layer)
    kept = {path: each for path, each in found.items() if not (path.endswith("h") and f"{path[:-1]}c" in found)}
    return {path: directions.mean_curve(each, f"log10_norms_from_{loss}") for path, each in kept.items()}


if __name__ == "__main__":
    command(main, Config, __doc__)
