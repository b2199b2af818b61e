"""Carries: what is asked for, their dtypes, what comes of one that was given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import LSTM, Dense, Dropout, scan, stack
from tests.attending_cells import AttendingLSTM
from tests.own_cells import LRU, TreeCell, mixed_tree

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


def test_default_carry_takes_the_width_of_any_input(x64):
    """With whole numbers as the first of several inputs it stayed float32 beside float64 values."""

    cell = TreeCell(3)
    params = cell.init(jax.random.key(0), 2)
    carry, _ = scan(cell, params, mixed_tree(jax.random.key(1), (B, T)))
    assert carry["h"].dtype == jnp.float64


def test_what_is_asked_for_and_missing_is_named():
    cell = stack(Dense(3), AttendingLSTM(3))
    params = cell.init(jax.random.key(0), D)
    with pytest.raises(sj.ArgumentError, match="reads a memory: pass carry=cell.initial_carry"):
        scan(cell, params, XS)
    with pytest.raises(sj.ArgumentError, match="the batch axes .3,. first"):
        scan(cell, params, XS, cell.initial_carry(params, (2,), memory=jnp.ones((2, 5, 3))))


def test_a_carry_keeps_its_dtype_and_outputs_promote():
    cell = LSTM(2)
    params = jax.tree.map(lambda a: a.astype(jnp.bfloat16), cell.init(jax.random.key(0), D))
    xs = XS.astype(jnp.bfloat16)
    carry, ys = scan(cell, params, xs)
    assert (carry.c.dtype, ys.dtype) == (jnp.float32, jnp.bfloat16)
    wide, _ = scan(cell, cell.init(jax.random.key(0), D), XS)
    np.testing.assert_allclose(carry.c, wide.c, atol=0.03)


def test_a_real_carry_of_a_complex_cell_and_a_narrow_clock():
    """The first lost every imaginary part, the second wrapped around at 127."""
    cell = LRU(2)
    params = cell.init(jax.random.key(0), D)
    np.testing.assert_allclose(scan(cell, params, XS, jnp.zeros((B, 2)))[1], scan(cell, params, XS)[1], rtol=1e-6)
    drop = Dropout(0.5)
    carry = drop.initial_carry({}, (1,), key=jax.random.key(0))
    last, _ = scan(drop, {}, np.ones((1, 200, 1), np.float32), carry._replace(draws=carry.draws.astype(jnp.int8)))
    assert int(last.draws[0]) == 200
