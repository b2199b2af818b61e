"""The affine map and the gates."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import GRU, LSTM, RNN, activate, keep, linear, scan
from seqjax.core import gating
from seqjax.core.chunks import LONGEST_CHUNK
from seqjax.core.gating import keep_gates
from seqjax.testing import Case, time_laws, transform_laws, vectors
from tests.trees import close

D, B, T = 3, 2, 2 * LONGEST_CHUNK + 5
NOISE = np.random.default_rng(0)


@pytest.mark.parametrize("names", ["sigmoid tanh", "relu", "identity identity"])
def test_gates_can_be_given_back(names):
    z = jnp.linspace(-2, 2, 8).reshape(2, 4)
    f = lambda z: jnp.concatenate(activate(z, names), -1)
    with keep_gates() as kept:
        want = f(z)

    def given(z):
        with keep_gates(kept):
            return f(z)

    close(jax.jvp(given, (z,), (z,)), jax.jvp(f, (z,), (z,)), 1e-6)
    close(want, f(z), 0)


@pytest.mark.parametrize("cell", [LSTM(4), GRU(4, reset_after=False)], ids=repr)
def test_the_law_where_time_and_batch_merge(monkeypatch, x64, cell):
    """As with one device in sight; the other tests have eight."""
    monkeypatch.setattr(gating, "may_merge_axes", lambda: True)
    case = Case(cell, D, vectors(D), 0)
    for law in (
        transform_laws.deferred_is_autodiff,
        transform_laws.vmap_over_params,
        time_laws.sequence_is_the_fold_of_step,
    ):
        law(case)


def test_linear_with_merged_axes(monkeypatch):
    p = {"kernel": jnp.asarray(NOISE.normal(size=(D, 4)), jnp.float32), "bias": jnp.ones(4)}
    shapes = [(D,), (5, D), (2, 5, D), (2, 0, D), (2, 1, 5, D)]
    xs = [jnp.asarray(NOISE.normal(size=shape), jnp.float32) for shape in shapes]
    want = [linear(p, x) for x in xs]
    monkeypatch.setattr(gating, "may_merge_axes", lambda: True)
    close([linear(p, x) for x in xs], want, 1e-6)
    with gating.transpose_kernels():
        close([linear(p, x) for x in xs], want, 1e-6)


def test_what_is_kept_is_neither_computed_again_nor_counted_twice(x64):
    f = lambda z: keep(z * z) * jnp.sin(z)
    z, other = jnp.linspace(0.1, 2, 5), jnp.linspace(3.0, 4, 5)
    with keep_gates() as kept:
        f(z)
    close(kept, [z * z], 0)

    def given(z):
        with keep_gates([other * other]):
            return f(z)

    # The value that was kept, and the slope of the one that it stands for.
    close(jax.grad(lambda z: given(z).sum())(z), 2 * z * jnp.sin(z) + other * other * jnp.cos(z), 1e-12)


@pytest.mark.parametrize("memory", ["auto", "least"])
@pytest.mark.parametrize("cell", [GRU(16), RNN(16, activation="relu")], ids=repr)
def test_a_product_that_is_kept_is_not_taken_again_for_the_gradient(cell, memory):
    """x W and h U, and for the gradients of h, W and U one each; h U once more where nothing is kept.

    The relu of an RNN was not kept. It is the output, which is there with the least memory too.
    """
    params, xs = cell.init(jax.random.key(0), 8), jnp.zeros((4, 6, 8))
    loss = lambda params: scan(cell, params, xs, memory=memory)[1].sum()
    text = jax.jit(jax.grad(loss)).lower(params).compile().as_text()
    assert len(re.findall(r" = \S+ dot\(", text)) == (6 if memory == "least" and cell == GRU(16) else 5)
