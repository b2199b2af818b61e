"""Single steps of a stream, and lengths that change from call to call; for frameworks on JAX."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks.peers.model import Model, loss_of
from experiments.benchmarks.peers.work import Point, Tree, make_data, make_weights


def make_caller(module: Any, point: Point) -> Callable[[], None]:
    """A function that takes one step and waits for its output, as a user of a stream does."""
    stream = module.stream(point, jax.tree.map(jnp.asarray, make_weights(point)))
    step = jax.jit(stream.step)
    x = jnp.ones((point.batch_size, point.in_features))
    carry = stream.carry

    def call() -> None:
        nonlocal carry
        carry, y = step(stream.own, carry, x)
        jax.block_until_ready(y)

    call()
    call()  # the first carry may differ in kind from the next ones, so that there are two programs
    return call


def sweep_lengths(model: Model, point: Point, lengths: list[int], padded: bool) -> Tree:
    """A jitted train step called at each length: as it is, or padded to the longest with the lengths given."""
    data, weights = make_data(point), jax.tree.map(jnp.asarray, make_weights(point))
    own, xs = model.own(weights), jnp.asarray(data.xs)
    step: Any = jax.jit(jax.grad(lambda own, xs, lengths: loss_of(model, own, xs, None, lengths), (0, 1)))
    start, cpu_start = time.perf_counter(), time.process_time()
    for length in lengths:
        if padded:
            jax.block_until_ready(step(own, xs, jnp.full(point.batch_size, length, jnp.int32)))
        else:
            jax.block_until_ready(step(own, xs[:, :length], None))
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    return {"wall": [1e3 * wall], "cpu": [1e3 * cpu], "compilations": step._cache_size()}
