"""Loops: chunks, matrix products, memory, derivatives over several chunks."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import GRU, LSTM, RNN, explain, scan, stack
from seqjax.core.chunks import BOUNDS, LONGEST_CHUNK, chunk_length
from tests.trees import close

D, B, T = 3, 3, 7
LONG = np.asarray(jax.random.normal(jax.random.key(2), (2, 2 * LONGEST_CHUNK + 3, D)))
LONG_MASK = np.random.default_rng(0).random(LONG.shape[:2]) < 0.8


def gradient_of(cell, params, **options):
    def score(params, xs):
        carry, ys = scan(cell, params, xs, mask=LONG_MASK, **options)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves((carry, ys)))

    return jax.jit(jax.value_and_grad(score, argnums=(0, 1)))(params, LONG)


@pytest.mark.parametrize("reverse", [False, pytest.param(True, marks=pytest.mark.slow)])  # the law has it, too
def test_options_of_speed_and_memory_change_nothing(x64, reverse):
    """The cube of gradient x checkpoint x unroll against plain autodiff."""
    cell = LSTM(3)
    params = cell.init(jax.random.key(0), D, "float64")
    want = gradient_of(cell, params, gradient="autodiff", reverse=reverse)
    for gradient, checkpoint, unroll in itertools.product(("deferred", "autodiff"), (None, 10, "sqrt"), (1, 3)):
        got = gradient_of(cell, params, gradient=gradient, checkpoint=checkpoint, unroll=unroll, reverse=reverse)
        close(got, want, 1e-12)
    close(gradient_of(cell, params, memory="least", reverse=reverse), want, 1e-12)


@pytest.mark.parametrize("cell", [LSTM(32), stack(GRU(32), RNN(32))], ids=repr)
def test_least_memory_keeps_no_gates(cell):
    """Four or five numbers a unit and step fewer, up to what one chunk works with."""
    params = cell.init(jax.random.key(0), 1)
    xs, steps = jnp.zeros((1, 4096, 1)), 4096

    def bytes_of(memory):
        loss = lambda params: jnp.sum(scan(cell, params, xs, memory=memory)[1] ** 2)
        return jax.jit(jax.grad(loss)).lower(params).compile().memory_analysis().temp_size_in_bytes

    gates = 5 * 32 if cell == LSTM(32) else 4 * 32
    assert bytes_of("auto") - bytes_of("least") >= 0.9 * 4 * gates * steps
    for cell_memory, size in (("auto", 128), ("least", 32)):
        assert f"in chunks of {size}" in explain(cell, params, xs, memory=cell_memory)


@pytest.mark.parametrize("memory", ["auto", "least"])
@pytest.mark.parametrize("rows", [0, 1, 3, 16, 64, 1000])
@pytest.mark.parametrize("length", [1, 16, 65, 97, 1000, 1009])
def test_chunks_have_about_as_many_rows_as_wanted(length, rows, memory):
    size, bounds = chunk_length(length, rows, memory), BOUNDS[memory]
    wanted = min(max(bounds.rows / max(rows, 1), bounds.shortest), bounds.longest)
    assert size == length <= 2 * wanted or wanted // 2 <= size <= 2 * wanted


@pytest.mark.parametrize("rows, steps, least", [(1, 128, 32), (3, 128, 32), (4, 128, 32), (16, 32, 8), (32, 16, 4),
                                                (64, 8, 4), (1000, 8, 4)])  # fmt: skip
def test_chunk_lengths_by_rows(rows, steps, least):
    assert chunk_length(2**14, rows) == steps
    assert chunk_length(2**14, rows, "least") == least
    assert chunk_length(2 * steps, rows) == 2 * steps
    assert 8 <= chunk_length(1009, rows) <= LONGEST_CHUNK


def loops_of(hlo):
    """The text of all computations that run inside a while loop."""
    blocks = dict(re.findall(r"^(?:ENTRY )?(%[\w.\-]+) [^\n]*\{\n(.*?)^\}", hlo, re.M | re.S))
    inside, todo = set(), re.findall(r"body=(%[\w.\-]+)", hlo)
    while todo:
        name = todo.pop()
        if name in blocks and name not in inside:
            inside.add(name)
            todo += re.findall(r"(?:calls|to_apply|body)=(%[\w.\-]+)", blocks[name])
    return [blocks[name] for name in inside]


@pytest.mark.parametrize("cell", [LSTM(16), GRU(16), RNN(16)], ids=repr)
def test_two_matrix_products_in_the_innermost_loops_and_no_more(cell):
    """One forwards, one backwards; autodiff has six (the input's product, its gradient and those of both weights besides)."""
    params = cell.init(jax.random.key(0), 16)
    xs = jnp.ones((8, 32, 16))

    def products(gradient):
        def score(params, xs):
            return jnp.sum(scan(cell, params, xs, gradient=gradient)[1] ** 2)

        hlo = jax.jit(jax.grad(score, argnums=(0, 1))).lower(params, xs).compile().as_text()
        return sum(body.count(" dot(") for body in loops_of(hlo))

    assert products("deferred") == 2
    assert products("autodiff") == 6


def temp_bytes(length, checkpoint):
    cell = LSTM(8)
    params = cell.init(jax.random.key(0), 8)
    xs = jax.ShapeDtypeStruct((4, length, 8), jnp.float32)
    f = jax.grad(lambda p, x: jnp.sum(scan(cell, p, x, checkpoint=checkpoint)[0].h))
    return jax.jit(f).lower(params, xs).compile().memory_analysis().temp_size_in_bytes


def test_sqrt_checkpoint_keeps_memory_of_the_root():
    """From 4,096 steps to four times as many: temporary memory beyond a copy of the input doubles at most."""
    copy = 4 * 4 * 8
    small, large = (temp_bytes(t, "sqrt") - t * copy for t in (4096, 16384))
    assert large < 2.5 * small
    assert temp_bytes(16384, "sqrt") < 0.6 * temp_bytes(16384, None)


def test_hessian_over_several_chunks(x64):
    cell = stack(GRU(2), RNN(2))
    params = cell.init(jax.random.key(0), D, "float64")
    way = jax.tree.map(lambda p: jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), params)

    def along(a, gradient):
        moved = jax.tree.map(lambda p, w: p + a[0] * w, params, way)
        return jnp.mean(scan(cell, moved, LONG * (1 + a[1]), mask=LONG_MASK, gradient=gradient)[1] ** 2)

    got, want = (jax.jit(jax.hessian(lambda a, g=g: along(a, g)))(jnp.zeros(2)) for g in ("deferred", "autodiff"))
    close(got, want, 1e-11)
