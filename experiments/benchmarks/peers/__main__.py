"""seqjax beside its peers on the same work: times, compilation, memory, single steps, imports.

Every framework runs in a process of its own on the same core, and they take turns. All are given the same weights in
their own layouts; outputs and gradients are compared first, and whose differ by more than 1e-4 of the largest is left
out, which is said. CPU time is the measure on a machine that others use too. The README beside this folder says more.

    python -m experiments.benchmarks.peers --works rnn lstm gru --calls train
    python -m experiments.benchmarks.peers --peers linen torch --works lstm --shapes 16,200,32,32 --turns 1
    python -m experiments.benchmarks.peers --python PEERS/bin/python --torch-python TORCH/bin/python
"""

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from experiments.benchmarks.peers import measure
from experiments.benchmarks.peers.frameworks import FRAMEWORKS, OURS
from experiments.benchmarks.peers.measure import Effort, Row
from experiments.benchmarks.peers.processes import started
from experiments.benchmarks.peers.ratios import SIZES, summarise
from experiments.benchmarks.peers.work import SHAPES, WORKS, Point
from experiments.collect import update
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows

OTHERS = ("stream", "sweep", "import")
CALLS = ("train", "forward", "flow")
NAMES = [name for name in FRAMEWORKS if name not in OURS]


def shape_of(text: str) -> tuple[int, int, int, int]:
    """`32,128,64,128` as numbers B, T, D, F."""
    batch, length, width, features = map(int, text.split(","))
    return batch, length, width, features


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("python -m experiments.benchmarks.peers", description=__doc__.splitlines()[0])
    made.add_argument("--peers", nargs="*", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    works = (*WORKS, *OTHERS)
    made.add_argument("--works", nargs="+", choices=works, default=works, metavar="WORK", help=", ".join(works))
    made.add_argument(
        "--calls", nargs="+", choices=CALLS, default=["train", "forward"], metavar="CALL", help=", ".join(CALLS)
    )
    made.add_argument("--shapes", nargs="+", type=shape_of, default=SHAPES, metavar="B,T,D,F")
    made.add_argument("--lengths", nargs="+", choices=("without", "with"), default=["without", "with"])
    made.add_argument("--turns", type=int, default=Effort.turns, help="of every framework")
    made.add_argument("--runs", type=int, default=Effort.runs, help="in a turn, at least")
    made.add_argument("--seconds", type=float, default=Effort.seconds, help="of a turn, at least")
    made.add_argument("--cores", nargs="+", type=int, default=None, help="by number; the last one unless given")
    made.add_argument("--python", default=sys.executable, help="the interpreter of the peers on JAX")
    made.add_argument("--torch-python", default=sys.executable, help="that of torch")
    made.add_argument("--name", default="benchmark_peers", help="of the table in experiments/results; none if empty")
    return made


def main(words: list[str] | None = None) -> list[Row]:
    """Measure, print ratios and store the rows; those of points that are not measured now stay in the table."""
    chosen = parser().parse_args(words)
    cores = chosen.cores or [max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0]
    rows: list[Row] = []
    for new, versions in parts(chosen, cores):
        extra = machine() | {"cores_used": len(cores), "load": os.getloadavg()[0]}
        rows += [row | versions[row["framework"]] | extra for row in new]
        show(new)
        if chosen.name and rows:
            update(chosen.name, rows, ("work", "call", *SIZES, "cores_used"))
    if summary := summarise(rows):
        print(table(text_rows(summary)))
    return rows


def parts(chosen: argparse.Namespace, cores: list[int]) -> Iterator[tuple[list[Row], dict[str, Row]]]:
    """Rows as they are measured, with the versions of their frameworks; processes are new for each shape."""
    names = [name for name in FRAMEWORKS if name in (*OURS, *chosen.peers)]
    python = dict.fromkeys(names, chosen.python) | dict.fromkeys(OURS, sys.executable)
    python["torch"] = chosen.torch_python
    effort = Effort(chosen.turns, chosen.runs, chosen.seconds)
    for shape in chosen.shapes if set(chosen.works) & set(WORKS) else ():
        with started(names, python, cores) as (processes, versions):
            for point in points(chosen, shape):
                yield measure.measure_point(processes, point, effort), columns(versions)
    if not set(chosen.works) & set(OTHERS):
        return
    with started(names, python, cores) as (processes, versions):
        if "stream" in chosen.works:
            yield measure.measure_streams(processes, effort.turns), columns(versions)
        if "sweep" in chosen.works:
            yield measure.measure_sweeps(processes), columns(versions)
    if "import" in chosen.works:
        yield measure.measure_imports(list(versions), python, effort.turns), columns(versions)


def points(chosen: argparse.Namespace, shape: tuple[int, int, int, int]) -> list[Point]:
    """The points of a shape."""
    works = [work for work in chosen.works if work in WORKS]
    return [
        Point(work, call, *shape, lengths == "with")
        for work in works
        for call in chosen.calls
        for lengths in chosen.lengths
    ]


def columns(versions: dict[str, Row]) -> dict[str, Row]:
    """The versions of each framework as columns."""
    return {
        name: {"version": f"{FRAMEWORKS[name].package} {found['version']}", "jax": found.get("jax", "")}
        for name, found in versions.items()
    }


def machine() -> Row:
    """Where it was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count()} | where("date", "python")


def show(rows: list[Row]) -> None:
    """A line for each framework."""
    for row in rows:
        sizes = ",".join(str(row[n]) for n in ("batch_size", "length", "in_features", "features") if n in row)
        lengths = "lengths" if row.get("lengths") else ""
        words = [f"{row['cpu_min_ms']:10.3f} ms CPU", f"ours over it {row['ours_over_it_cpu']:.2f}"]
        for name, text in (("temporary_mib", "{:.1f} MiB"), ("compile_cpu_s", "compiled in {:.1f} s"),
                           ("difference", "differs by {:.0e}"), ("compilations", "{} compilations")):  # fmt: skip
            if name in row:
                words.append(text.format(row[name]))
        print(
            f"{row['work']:<10} {row['call']:<8} {lengths:<8} {sizes:<16} {row['framework']:<16}",
            *words,
            sep="  ",
            flush=True,
        )


if __name__ == "__main__":
    main()
