"""What the deferred gradient keeps and computes once, by the compiled program."""

import jax
import jax.numpy as jnp
import pytest

from seqjax import GRU, LSTM, RNN, scan
from tests.core.test_loop import loops_of


def test_nothing_is_activated_again_in_the_backward_pass():
    """Two kept activations of an LSTM: its gates once, in the forward loop; tanh of c twice."""
    cell = LSTM(16)
    params = cell.init(jax.random.key(0), 16)
    score = lambda p, x: jnp.sum(scan(cell, p, x)[1] ** 2)
    hlo = jax.jit(jax.grad(score)).lower(params, jnp.ones((4, 600, 16))).compile().as_text()
    wide = [line for line in hlo.split("\n") if " tanh(" in line and ",64]" in line]
    assert len(wide) == sum(" tanh(" in line and ",64]" in line for body in loops_of(hlo) for line in body.split("\n"))
    assert len(wide) == 1


def temp_bytes(cell, shape, gradient):
    params = cell.init(jax.random.key(0), shape[-1])
    step = jax.grad(lambda p, x: jnp.mean(scan(cell, p, x, gradient=gradient)[1] ** 2), (0, 1))
    compiled = jax.jit(step).lower(params, jax.ShapeDtypeStruct(shape, jnp.float32)).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_memory_of_a_step_alone():
    """The gates and the carry are kept, 4 F numbers a step and row; autodiff keeps 6 (jax 0.11) or more than 8 (0.10)."""
    cell, shape = GRU(64, reset_after=False), (16, 512, 64)
    assert temp_bytes(cell, shape, "autodiff") > 1.4 * temp_bytes(cell, shape, "deferred")


@pytest.mark.parametrize("cell, most", [(LSTM(32), 1.0), (GRU(32), 1.0), (RNN(32), 1.25)], ids=repr)
def test_kept_gates_take_no_more_memory_than_autodiff(cell, most):
    """An RNN keeps y as its gate and as its output: a quarter more than autodiff in jax 0.11, less in 0.10."""
    assert temp_bytes(cell, (16, 512, 32), "deferred") <= most * temp_bytes(cell, (16, 512, 32), "autodiff")
