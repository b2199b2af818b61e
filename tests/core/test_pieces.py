"""`scan_sum` against `scan` over the whole sequence."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.testing import vectors
from tests.own_cells import LRU, MGU

B, K, COUNT = 2, 3, 4
XS = np.random.default_rng(0).normal(size=(B, K * COUNT, 3))
TARGETS = np.random.default_rng(1).normal(size=(B, K * COUNT))
IDS = np.random.default_rng(2).integers(5, size=(B, K * COUNT))
CELLS = {
    "own": (MGU(3), XS),
    "stack": (sj.stack(sj.Embed(5, 3), sj.LSTM(3), sj.residual(sj.GRU(3))), IDS),
    "learned": (sj.stack(LRU(3), sj.RNN(3, learned_carry=True)), XS),
}


def squares(ys, targets):
    return {"error": jnp.sum((ys[..., 0] - targets) ** 2), "outputs": jnp.sum(ys, axis=(0, 1))}


def cut(values):
    def piece(i):
        at = lambda a: jax.lax.dynamic_slice_in_dim(jnp.asarray(a), i * K, K, axis=1)
        return at(values), at(TARGETS)

    return piece


@pytest.mark.parametrize(
    ("name", "options"),
    [("own", {"checkpoint": "sqrt", "gradient": "autodiff"}), ("stack", {}), ("learned", {"unroll": 3})],
)
def test_the_sum_is_that_of_the_whole_sequence(x64, name, options):
    cell, xs = CELLS[name]
    params = cell.init(jax.random.key(0), xs.shape[-1] if xs.ndim == 3 else 0, "float64")

    def whole(params):
        carry, ys = sj.scan(cell, params, xs)
        found = squares(ys, TARGETS)
        return found["error"], (carry, found)

    def pieces(params):
        carry, found = sj.scan_sum(cell, params, cut(xs), squares, COUNT, **options)
        return found["error"], (carry, found)

    (_, want), want_gradient = jax.value_and_grad(whole, has_aux=True)(params)
    (_, got), gradient = jax.jit(jax.value_and_grad(pieces, has_aux=True))(params)
    chex.assert_trees_all_close((got, gradient), (want, want_gradient), rtol=1e-10, atol=1e-12)


def test_any_order_and_mode(x64):
    """A product of the Hessian with a vector, forward over reverse."""
    cell = sj.GRU(3)
    params = cell.init(jax.random.key(0), 3, "float64")
    direction = jax.tree.map(jnp.ones_like, params)
    scores = (
        lambda p: squares(sj.scan(cell, p, XS)[1], TARGETS)["error"],
        lambda p: sj.scan_sum(cell, p, cut(XS), squares, COUNT)[1]["error"],
    )
    want, got = (jax.jvp(jax.grad(score), (params,), (direction,))[1] for score in scores)
    chex.assert_trees_all_close(got, want, rtol=1e-9)


def test_a_carry_that_is_given_goes_on():
    """Random numbers too: dropout draws what it would have drawn in one sequence."""
    cell = sj.stack(sj.GRU(3), sj.Dropout(0.5))
    params = cell.init(jax.random.key(0), 3)
    carry = cell.initial_carry(params, (B,), key=jax.random.key(1))
    xs = vectors(3)(jax.random.key(2), (B, K * COUNT))
    want = sj.scan(cell, params, xs, carry)
    got_carry, total = sj.scan_sum(cell, params, cut(xs), lambda ys, _: jnp.sum(ys, axis=1), COUNT, carry)
    chex.assert_trees_all_close((got_carry[0], total), (want[0][0], jnp.sum(want[1], axis=1)), rtol=1e-5)


def test_whole_numbers_are_counted():
    cell = sj.RNN(2)
    params = cell.init(jax.random.key(0), 3)
    carry, total = sj.scan_sum(cell, params, cut(np.float32(XS)), lambda ys, _: jnp.sum(ys[..., 0] > 0), COUNT)
    assert total.dtype == jnp.int32
    assert total == jnp.sum(sj.scan(cell, params, np.float32(XS))[1][..., 0] > 0)


def test_memory_holds_one_piece_and_the_carries():
    """Between 16 and 1,024 pieces lie 1,008 carries and nothing else that grows."""
    cell = sj.LSTM(32)
    params = cell.init(jax.random.key(0), 1)

    def bytes_of(count):
        def piece(i):
            return jnp.broadcast_to(jnp.float32(i), (1, 64, 1)), ()

        loss = lambda params: sj.scan_sum(cell, params, piece, lambda ys, _: jnp.sum(ys**2), count)[1]
        return jax.jit(jax.grad(loss)).lower(params).compile().memory_analysis().temp_size_in_bytes

    carry = 2 * 32 * 4
    assert bytes_of(1024) - bytes_of(16) <= 1.1 * 1008 * carry


def test_what_is_read_from_elsewhere():
    """A piece that comes from the host, as from a file, and is never an array of the program as a whole."""
    cell = sj.GRU(2)
    params = cell.init(jax.random.key(0), 3)
    stored = np.float32(XS)

    def piece(i):
        shape = jax.ShapeDtypeStruct((B, K, 3), jnp.float32)
        return jax.pure_callback(lambda i: stored[:, int(i) * K : (int(i) + 1) * K], shape, i), ()

    score = lambda ys, _: jnp.sum(ys**2)
    got = jax.jit(jax.grad(lambda p: sj.scan_sum(cell, p, piece, score, COUNT)[1]))(params)
    want = jax.grad(lambda p: jnp.sum(sj.scan(cell, p, stored)[1] ** 2))(params)
    chex.assert_trees_all_close(got, want, rtol=1e-4, atol=1e-5)


def test_flags_are_counted():
    ones = lambda ys, _: jnp.ones((), bool)
    assert sj.scan_sum(CELL, PARAMS, cut(np.float32(XS)), ones, COUNT)[1] == COUNT


BOTH = sj.bidirectional(sj.GRU(2))
CELL = sj.GRU(2)
PARAMS = CELL.init(jax.random.key(0), 3)
WRONG = {
    "count must be a whole number of at least 1, found 0": lambda: call(count=0),
    "count must be a whole number": lambda: call(count=2.5),
    "scan_sum has no lengths": lambda: call(lengths=[1, 2]),
    "scan_sum has no mask": lambda: call(mask=np.ones((B, K), bool)),
    "scan_sum has no resets": lambda: call(resets=np.ones((B, K), bool)),
    "scan_sum has no reverse": lambda: call(reverse=True),
    "scan_sum has no time_major": lambda: call(time_major=True),
    "'chekpoint' is no option of scan. Perhaps you meant 'checkpoint'": lambda: call(chekpoint=3),
    "piece must give a pair .* found Array": lambda: call(piece=lambda i: jnp.ones((B, K, 3))),
    "xs has 5 features .* params were made for 3": lambda: call(piece=lambda i: (jnp.ones((B, K, 5)), ())),
    "pass carry=cell.initial_carry": lambda: sj.scan_sum(
        sj.Dropout(0.5), {}, cut(np.float32(XS)), lambda ys, _: jnp.sum(ys), 2
    ),
    "scan_sum reads the sequence forwards, .* reads both directions": lambda: sj.scan_sum(
        BOTH, BOTH.init(jax.random.key(0), 3), cut(np.float32(XS)), lambda ys, _: jnp.sum(ys), 2
    ),
    "'fresh' is no option of scan": lambda: call(fresh=True),
    "carry has shape .2, 7., expected .2, 2.": lambda: call(carry=jnp.ones((B, 7))),
}


def call(piece=cut(np.float32(XS)), count=2, **options):
    return sj.scan_sum(CELL, PARAMS, piece, lambda ys, _: jnp.sum(ys), count, **options)


@pytest.mark.parametrize("message", WRONG)
def test_wrong_calls(message):
    with pytest.raises((sj.ArgumentError, sj.ArgumentTypeError), match=message):
        WRONG[message]()
