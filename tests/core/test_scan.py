"""The driver's options, one by one and against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqjax as sj
from seqjax import GRU, LSTM, RNN, Dense, Embed, bidirectional, scan, stack
from tests.own_cells import TreeCell, mixed_tree
from tests.trees import close

D, B, T = 3, 3, 7
CELL = stack(LSTM(3), GRU(2))
PARAMS = CELL.init(jax.random.key(0), D)
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))
run = jax.jit(lambda carry, xs, mask, resets: scan(CELL, PARAMS, xs, carry, mask=mask, resets=resets))
run_back = jax.jit(lambda xs, mask, resets: scan(CELL, PARAMS, xs, mask=mask, resets=resets, reverse=True))
START = CELL.initial_carry(PARAMS, (B,))
flags = st.lists(st.booleans(), min_size=B * T, max_size=B * T).map(lambda v: np.array(v).reshape(B, T))


def by_hand(xs, mask, resets, reverse=False):
    """One row at a time in Python: skip unreal steps, start anew at resets (read from their own side)."""
    carries, outputs = [], []
    step = jax.jit(CELL.step)
    for row, real, reset in zip(xs, mask, resets):
        carry, ys = CELL.initial_carry(PARAMS), np.zeros((T, 2), np.float32)
        order = [t for t in range(T) if real[t]]
        for k, t in enumerate(order[::-1] if reverse else order):
            before = order[::-1][k - 1] if reverse else t
            if (k > 0 or not reverse) and reset[before]:
                carry = CELL.initial_carry(PARAMS)
            carry, ys[t] = step(PARAMS, carry, row[t])
        carries.append(carry)
        outputs.append(ys)
    return jax.tree.map(lambda *c: np.stack(c), *carries), np.stack(outputs)


@given(mask=flags, resets=flags)
def test_any_mask_and_resets(mask, resets):
    close(run(START, XS, mask, resets), by_hand(XS, mask, resets))


@given(mask=flags, resets=flags)
def test_any_mask_and_resets_in_reverse(mask, resets):
    close(run_back(XS, mask, resets), by_hand(XS, mask, resets, reverse=True))


@given(mask=flags, resets=flags, cut=st.integers(0, T))
def test_any_cut_into_chunks(mask, resets, cut):
    whole = run(START, XS, mask, resets)
    order = np.arange(T)
    carry, parts = START, []
    for piece in (order < cut, order >= cut):  # as masks, so that one compiled program serves every cut
        carry, ys = run(carry, XS, mask & piece, resets)
        parts.append(ys)
    close((carry, sum(parts)), whole)


@given(lengths=st.lists(st.integers(0, T), min_size=B, max_size=B).map(np.array))
def test_lengths_are_a_mask(lengths):
    mask = np.arange(T) < lengths[:, None]
    close(scan(CELL, PARAMS, XS, lengths=lengths), run(START, XS, mask, np.zeros((B, T), bool)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_narrow_lengths_of_long_sequences(dtype):
    """300 steps counted in int8 or uint8 would wrap around and make padding real."""
    cell = RNN(1, activation="identity", recurrent_init=sj.initializers.identity())
    params = jax.tree.map(jnp.ones_like, cell.init(jax.random.key(0), 1)) | {
        "project": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}
    }
    lengths = jnp.array([100, 7], dtype)
    last, _ = jax.jit(lambda n: scan(cell, params, jnp.ones((2, 300, 1)), lengths=n))(lengths)
    np.testing.assert_array_equal(last[:, 0], [100, 7])


def test_time_major_is_the_transpose():
    mask = np.random.default_rng(0).random((B, T)) < 0.7
    carry, ys = scan(CELL, PARAMS, XS, mask=mask, resets=~mask)
    turned = scan(CELL, PARAMS, XS.swapaxes(0, 1), mask=mask.T, resets=~mask.T, time_major=True)
    close(turned, (carry, ys.swapaxes(0, 1)))


@pytest.mark.parametrize("batch", [(), (2,), (2, 1, 3)], ids=str)
def test_any_batch_rank(batch):
    cell = stack(Embed(5, 3), bidirectional(LSTM(2)), Dense(2))
    params = cell.init(jax.random.key(0), 0)
    tokens = np.random.default_rng(0).integers(0, 5, (*batch, T))
    lengths = np.random.default_rng(1).integers(0, T + 1, batch)
    carry, ys = scan(cell, params, tokens, lengths=lengths)
    assert ys.shape == (*batch, T, 2)
    flat = scan(cell, params, tokens.reshape(-1, T), lengths=lengths.reshape(-1))
    close(ys.reshape(-1, T, 2), flat[1])
    assert carry[1].forward.c.shape == (*batch, 2)


def test_pytree_inputs():
    cell = TreeCell(3)
    params = cell.init(jax.random.key(0), 2)
    xs = mixed_tree(jax.random.key(1), (B, T))
    carry, ys = scan(cell, params, xs, lengths=np.array([0, 3, T]))
    np.testing.assert_array_equal(carry["t"], [0, 3, T])
    turned = jax.tree.map(lambda a: a.swapaxes(0, 1), xs)
    close(scan(cell, params, turned, lengths=np.array([0, 3, T]), time_major=True)[1], ys.swapaxes(0, 1))


def test_vmap_over_data_is_the_batch():
    together = scan(CELL, PARAMS, XS)
    close(jax.vmap(lambda x: scan(CELL, PARAMS, x))(XS), together)


def test_no_mask_is_not_paid_for():
    """Without mask and resets no selection is in the program."""
    params = LSTM(2).init(jax.random.key(0), D)
    text = str(jax.make_jaxpr(lambda x: scan(LSTM(2), params, x))(XS))
    assert "select_n" not in text
    assert "select_n" in str(jax.make_jaxpr(lambda x: scan(LSTM(2), params, x, lengths=np.array([1, 2, 3])))(XS))
