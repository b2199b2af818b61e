"""What do an RNN, an LSTM and a GRU cost by width and length: parameters, time and memory of a training step?

Expectation: parameters and arithmetic as 1 : 4 : 3. Where steps are small the loop's own cost dominates, so that time
grows with the length and little with the cell; where they are wide the matrix products decide. Memory grows with the
length times what the gradient keeps: the carries, of which an LSTM has two.

Float32, batch 32, inputs as wide as the cell; the gradient of a sum of squares of all outputs in parameters and
inputs. The cells take turns, so that a machine that slows down slows all. Memory is XLA's temporary memory of the
program.

    python -m experiments.efficiency --widths 32 128 512 --lengths 100 400
"""

import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.harness.cells import size_of
from experiments.harness.command import check_options, command
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from seqjax._internal.types import Array, Float, PyTree


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    cell: tuple[str, ...] = ("RNN", "LSTM", "GRU")
    """Cells to compare, by name"""
    widths: tuple[int, ...] = (32, 128, 256)
    """Features"""
    lengths: tuple[int, ...] = (50, 200, 800)
    """Steps of a sequence"""
    batch_size: int = 32
    """Sequences in a batch"""
    turns: int = 9
    """Timed runs of each program, after one that is not timed"""
    seed: int = 0
    """Of parameters and inputs"""


def main(config: Config) -> dict[str, Any]:
    """Time each cell at each size; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, or no such cell.
    """
    check_options(config, "widths", "lengths", "batch_size", "turns")
    for name in config.cell:
        sj.cell_from_text(f"{name}(1)")
    run = Run("efficiency", config, by=("width", "length", "cell"))
    jobs = {
        f"width {width} length {length}": functools.partial(study, config, width, length)
        for width, length in itertools.product(config.widths, config.lengths)
    }
    return conclude(run, run.work(jobs), "step_ms", trend=("length", "step_ms"))


class Programs(NamedTuple):
    """What is timed of a cell, with its arguments bound; its parameters, and the temporary bytes of the step."""

    forward: Callable[[], PyTree]
    step: Callable[[], PyTree]
    parameters: int
    temporary_bytes: int


def study(config: Config, width: int, length: int, folder: Path) -> Rows:
    """All cells at one size, in turn."""
    programs = {name: compile_programs(f"{name}({width})", config, width, length) for name in config.cell}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in itertools.product(programs, ("forward", "step"))}
    for turn in range(config.turns + 1):
        for (name, kind), found in times.items():
            start = time.perf_counter()
            jax.block_until_ready(getattr(programs[name], kind)())
            if turn:
                found.append(1e3 * (time.perf_counter() - start))
    return [
        {
            "width": width,
            "length": length,
            "cell": name,
            "parameters": program.parameters,
            "forward_ms": round(float(np.median(times[name, "forward"])), 3),
            "step_ms": round(float(np.median(times[name, "step"])), 3),
            "min_step_ms": round(min(times[name, "step"]), 3),
            "temporary_mib": round(program.temporary_bytes / 2**20, 3),
        }
        for name, program in programs.items()
    ]


def compile_programs(cell_text: str, config: Config, width: int, length: int) -> Programs:
    """Forward pass and training step of a cell."""
    cell = sj.cell_from_text(cell_text)
    xs = jax.random.normal(jax.random.key(config.seed), (config.batch_size, length, width))
    params = cell.init(jax.random.key(config.seed), width)

    def forward(params: PyTree, xs: Float[Array, "B T D"]) -> Float[Array, "B T F"]:
        return sj.scan(cell, params, xs)[1]

    def loss(params: PyTree, xs: Float[Array, "B T D"]) -> Float[Array, ""]:
        return jnp.sum(forward(params, xs) ** 2)

    ahead = jax.jit(forward).lower(params, xs).compile()
    step = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, xs).compile()
    memory: Any = step.memory_analysis()
    return Programs(lambda: ahead(params, xs), lambda: step(params, xs), size_of(params), memory.temp_size_in_bytes)


if __name__ == "__main__":
    command(main, Config, __doc__)
