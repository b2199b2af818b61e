"""Points, streams, sweeps and imports, measured in every process in turn; a row for each framework."""

import dataclasses
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.peers.frameworks import FRAMEWORKS
from experiments.benchmarks.peers.processes import Failed, Process, environment, first_of
from experiments.benchmarks.peers.ratios import TOLERANCE, Times, find_differences, take_turns, timing_columns
from experiments.benchmarks.peers.work import Point, make_data, real_steps

Row = dict[str, Any]
STREAM = Point("lstm", "stream", 1, 1, 128, 128)
SWEEP = Point("lstm", "sweep", 16, 100, 32, 32)
LENGTHS = list(range(91, 101))


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is measured: turns of every framework, and in each at least so many runs and so many seconds."""

    turns: int = 3
    runs: int = 3
    seconds: float = 0.5


def measure_point(processes: dict[str, Process], point: Point, effort: Effort) -> list[Row]:
    """A row for each framework that offers the point and whose numbers agree; of the others it is said why not."""
    prepared, numbers = prepare(processes, point)
    if not prepared:
        return []
    first = first_of(prepared)
    agreement = {name: compare(name, numbers[name], numbers[first], point) for name in prepared}
    agreeing = {name: processes[name] for name, difference in agreement.items() if difference is not None}
    turn = lambda process: lambda: process.ask("turn", runs=effort.runs, seconds=effort.seconds)
    times = take_turns({name: turn(process) for name, process in agreeing.items()}, effort.turns)
    rows = []
    for name, taken in times.items():
        row = row_of(point, name, taken, times[first]) | {"runs": len(taken["cpu"]), "difference": agreement[name]}
        rows.append(row | {name: value for name, value in prepared[name].items() if value is not None})
        if (mine := prepared[first]["temporary_mib"]) and (theirs := prepared[name]["temporary_mib"]):
            rows[-1]["ours_over_it_memory"] = mine / theirs
    return rows


def prepare(processes: dict[str, Process], point: Point) -> tuple[dict[str, Row], dict[str, dict[str, np.ndarray]]]:
    """What compilation took, and the numbers that each framework gives."""
    prepared: dict[str, Row] = {}
    numbers = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, process in list(processes.items()):
            path = Path(folder) / f"{name}.npz"
            try:
                answer = process.ask("prepare", file=str(path), **dataclasses.asdict(point))
            except Failed as error:
                print(f"{name} is left out from {point} on: {error}", flush=True)
                processes.pop(name).close()
                continue
            if "left_out" not in answer:
                prepared[name], numbers[name] = answer, dict(np.load(path))
    return prepared, numbers


def compare(name: str, found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], point: Point) -> float | None:
    """The largest relative difference; None, which is said, where the numbers do not agree."""
    real = real_steps(point, make_data(point))
    found, wanted = ({k: a[real] if k == "outputs" else a for k, a in n.items()} for n in (found, wanted))
    differences = find_differences(found, wanted)
    worst = max(differences, key=lambda k: differences[k])
    if not differences[worst] < TOLERANCE:
        print(f"{name} is left out: its {worst} differ by {differences[worst]:.2g} at {point}", flush=True)
        return None
    return differences[worst]


def row_of(point: Point, name: str, taken: Times, ours: Times) -> Row:
    """The columns of a point, and those of times."""
    return dataclasses.asdict(point) | {"framework": name} | timing_columns(taken, ours)


def measure_streams(processes: dict[str, Process], turns: int) -> list[Row]:
    """One step of an LSTM(128) at batch 1, a call each."""
    turn = lambda process: lambda: process.ask("stream", steps=300, **dataclasses.asdict(STREAM))
    asked = {name: turn(process) for name, process in processes.items() if name != "seqjax_step"}
    times = take_turns(asked, turns)
    return [
        row_of(STREAM, name, taken, times[first_of(times)]) | {"runs": len(taken["cpu"])}
        for name, taken in times.items()
    ]


def measure_sweeps(processes: dict[str, Process]) -> list[Row]:
    """A train step at ten lengths, as they are and padded: compilations, and the time of all."""
    rows = []
    for padded in (False, True):
        point = dataclasses.replace(SWEEP, lengths=padded)
        ask = lambda p: p.ask("sweep", **dataclasses.asdict(point) | {"lengths": LENGTHS, "padded": padded})
        answers = {name: ask(process) for name, process in processes.items() if name not in ("seqjax_step", "torch")}
        found = {name: answer for name, answer in answers.items() if "left_out" not in answer}
        for name, answer in found.items():
            compilations = answer.pop("compilations")
            row = row_of(point, name, answer, found[first_of(found)])
            rows.append(row | {"runs": 1, "compilations": compilations})
    return rows


def measure_imports(names: list[str], python: dict[str, str], turns: int) -> list[Row]:
    """What importing a framework takes beyond JAX, in fresh processes; one import each warms the files up."""
    found = {name: importer(name, python[name]) for name in names if name != "seqjax_step"}
    for name in list(found):
        try:
            found[name]()
        except subprocess.CalledProcessError as error:
            print(f"{name} is left out: {error.stderr.strip().splitlines()[-1]}", flush=True)
            del found[name]
    times = take_turns(found, turns)
    return [
        {"work": "import", "call": "import", "framework": name, "runs": turns}
        | timing_columns(taken, times[first_of(times)])
        for name, taken in times.items()
    ]


def importer(name: str, python: str) -> Callable[[], Times]:
    """A function that imports a framework in a fresh process, after JAX unless it is torch."""
    code = (
        f"import json, time{'' if name == 'torch' else ', jax, jax.numpy'}; "
        f"t, c = time.perf_counter(), time.process_time(); import {FRAMEWORKS[name].imported}; "
        "print(json.dumps([1e3 * (time.perf_counter() - t), 1e3 * (time.process_time() - c)]))"
    )
    own = environment(1) | {"KERAS_BACKEND": "jax"}

    def run() -> Times:
        done = subprocess.run([python, "-c", code], env=own, capture_output=True, text=True, check=True)
        wall, cpu = json.loads(done.stdout.splitlines()[-1])
        return {"wall": [wall], "cpu": [cpu]}

    return run
