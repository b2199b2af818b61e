"""Gradients as they were before the protocol grew: who uses nothing of the new pays nothing, not even rounding."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import initializers
from seqjax._internal.spelling import parse
from seqjax.core.start import start_carry
from seqjax.testing import vectors
from seqjax.testing.case import Case, run_with_gradients
from tests import own_cells

LONG = 67
FILE = Path(__file__).parent / "golden_gradients.npz"
NAMES = np.load(FILE).files
INPUTS = {0: own_cells.tokens, 1: vectors(3)}


def measure(name):
    """The sum of all outputs, then every gradient in params and carry and the sums of those in xs, over several chunks."""
    cell = parse(name, {**vars(sj), **vars(initializers), **vars(own_cells)})
    make_xs = own_cells.mixed_tree if isinstance(cell.feature_axes, dict) else INPUTS[cell.feature_axes]
    case = Case(cell, 3, make_xs, 0)
    lengths, resets = np.array([LONG, 0, LONG // 2]), np.zeros((3, LONG), bool)
    resets[:, [0, 7, 40]] = True

    def run(params, carry, xs):
        return case.run(params, carry, xs, lengths=lengths, resets=resets)

    args = case.params, initial(case), case.xs(3, LONG)
    (carry, ys), (params, carries, xs) = jax.jit(lambda *a: run_with_gradients(run, *a))(*args)
    leaves = [np.ravel(leaf) for leaf in jax.tree.leaves((params, carries))]
    sums = [np.ravel(np.sum(np.asarray(leaf), axis=1)) for leaf in jax.tree.leaves(xs)]
    total = sum(float(np.sum(np.asarray(y) ** 2)) for y in jax.tree.leaves(ys))
    return np.concatenate([[total], *leaves, *sums]).astype(np.float64)


def initial(case):
    """The initial carry moved by 0.3, as the laws had it then."""
    carry = start_carry(case.cell, case.params, (3,), key=jax.random.key(case.seed + 3))
    return jax.tree.map(lambda a: a + 0.3 if jnp.issubdtype(a.dtype, jnp.floating) else a, carry)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_before(x64, name):
    want = np.load(FILE)[name]  # relative to the largest, as versions of jax add up in another order
    np.testing.assert_allclose(measure(name), want, rtol=1e-12, atol=1e-12 * np.max(np.abs(want)))


if __name__ == "__main__":
    with jax.enable_x64(True):
        np.savez_compressed(FILE, **{name: measure(name) for name in NAMES})
