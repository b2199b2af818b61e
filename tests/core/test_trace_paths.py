"""The paths of a trace: told apart, the same in a loop and in a sequence."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import GRU, LSTM, ArgumentError, Cell, Dense, Wrapper, repeat, residual, scan, stack, trace
from seqjax.diagnostics import gradient_flow
from tests.attending_cells import Bank

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


def test_paths_are_told_apart():
    cell = residual(residual(GRU(D)))
    params = cell.init(jax.random.key(0), D)
    names = set(trace(cell, params, XS)[2])
    assert {"sum", "cell/sum", "cell/h"} <= names
    assert set(gradient_flow(cell, params, XS, lambda y: y[:, 0]).layers) <= names
    for bad in ("a/b", "class", "my layer", ""):
        with pytest.raises(ArgumentError, match="no name for a part"):
            stack(**{bad: LSTM(3)})


class Twice(Wrapper):
    factor: float = 2.0

    def step(self, params, carry, x):
        carry, y = self.cell.step(params, carry, x)
        return carry, self.factor * y


def test_a_path_means_the_same_in_a_loop_and_in_a_sequence():
    cell = stack(residual(GRU(D)), Dense(2))
    params = cell.init(jax.random.key(0), D)
    alone, within = trace(cell, params, XS)[2], trace(Twice(cell), params, XS)[2]
    assert set(alone) <= set(within)
    for name, value in alone.items():
        np.testing.assert_allclose(within[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "cell", [Twice(repeat(GRU(D), 2)), Twice(stack(repeat(GRU(D), 2), Dense(3))), residual(repeat(GRU(D), 2))], ids=repr
)
def test_wrappers_of_repeated_cells_can_be_traced(cell):
    params = cell.init(jax.random.key(0), D)
    seen = trace(cell, params, XS)[2]
    assert any(name.endswith("layer/h") and value.shape == (B, T, 2, D) for name, value in seen.items())
    zeros = {name: jnp.zeros_like(value) for name, value in seen.items()}
    np.testing.assert_allclose(trace(cell, params, XS, add=zeros)[1], scan(cell, params, XS)[1], rtol=1e-5, atol=1e-6)


class Pair(NamedTuple):
    y: jax.Array
    z: jax.Array


class Oscillator(Cell):
    """A state that is called y."""

    out_features = 2

    def init(self, key, in_features, dtype=jnp.float32):
        return {"w": jnp.ones((in_features, 2), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return Pair(*(jnp.zeros((*batch_shape, 2), params["w"].dtype) for _ in range(2)))

    def step(self, params, carry, x):
        z = carry.z + 0.1 * (jnp.tanh(x @ params["w"]) - carry.y)
        y = carry.y + 0.1 * z
        return Pair(y, z), y + 1


def test_a_state_may_have_the_name_of_an_output():
    seen = trace(Oscillator(), Oscillator().init(jax.random.key(0), D), XS)[2]
    assert set(seen) == {"y", "carry/y", "z"}
    np.testing.assert_allclose(seen["y"], seen["carry/y"] + 1, rtol=1e-6)


def test_what_is_held_is_no_state_of_a_trace():
    seen = trace(Bank(), Bank().init(jax.random.key(0), D), XS)[2]
    assert set(seen) == {"0", "y"}
    with pytest.raises(ArgumentError, match="no tap '1/value'"):
        trace(Bank(), Bank().init(jax.random.key(0), D), XS, add={"1/value": jnp.zeros_like})
