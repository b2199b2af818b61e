"""The gradient of the parameters, also where it flows through the initial carry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, RNN, Dense, Wrapper, bidirectional, residual, scan, stack, trace  # fmt: skip
from seqjax.diagnostics import gradient_flow
from seqjax.testing import check_cell
from tests.attending_cells import Bank

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))
GAPS = np.ones((B, T), bool)
GAPS[:, 1] = GAPS[2] = False


class Same(Wrapper):
    """A wrapper that changes nothing."""


class Own(Wrapper):
    """One whose sequence is its own, in both directions."""

    causal = False

    def step(self, params, carry, x):
        raise sj.NotCausalError

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = self.cell.sequence(params, carry, xs, plan)
        return carry, 2 * ys


@pytest.mark.parametrize(
    "cell",
    [
        Bank(),
        stack(Dense(D), residual(Bank())),
        Same(bidirectional(GRU(3, learned_carry=True))),
        Own(bidirectional(GRU(3, learned_carry=True))),
    ],
    ids=["bank", "within", "same", "own"],
)
def test_parameters_that_act_through_the_initial_carry(x64, cell):
    """Their part was left out of `gradient_flow(...).parameters`."""
    params = cell.init(jax.random.key(0), D, "float64")
    loss = lambda ys: jnp.sum(jnp.sin(ys), (1, 2))
    grads = jax.grad(lambda p: jnp.mean(loss(scan(cell, p, XS.astype(float))[1])))(params)
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(grads)))
    flow = gradient_flow(cell, params, XS.astype(float), loss, outputs="all")
    np.testing.assert_allclose(np.exp(flow.parameters), norm, rtol=1e-9)
    if isinstance(cell, Same):
        assert {"forward/h", "backward/u"} <= flow.layers.keys()


@pytest.mark.slow
def test_a_memory_made_of_parameters_is_lawful():
    check_cell(Bank(), D)


def test_a_loss_or_an_edit_is_called_anew_each_time():
    """They were compiled in, with what they read at the first call."""
    cell = LSTM(3)
    params = cell.init(jax.random.key(0), D)
    target, strength = {"t": 0.0}, {"s": 1.0}
    loss = lambda y: jnp.sum((y - target["t"]) ** 2, -1)
    edit = lambda f: f * strength["s"]
    first = gradient_flow(cell, params, XS, loss).loss, trace(cell, params, XS, add={"f": edit})[1]
    target["t"], strength["s"] = 100.0, 0.0
    second = gradient_flow(cell, params, XS, loss).loss, trace(cell, params, XS, add={"f": edit})[1]
    assert np.all(second[0] > 1000 * first[0])
    assert not np.allclose(*(pair[1] for pair in (first, second)))


def test_joint_of_all_outputs_is_nan_where_the_last_step_is_unreal():
    cell = RNN(2)
    flow = gradient_flow(cell, cell.init(jax.random.key(0), D), XS, lambda ys: ys.sum((1, 2)), mask=GAPS, outputs="all")
    np.testing.assert_array_equal(np.isnan(flow.joint[:, 0]), ~GAPS[:, -1])
