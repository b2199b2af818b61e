"""All orders and both modes of differentiation of the blocks, against all scores at once; empty rows; memory."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import attention as A
from seqjax.attention import backends, blocks

BACKENDS = ("plain", "chunked")
B, T, S, N, K, H = 2, 6, 7, 4, 2, 3
RNG = np.random.default_rng(0)
Q, KV, COTANGENT = RNG.normal(size=(B, T, N, H)), RNG.normal(size=(2, B, S, K, H)), RNG.normal(size=(B, T, N, H))
REAL = RNG.random((B, S)) > 0.3
IDS = np.sort(RNG.integers(0, 2, (B, S)))
MASK = A.prefix(2) & A.padding(REAL) & A.segments(IDS[:, :T], IDS) & (RNG.random((B, 1, T, S)) > 0.2)
KEY = jax.random.key(3)
CASES = {
    "alone": (None, {}),
    "mask": (MASK, {}),
    "bias of pairs": (MASK, {"bias": RNG.normal(size=(N, T, S))}),
    "bias of heads": (None, {"bias": RNG.normal(size=(N, 1, S))}),
    "relative": (A.causal(), {"bias": A.relative(RNG.normal(size=(8, N)))}),
    "shaw": (A.causal(), {"bias": A.shaw(RNG.normal(size=(3, H))), "scale": np.asarray(0.4)}),
    "dropout": (MASK, {"dropout": (0.4, KEY)}),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(backends, "block_sizes", lambda *lengths: blocks.Counts(4, 3))


def program(backend, mask, options):
    """A function of all that moves."""
    fixed = {name: options[name] for name in options if name == "dropout"}
    moving = {name: options[name] for name in options if name != "dropout"}
    return lambda q, k, v, more: A.dot_product(q, k, v, mask, backend=backend, **fixed, **more), (Q, *KV, moving)


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_all_arguments(case, x64):
    found = []
    for backend in BACKENDS:
        f, args = program(backend, *CASES[case])
        found.append(jax.jit(lambda *args: jax.vjp(f, *args)[1](jnp.asarray(COTANGENT)))(*args))
    assert all(float(jnp.max(abs(g))) > 1e-3 for g in jax.tree.leaves(found[0]))
    chex.assert_trees_all_close(*found, rtol=0, atol=1e-12)


SLOW = [pytest.param(case, marks=pytest.mark.slow) for case in ("relative", "dropout")]


@pytest.mark.parametrize("case", ["mask", *SLOW])
def test_second_order_in_both_modes(case, x64):
    """Forward over reverse, reverse over forward, and reverse over reverse, along one direction."""
    found = []
    for backend in BACKENDS:
        f, args = program(backend, *CASES[case])
        loss = lambda *args: jnp.sum(f(*args) ** 3)
        every = tuple(range(len(args)))
        gradient = jax.grad(loss, every)
        along = lambda *args: jax.jvp(loss, args, args)[1]
        dot = lambda *args: sum(jnp.vdot(g, a) for g, a in zip(*map(jax.tree.leaves, (gradient(*args), args))))
        products = [lambda *args: jax.jvp(gradient, args, args)[1], jax.grad(along, every)]
        found += [jax.jit(program)(*args) for program in products] if case != "mask" else [jax.jit(products[0])(*args)]
        gradients = jax.jit(gradient)(*args)
        if case == "mask":  # grad(g . a) = H a + g
            over = jax.jit(jax.grad(dot, every))(*args)
            found.append(jax.tree.map(jnp.subtract, over, gradients))
        else:  # grad(g . a) = H a + g, here of the derivative along a
            found[-1] = jax.tree.map(jnp.subtract, found[-1], gradients)
    for other in found[1:]:
        chex.assert_trees_all_close(found[0], other, rtol=0, atol=1e-10)


def test_hessian_and_derivative_in_differences(x64):
    f = lambda q: jnp.sum(A.dot_product(q, *KV[:, :1, :, :1], MASK.causal and A.causal(), backend="chunked") ** 2)
    q, step = Q[:1, :2, :1], RNG.normal(size=(1, 2, 1, H))
    hessian = jax.hessian(f)(q).reshape(q.size, q.size)
    difference = (jax.grad(f)(q + 1e-5 * step) - jax.grad(f)(q - 1e-5 * step)) / 2e-5
    np.testing.assert_allclose(hessian @ step.ravel(), difference.ravel(), rtol=0, atol=1e-8)


def test_mapped_over_rows_is_the_batch(x64):
    """`vmap` over q, k, v, mask and positions; and the gradient of each row."""
    places = (np.arange(T) + np.array([[1], [0]]), np.arange(S)[None].repeat(B, 0))

    def one(q, k, v, mask, places):
        f = lambda *qkv: jnp.sum(A.dot_product(*qkv, mask, positions=places, backend="chunked") ** 2)
        return jax.value_and_grad(f, (0, 1, 2))(q, k, v)

    mask = A.causal() & A.padding(REAL)
    values, gradients = jax.vmap(one)(Q, *KV, mask, places)
    total, wanted = one(Q, *KV, mask, places)
    np.testing.assert_allclose(jnp.sum(values), total, rtol=1e-13)
    chex.assert_trees_all_close(gradients, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_query_that_sees_nothing_has_no_part_in_anything(backend, x64):
    """Zeros, no gradient, no NaN of second order, also where q and k would overflow the softmax."""
    mask = A.padding(REAL) & (np.arange(T) != 2)[:, None]  # the query 2 sees nothing
    f = lambda q, k: A.dot_product(q, k, KV[1], mask, backend=backend)
    loss = lambda q, k: jnp.sum((1 + f(q, k)) ** 3)
    for scale in (1.0, 1e3):
        args = (Q * scale, KV[0] * scale)
        second = jax.jvp(jax.grad(loss, (0, 1)), args, args)[1]
        chex.assert_tree_all_finite((jax.grad(loss, (0, 1))(*args), second))
        assert not np.any(f(*args)[:, 2]) and not np.any(jax.grad(loss)(*args)[:, 2]) and not np.any(second[0][:, 2])
        assert not np.any(jax.jvp(f, args, args)[1][:, 2])


def temporary(length, backend, mask, **options):
    """MiB of temporary memory of forward and gradient, 1 row, 2 heads of 8."""
    q = jnp.zeros((1, length, 2, 8))
    f = lambda q, k, v: jnp.sum(A.dot_product(q, k, v, mask(length), backend=backend, **options) ** 2)
    compiled = jax.jit(jax.grad(f, (0, 1, 2))).lower(q, q, q).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 2**20


def test_memory_of_blocks_is_linear_in_length(monkeypatch):
    """Of quadrupled length: of all scores more than ten times the memory, of blocks at most 4.2 times, whatever is asked."""
    monkeypatch.setattr(backends, "block_sizes", lambda *lengths: blocks.Counts(32, 32))
    mask = lambda length: (
        A.causal()
        & A.window(300)
        & A.padding(np.arange(length)[None] < 900)
        & A.segments(np.arange(length)[None] // 512)
    )
    options = {"bias": A.relative(jnp.ones((8, 2))), "dropout": (0.1, KEY)}
    assert temporary(2048, "plain", mask) > 10 * temporary(512, "plain", mask)
    assert temporary(2048, "chunked", mask, **options) < 4.2 * temporary(512, "chunked", mask, **options)
    assert temporary(2048, "chunked", mask, **options) < 0.1 * temporary(2048, "plain", mask)
