"""A cache that would overflow is an error where that is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

import seqjax as sj
from seqjax.interop import as_cell
from seqjax.nn import TransformerBlock
from tests.interop.flax_modules import cached_attention

BLOCK = as_cell(TransformerBlock, 4, 2, capacity=6)
CELLS = [
    BLOCK,
    as_cell(cached_attention, 4, 2, 6),
    sj.stack(sj.Norm(), sj.residual(BLOCK)),
    sj.repeat(BLOCK, 2),
    sj.bidirectional(BLOCK, merge="sum"),
]
XS = jnp.ones((2, 7, 4))
RESETS = np.arange(7)[None] == np.array([[3], [6]])


@pytest.fixture(scope="module")
def params():
    return {cell: cell.init(jax.random.key(0), 4) for cell in CELLS}


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_more_steps_than_a_fresh_cache_holds(params, cell):
    with pytest.raises(sj.ArgumentError, match="holds 6 tokens, but there are 0 and 7 more"):
        sj.scan(cell, params[cell], XS)
    with pytest.raises(sj.ArgumentError, match="holds 6 tokens"):  # the sizes are known within jit, too
        jax.jit(lambda p, x: sj.scan(cell, p, x)[1])(params[cell], XS)


@pytest.mark.parametrize("cell", CELLS[:4], ids=repr)
def test_a_carry_that_is_nearly_full(params, cell):
    carry = sj.scan(cell, params[cell], XS[:, :4])[0]
    assert jnp.all(jnp.isfinite(sj.scan(cell, params[cell], XS[:, :2], carry)[1]))
    with pytest.raises(sj.ArgumentError, match="there are 4 and 3 more"):
        sj.scan(cell, params[cell], XS[:, :3], carry)


def test_only_real_steps_without_a_reset_between_count(params):
    run = lambda cell=BLOCK, carry=None, **options: sj.scan(cell, params[cell], XS, carry, **options)
    assert jnp.all(jnp.isfinite(run(lengths=[6, 2])[1])) and jnp.all(jnp.isfinite(run(resets=RESETS)[1]))
    assert jnp.all(jnp.isfinite(run(resets=RESETS, reverse=True)[1]))
    carry = sj.scan(BLOCK, params[BLOCK], XS[:, :3])[0]
    run(carry=carry, resets=RESETS[[0, 0]])  # 3 + 3, then 4
    with pytest.raises(sj.ArgumentError, match="there are 3 and 6 more"):
        run(carry=carry, resets=RESETS)
    with pytest.raises(sj.ArgumentError, match="there are 3 and 4 more"):  # read backwards, the last four come first
        run(carry=carry, resets=RESETS[[0, 0]], reverse=True)
    with pytest.raises(sj.ArgumentError, match="there are 0 and 7 more"):
        run(resets=RESETS & False, mask=np.ones((2, 7), bool))


def test_a_window_has_room_for_all():
    cell = as_cell(TransformerBlock, 4, 2, window=2)
    assert jnp.all(jnp.isfinite(sj.scan(cell, cell.init(jax.random.key(0), 4), XS)[1]))


def test_within_jit_outputs_are_nan_or_a_check_fails(params):
    carry = sj.scan(BLOCK, params[BLOCK], XS[:, :4])[0]
    run = lambda carry, x, checked: sj.scan(BLOCK, params[BLOCK], x, carry, checked=checked)[1]
    ys = jax.jit(run, static_argnums=2)(carry, XS[:, :3], False)
    assert jnp.all(jnp.isfinite(ys[:, :2])) and jnp.all(jnp.isnan(ys[:, 2]))
    checked = jax.jit(checkify.checkify(lambda c, x: run(c, x, True)))
    assert checked(carry, XS[:, :2])[0].get() is None
    assert "holds 6 tokens, not 7" in checked(carry, XS[:, :3])[0].get()
