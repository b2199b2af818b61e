"""A small training run with everything that a run carries; as a script it trains and saves until it is killed.

python -m tests.checkpoint.training FOLDER ACKNOWLEDGED
"""

import functools
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from seqjax import LSTM, Dense, Dropout, Embed, scan, stack
from seqjax.checkpoint import Checkpoints

MODEL = stack(Embed(7, 4), Dropout(0.2), LSTM(3), Dense(7))
SMALL = stack(Embed(7, 4), Dropout(0.2), Dense(7))  # quick to compile, for processes that are often started
OPTIMISER = optax.chain(optax.clip_by_global_norm(0.1), optax.adam(0.01))


class State(NamedTuple):
    params: Any
    optimiser: Any
    average: Any
    carry: Any
    key: Any
    position: Any


@functools.partial(jax.jit, static_argnums=(0, 1))
def start(model, dtype):
    params = model.init(jax.random.key(0), 0, dtype)
    carry = model.initial_carry(params, (2,), key=jax.random.key(1))
    return State(params, OPTIMISER.init(params), params, carry, jax.random.key(2), jnp.int32(0))


@functools.partial(jax.jit, static_argnums=0)
def train(model, state):
    tokens = jax.random.randint(jax.random.fold_in(state.key, state.position), (2, 6), 0, 7)

    def loss(params):
        carry, logits = scan(model, params, tokens[:, :-1], state.carry)
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean(), carry

    grads, carry = jax.grad(loss, has_aux=True)(state.params)
    updates, optimiser = OPTIMISER.update(grads, state.optimiser, state.params)
    params = optax.apply_updates(state.params, updates)
    average = optax.incremental_update(params, state.average, 0.1)
    key = jax.random.split(state.key)[0]
    return State(params, optimiser, average, carry, key, state.position + 1)


def main(folder, acknowledged):
    checkpoints = Checkpoints(folder, keep=2)
    if checkpoints.latest() is None:
        state, step = start(SMALL, jnp.float32), 0
    else:
        step, state, meta = checkpoints.restore(jax.eval_shape(lambda: start(SMALL, jnp.float32)))
        assert meta["position"] == step == int(state.position)
    with open(acknowledged, "a") as file:
        while True:
            state, step = train(SMALL, state), step + 1
            checkpoints.save(step, state, {"position": step})
            file.write(f"{step}\n")
            file.flush()
            os.fsync(file.fileno())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
