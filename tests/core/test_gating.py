"""The affine map and the gates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import GRU, LSTM, activate, linear
from seqjax.core import gating
from seqjax.core.chunks import LONGEST_CHUNK
from seqjax.core.gating import keep_gates
from seqjax.testing import Case, time_laws, transform_laws, vectors
from tests.trees import close

D, B, T = 3, 2, 2 * LONGEST_CHUNK + 5
NOISE = np.random.default_rng(0)


def test_gates_can_be_given_back():
    z = jnp.linspace(-2, 2, 8).reshape(2, 4)
    f = lambda z: jnp.concatenate(activate(z, "sigmoid tanh"), -1)
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
