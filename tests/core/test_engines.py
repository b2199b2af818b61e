"""Which engine runs a cell, and that all give the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.core.linear_scan import BLOCK, linear_scan
from seqjax.core.wrapper import Wrapper
from tests.own_cells import Gate


def model(*cells):
    cell = sj.stack(*cells)
    return cell, cell.init(jax.random.key(0), 3)


def draw(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("steps", [1, BLOCK, 3 * BLOCK + 1, BLOCK**2 + 5, 2 * BLOCK**2 + 1])
def test_blocks_are_the_loop(x64, kind, steps):
    """Against NumPy, with starts; over one and two levels of blocks, and lengths that are no multiple of one."""
    rng = np.random.default_rng(0)
    values = lambda *shape: rng.normal(size=shape) + (1j * rng.normal(size=shape) if kind == "complex" else 0)
    a, b, h = values(steps, 2, 3) / 2, values(steps, 2, 3), values(2, 3)
    starts = rng.random((steps, 2)) < 0.1
    for flags in (None, starts):
        want, state = [], h
        for t in range(steps):
            state = a[t] * state + b[t]
            if flags is not None:
                state = np.where(flags[t][:, None], b[t], state)
            want.append(state)
        for blocks in (False, True):
            np.testing.assert_allclose(linear_scan(a, b, jnp.asarray(h), flags, blocks=blocks), want, rtol=1e-11)


@pytest.mark.parametrize("blocks", [False, True])
def test_nothing_passes_a_start(blocks):
    """Neither a state that has become infinite, nor the gradient in it."""
    a, b = jnp.full((3 * BLOCK, 1), 4.0), jnp.full((3 * BLOCK, 1), 1e38)
    starts = np.arange(3 * BLOCK)[:, None] == 40
    states = linear_scan(a, b, b[0], starts, blocks=blocks)
    assert np.isinf(states[39, 0]) and states[40, 0] == b[40, 0]
    in_a, in_b, in_h = jax.grad(lambda *given: linear_scan(*given, starts, blocks=blocks)[40, 0], (0, 1, 2))(a, b, b[0])
    assert in_b[40, 0] == 1 and not np.any(in_b[:40]) and not np.any(in_a[40:42]) and not np.any(in_h)


def test_the_choice_is_told():
    cell, params = model(sj.Dense(3), Gate(4), sj.GRU(4))
    text = sj.explain(cell, params, jnp.zeros((2, 100, 3)))
    assert "Gate(4): loop over time for h' = a h + b alone, in chunks of 100 (faster on this cpu)" in text
    assert "GRU(4): loop over time, deferred gradient in chunks of 100" in text
    cell, params = model(sj.Dense(3), Gate(4))
    xs = jnp.zeros((2, 100, 3))
    assert f"Gate(4): associative in blocks of {BLOCK} (asked for)" in sj.explain(
        cell, params, xs, engine="associative"
    )
    assert "alone, in chunks of 100 (asked for), autodiff" in sj.explain(
        cell, params, xs, engine="scan", gradient="autodiff"
    )


def test_an_engine_that_cannot_run_a_part_is_refused():
    """By the name of the part; layers without a recurrence are no obstacle."""
    xs = draw(1, 2, 5, 3)
    for part in (sj.GRU(4), Stepped(Gate(4)), sj.residual(sj.stack(sj.Norm(), sj.RNN(4)))):
        cell, params = model(Gate(4), part, sj.Dense(2))
        name = {"Residual": "RNN(4)"}.get(type(part).__name__, repr(part))
        for run in (sj.scan, jax.jit(lambda *a, **k: sj.scan(*a, **k), static_argnums=0, static_argnames="engine")):
            with pytest.raises(sj.ArgumentError) as error:
                run(cell, params, xs, engine="associative")
            assert str(error.value).startswith(f"engine='associative' cannot run {name}: it has a recurrence")
    cell, params = model(sj.Norm(), sj.Dense(3), sj.bidirectional(sj.residual(sj.stack(Gate(3)))))
    assert sj.scan(cell, params, xs, engine="associative")[1].shape == (2, 5, 6)


class Stepped(Wrapper):
    """What overrides `step` alone means it, whatever the cell within defines."""

    def step(self, params, carry, x):
        carry, y = self.cell.step(params, carry, x)
        return carry, 2 * y


def test_a_step_of_its_own_takes_affine_back():
    class Twice(Gate):
        def step(self, params, carry, x):
            carry, y = super().step(params, carry, x)
            return carry, 2 * y

    assert Gate(2).diagonal and Gate(2).uniform and not Twice(2).diagonal
    params, xs = Gate(2).init(jax.random.key(0), 3), draw(1, 2, 5, 3)
    np.testing.assert_allclose(sj.scan(Twice(2), params, xs)[1], 2 * sj.scan(Gate(2), params, xs)[1], rtol=1e-6)


def test_affine_must_be_like_the_carry():
    class Wide(Gate):
        def affine(self, params, x):
            a, b = super().affine(params, x)
            return a[..., :1], b

    cell = Wide(4)
    with pytest.raises(sj.ArgumentError, match=r"Wide\(4\): affine must give a like the carry, \(2, 4\) for each step"):
        sj.scan(cell, cell.init(jax.random.key(0), 3), draw(1, 2, 5, 3))


def test_a_reset_that_reads_the_carry_goes_step_by_step():
    class Halving(Gate):
        def restart(self, params, carry, batch_shape):
            return carry / 2

    cell = Halving(2)
    params, xs, resets = cell.init(jax.random.key(0), 3), draw(1, 2, 5, 3), np.zeros((2, 5), bool)
    resets[:, 3] = True
    assert "step by step, not all at once (a reset reads the carry)" in sj.explain(cell, params, xs, resets=resets)
    carry, before = sj.scan(cell, params, xs[:, :3])
    want = sj.scan(cell, params, xs[:, 3:], carry / 2)[1]
    np.testing.assert_allclose(sj.scan(cell, params, xs, resets=resets)[1][:, 3:], want, rtol=1e-6)
    with pytest.raises(sj.ArgumentError, match="a reset reads the carry"):
        sj.scan(cell, params, xs, resets=resets, engine="associative")
