"""The law for every gradient with every checkpoint and either memory, and what each of them is worth in narrow floats.

The engines beside the loop over time have theirs in test_engines.py and test_newton.py, budgets in test_budget.py.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import GRU, LRU, LSTM, RNN, Dense, Embed, MinLSTM, bidirectional, repeat, residual, scan, stack
from seqjax._internal.trees import cast_floats, is_inexact, split_inexact
from seqjax.core import engines
from seqjax.core.chunks import LONGEST_CHUNK
from seqjax.testing import Case, check_cell, vectors
from tests.own_cells import MGU, Peephole, TreeCell, mixed_tree, tokens
from tests.table import MAY_BE_LEFT_OUT

CELLS = {
    RNN(3, activation="relu"): None,
    LSTM(3): None,
    GRU(3): None,
    GRU(3, reset_after=False): None,
    MGU(3): None,
    Peephole(3): None,
    LRU(3): None,
    MinLSTM(3): None,
    TreeCell(3): mixed_tree,
    bidirectional(GRU(2, learned_carry=True)): None,
    stack(Embed(5, 3), LSTM(3), repeat(residual(RNN(3)), 2), Dense(2)): tokens,
}
GRID = [
    {"gradient": gradient, "checkpoint": checkpoint, "memory": memory}
    for gradient, checkpoint, memory in itertools.product(
        ("deferred", "autodiff"), (None, 3, "sqrt"), ("auto", "least")
    )
    if gradient == "deferred" or memory == "auto"  # autodiff keeps what it keeps
]
FEW = [
    (LSTM(3), {"gradient": "deferred", "checkpoint": "sqrt", "memory": "least"}),
    (GRU(3), {"gradient": "deferred", "checkpoint": None, "memory": "auto"}),
]
STEPS = 2 * LONGEST_CHUNK + 3


def rows(few, grid):
    """Those of the default run, and all others as slow ones."""
    pairs = itertools.product(CELLS, grid)
    return [
        pytest.param(*pair, marks=[] if pair in few else pytest.mark.slow, id=f"{pair[0]}-{pair[1]}") for pair in pairs
    ]


@pytest.mark.parametrize("cell, options", rows(FEW[:1], GRID))
def test_the_law(monkeypatch, cell, options):
    monkeypatch.setattr(engines, "ONE_CHUNK", 0)  # of linear cells, too, several
    report = check_cell(cell, make_xs=CELLS[cell], **options)
    for law, result in report.items():
        assert result == "holds" or MAY_BE_LEFT_OUT[law] in result, (law, result)


@pytest.mark.parametrize("dtype, roundings", [("float32", 4), ("bfloat16", 1)])
@pytest.mark.parametrize("cell, options", rows(FEW, [options for options in GRID if options["gradient"] == "deferred"]))
def test_deferred_gradients_are_as_exact_as_autodiff(monkeypatch, cell, options, dtype, roundings):
    """In narrow floats, over several chunks: the distance from float64, as a part of the norm of each array.

    Two sums of 400 numbers in other orders differ by a few roundings; bfloat16 is added up in float32, and rounded once.
    """
    monkeypatch.setattr(engines, "ONE_CHUNK", 0)
    with jax.enable_x64(True):
        exact, plain = (run(cell, kind, gradient="autodiff") for kind in ("float64", dtype))
        found = run(cell, dtype, **options)
    for a, b, c in zip(found, plain, exact, strict=True):
        assert error(a, c) <= 2 * error(b, c) + roundings * float(jnp.finfo(dtype).eps)


def run(cell, dtype, **options):
    """Outputs, and the gradient of a weighted sum of them in parameters, carry and inputs."""
    case = Case(cell, 3, CELLS[cell] or vectors(3), 0)
    rounded = cast_floats((case.params, case.fresh(3), case.xs(3, STEPS)), "bfloat16")  # once, for all dtypes alike
    params, carry, xs = cast_floats(rounded, dtype)
    carry = cast_floats(carry, jnp.promote_types(dtype, jnp.float32))
    floats, rebuild = split_inexact((params, carry, xs))

    def score(floats):
        params, carry, xs = rebuild(floats)
        _, ys = scan(cell, params, xs, carry, lengths=np.array([STEPS, 0, STEPS // 2]), **options)
        leaves = [leaf for leaf in jax.tree.leaves(ys) if is_inexact(leaf)]
        weights = [np.random.default_rng(leaf.size).normal(size=leaf.shape) for leaf in leaves]
        return sum(jnp.sum(jnp.real(y.astype("complex128") * w)) for y, w in zip(leaves, weights)), leaves

    gradients, ys = jax.jit(jax.grad(score, has_aux=True))(floats)
    return [*ys, *gradients]


def error(found, exact):
    kind = np.result_type(exact.dtype, np.float64)
    found, exact = np.asarray(found).astype(kind), np.asarray(exact).astype(kind)
    return np.linalg.norm(found - exact) / max(np.linalg.norm(exact), 1e-30)
