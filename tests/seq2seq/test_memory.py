"""What decoders do with the memory: padding, empty and short sources, resets, dtypes, and what a loop keeps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import GRU, LSTM, RNN, Dense, Embed, residual, scan, stack, trace
from seqjax.seq2seq import Memory, attend
from seqjax.seq2seq.score import SCORES

B, S, E, F, T = 2, 5, 3, 3, 4
STACK = stack(Embed(7, 2), attend(RNN(F), "location"), residual(attend(GRU(F), "monotonic", "after")), Dense(2))
TOKENS = np.array([[0, 3, 1, 6], [2, 2, 5, 0]])
MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], bool)


def values_like(steps=S, seed=0):
    return np.random.default_rng(seed).standard_normal((B, steps, E)).astype("f4")


@functools.cache
def params_of(cell, in_features=0):
    return cell.init(jax.random.key(0), in_features)


@functools.partial(jax.jit, static_argnums=0)
def with_gradients(cell, params, values, mask, xs):
    def score(params, values):
        carry = cell.initial_carry(params, (B,), memory=Memory(values, mask))
        carry, ys = scan(cell, params, xs, carry)
        return jnp.sum(jnp.sin(ys)), ys

    (_, ys), grads = jax.value_and_grad(score, (0, 1), has_aux=True)(params, values)
    return ys, grads


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e38])
def test_padding_of_the_source_changes_nothing(poison):
    values = values_like()
    wanted = with_gradients(STACK, params_of(STACK), values, MASK, TOKENS)
    found = with_gradients(
        STACK, params_of(STACK), np.where(MASK[..., None], values, poison).astype("f4"), MASK, TOKENS
    )
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    assert not np.any(np.asarray(wanted[1][1])[~MASK]) and np.all(np.any(np.asarray(wanted[1][1])[MASK], axis=-1))


def but(few, names):
    """All names, those that are not among the few for `make test-all` alone."""
    return [pytest.param(name, marks=[] if name in few else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("score", but(("location", "monotonic"), SCORES))
def test_padding_on_the_left_and_on_the_right_are_alike(score):
    cell = attend(RNN(F), score)
    values, xs = values_like(3), np.ones((B, T, 2), "f4")
    pads = [((0, 0), pad, (0, 0)) for pad in ((0, 0), (0, 2), (2, 0))]
    results = []
    for pad in pads:
        mask = np.pad(np.ones((B, 3), bool), pad[:2])
        results.append(with_gradients(cell, params_of(cell, 2), np.pad(values, pad), mask, xs)[0])
    np.testing.assert_allclose(results[1], results[0], atol=2e-6)
    np.testing.assert_allclose(results[2], results[0], atol=2e-6)


@pytest.mark.parametrize("feed", ["before", "after"])
@pytest.mark.parametrize("score", but(("additive", "monotonic"), SCORES))
def test_an_empty_source_gives_no_context_and_no_gradient(score, feed):
    cell = attend(LSTM(F), score, feed)
    params, xs = params_of(cell, 2), np.ones((B, T, 2), "f4")
    empty, full = np.zeros((B, S), bool), np.ones((B, S), bool)
    half = np.array([empty[0], full[1]])
    ys, (of_params, of_values) = with_gradients(cell, params, np.full((B, S, E), np.nan, "f4"), empty, xs)
    for leaf in jax.tree.leaves((ys, of_params)):
        assert np.all(np.isfinite(leaf))
    assert not np.any(of_values) and not np.any(of_params["score"].get("keys", 0))
    np.testing.assert_array_equal(with_gradients(cell, params, values_like(0), None, xs)[0], ys)  # S = 0
    mixed, wanted = (with_gradients(cell, params, values_like(), mask, xs)[0] for mask in (half, full))
    np.testing.assert_allclose(mixed[0], ys[0], atol=1e-6)
    np.testing.assert_allclose(mixed[1], wanted[1], atol=1e-6)


def test_one_step_of_source_and_target():
    cell = attend(GRU(F), "coverage")
    ys, (_, of_values) = with_gradients(cell, params_of(cell, 2), values_like(1), None, np.ones((B, 1, 2), "f4"))
    assert ys.shape == (B, 1, F) and np.all(np.isfinite(of_values))
    carry = cell.initial_carry(params_of(cell, 2), (B,), memory=values_like(1))
    _, _, seen = trace(cell, params_of(cell, 2), np.ones((B, 1, 2), "f4"), carry)
    np.testing.assert_array_equal(seen["weights"], np.ones((B, 1, 1)))
    np.testing.assert_allclose(seen["context"], values_like(1), atol=1e-6)


def test_a_reset_begins_anew_with_the_same_source():
    memory = Memory(values_like(), MASK)
    carry = STACK.initial_carry(params_of(STACK), (B,), memory=memory)
    twice = np.concatenate([TOKENS, TOKENS], axis=1)
    resets = np.zeros((B, 2 * T), bool)
    resets[:, T] = True
    _, ys = scan(STACK, params_of(STACK), twice, carry, resets=resets)
    np.testing.assert_allclose(ys[:, T:], ys[:, :T], atol=1e-6)
    assert not np.allclose(scan(STACK, params_of(STACK), twice, carry)[1][:, T:], ys[:, :T], atol=1e-3)


@pytest.mark.slow  # `vmap_over_params` of the law, which begins with a carry, is not
def test_one_source_for_many_parameters():
    cell = attend(RNN(F), "general")
    many = jax.vmap(lambda key: cell.init(key, 2))(jax.random.split(jax.random.key(0), 3))
    xs = np.ones((B, T, 2), "f4")
    run = lambda params: with_gradients(cell, params, values_like(), MASK, xs)[0]
    np.testing.assert_allclose(jax.vmap(run)(many)[1], run(jax.tree.map(lambda p: p[1], many)), atol=1e-6)


@pytest.mark.parametrize("score", but(("additive",), SCORES))
def test_narrow_numbers_are_near_wide_ones(score):
    cell, cast = attend(LSTM(F), score), lambda tree, dtype: jax.tree.map(lambda a: jnp.asarray(a, dtype), tree)
    xs = np.random.default_rng(1).standard_normal((B, T, 2))
    with jax.enable_x64(True):
        params = cast(params_of(cell, 2), "bfloat16")
        args = values_like().astype("bfloat16"), xs.astype("bfloat16")
        run = lambda dtype: with_gradients(cell, cast(params, dtype), cast(args[0], dtype), MASK, cast(args[1], dtype))
        (narrow, _), (wide, _) = run("bfloat16"), run("float64")
    assert narrow.dtype == jnp.bfloat16 and wide.dtype == jnp.float64
    np.testing.assert_allclose(np.asarray(narrow).astype("f8"), wide, atol=0.03)


def loops(jaxpr):
    """Every loop in a program, also within others."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")
        ):
            if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                yield from loops(inner if hasattr(inner, "eqns") else inner.jaxpr)


@pytest.mark.parametrize("options", [{}, {"lengths": np.array([9, 3])}, {"checkpoint": 3}], ids=str)
def test_no_loop_keeps_the_memory_for_each_step(options):
    cell = attend(GRU(4), "additive", features=6, memory_features=13)
    params = cell.init(jax.random.key(0), 2)
    xs, values = np.ones((B, 9, 2), "f4"), np.ones((B, 11, 13), "f4")

    def score(params, values):
        return jnp.sum(scan(cell, params, xs, cell.initial_carry(params, (B,), memory=values), **options)[1])

    program = jax.make_jaxpr(jax.grad(score, (0, 1)))(params, values)
    found = list(loops(program.jaxpr))
    assert found
    for loop in found:
        stacked = [v.aval.shape for v in loop.outvars[loop.params["num_carry"] :]]
        assert not [shape for shape in stacked if shape[-2:] == (11, 13)], stacked
