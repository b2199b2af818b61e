"""What a member of a sweep costs, beside a training step of its own: several seeds as one program.

A training step (gradient, clipping, Adam) of a recurrent layer and a readout on the same batch for all members, which
have parameters of their own, by `jax.vmap` over the state as `seqjax.train.sweep` does it. The ratio is the time of the
step of n members over n times that of one.

    python -m experiments.benchmarks.sweeps [TURNS]
"""

import sys
import time
from collections.abc import Callable
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

MEMBERS = (1, 2, 4, 8, 16)
ROWS, STEPS, FEATURES = 16, 100, 8
CELLS = tuple(kind(width) for width in (32, 128) for kind in (sj.RNN, sj.LSTM, sj.GRU))


def program(cell: sj.Cell, members: int) -> Callable[[], None]:
    """One call, one training step of all members."""
    model = sj.stack(cell, sj.Dense(1))
    keys = jax.random.split(jax.random.key(0), members)
    xs = jax.random.normal(jax.random.key(1), (ROWS, STEPS, FEATURES))

    def loss(params: PyTree, batch: Array, key: Key[Array, ""]) -> train.Mean:
        return train.Mean.of(jnp.square(sj.scan(model, params, batch)[1][:, -1]))

    step = train.make_train_step(loss, optax.adam(1e-3), clip=1.0)
    init = lambda key: step.init(model.init(key, FEATURES), key)
    run = jax.jit(jax.vmap(lambda state, xs: step(state, xs)[0], in_axes=(0, None)), donate_argnums=0)
    state = [jax.vmap(init)(keys)]

    def call() -> None:
        state[0] = jax.block_until_ready(run(state[0], xs))

    call()
    return call


def measure(cell: sj.Cell, turns: int, members: tuple[int, ...] = MEMBERS) -> list[dict[str, Any]]:
    """The rows of one cell: turns alternate between the numbers of members."""
    programs = {n: program(cell, n) for n in members}
    times: dict[str, dict[int, list[float]]] = {"cpu": {}, "wall": {}}
    for _ in range(turns):
        for n, call in programs.items():
            for kind, clock in (("cpu", time.process_time), ("wall", time.perf_counter)):
                begun = clock()
                call()
                times[kind].setdefault(n, []).append(1e3 * (clock() - begun))
    rows = []
    for n in members:
        row: dict[str, Any] = {"cell": repr(cell), "members": n}
        for kind, each in times.items():
            row |= {
                f"{kind}_per_member": min(each[n]) / (n * min(each[members[0]])),
                f"{kind}_min_ms": min(each[n]),
            }
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
