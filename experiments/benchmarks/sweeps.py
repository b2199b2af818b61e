"""What a member of a sweep costs, beside a training step of its own: several seeds as one program.

A training step (gradient, clipping, Adam) of a recurrent layer and a readout on the same batch for all members, which
have parameters of their own, as `seqjax.train.sweep` takes it and by `jax.vmap`. The ratio is the time of the step of n
members over n times that of a single training, which is a program of its own.

    python -m experiments.benchmarks.sweeps [TURNS]
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import seqjax as sj
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows
from seqjax import train
from seqjax._internal.types import Array, Key, PyTree
from seqjax.train.sweep import step_members

MakeStep = Callable[[Any], train.TrainStep]
MEMBERS = (2, 4, 8, 16)
ROWS, STEPS, FEATURES = 16, 100, 8
CELLS = tuple(kind(width) for width in (32, 128) for kind in (sj.RNN, sj.LSTM, sj.GRU))


def programs(cell: sj.Cell, members: tuple[int, ...]) -> dict[tuple[str, int], Callable[[], None]]:
    """A training step of one, and of so many members in each way: calls by way and number."""
    model = sj.stack(cell, sj.Dense(1))
    xs = jax.random.normal(jax.random.key(1), (ROWS, STEPS, FEATURES))

    def loss(params: PyTree, batch: Array, key: Key[Array, ""]) -> train.Mean:
        return train.Mean.of(jnp.square(sj.scan(model, params, batch)[1][:, -1]))

    make_step: MakeStep = lambda rate: train.make_train_step(loss, optax.adam(rate), clip=1.0)
    step = make_step(1e-3)
    init = lambda key: step.init(model.init(key, FEATURES), key)
    found = {("alone", 1): _call(lambda state: step(state, xs)[0], init(jax.random.key(0)))}
    for n in members:
        rates, state = jnp.full(n, 1e-3), jax.vmap(init)(jax.random.split(jax.random.key(0), n))
        found["sweep", n] = _call(partial(_in_sweep, make_step, rates, xs), state)
        found["vmap", n] = _call(partial(_by_vmap, make_step, rates, xs), state)
    return found


def _in_sweep(make_step: MakeStep, rates: Array, xs: Array, state: PyTree) -> PyTree:
    return step_members(make_step, rates, state, xs)[0]


def _by_vmap(make_step: MakeStep, rates: Array, xs: Array, state: PyTree) -> PyTree:
    return jax.vmap(lambda rate, state: make_step(rate)(state, xs)[0])(rates, state)


def _call(step: Callable[[PyTree], PyTree], first: PyTree) -> Callable[[], None]:
    """One call, one training step; it has been called once."""
    run, state = jax.jit(step, donate_argnums=0), [jax.tree.map(jnp.copy, first)]

    def call() -> None:
        state[0] = jax.block_until_ready(run(state[0]))

    call()
    return call


def measure(cell: sj.Cell, turns: int, members: tuple[int, ...] = MEMBERS) -> list[dict[str, Any]]:
    """The rows of one cell: turns alternate between the programs."""
    calls = programs(cell, members)
    cpu: dict[tuple[str, int], list[float]] = {name: [] for name in calls}
    wall: dict[tuple[str, int], list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            call()  # as after steps of its own, not after those of another program
            begun, cpu_begun = time.perf_counter(), time.process_time()
            call()
            cpu[name].append(1e3 * (time.process_time() - cpu_begun))
            wall[name].append(1e3 * (time.perf_counter() - begun))
    rows = []
    for way, n in calls:
        row: dict[str, Any] = {"cell": repr(cell), "way": way, "members": n}
        for kind, times in (("cpu", cpu), ("wall", wall)):
            least = min(times[way, n])
            row |= {f"{kind}_per_member": least / (n * min(times["alone", 1])), f"{kind}_min_ms": least}
        rows.append(row | {"turns": turns})
    return rows


def main(turns: int = 20) -> list[dict[str, Any]]:
    """Time everything, print ratios, and store the rows."""
    rows = [row for cell in CELLS for row in measure(cell, turns)]
    print(table(text_rows(rows)))
    write("benchmark_sweeps", [row | where() for row in rows])
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
