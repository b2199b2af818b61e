"""What bfloat16 and float32 cost in accuracy over 1,000 steps, for each cell: errors against float64.

Parameters, inputs and outputs are of the narrow dtype, carries and sums of float32 (see `seqjax.Cell`). The reference
is the same program in float64 on the same, already rounded, parameters and inputs, so that the errors are those of the
arithmetic and of the outputs' own rounding (2^-9 in bfloat16). Errors of outputs are the largest, over the largest
output; of the last carry likewise; of gradients (of a random weighing of all outputs) the norm of the difference over
the norm, all parameters together.

    python -m experiments.benchmarks.precision
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.spread import spread
from experiments.harness.tables import table
from seqjax._internal.types import PyTree

CELLS = (
    sj.RNN(64), sj.LSTM(64), sj.LSTM(64, bias_init=sj.initializers.chrono(1000)), sj.GRU(64),
    sj.GRU(64, reset_after=False), sj.MinGRU(64), sj.MinLSTM(64), sj.LRU(64),
)  # fmt: skip
STEPS, ROWS, FEATURES, SEEDS = 1000, 4, 16, (0, 1, 2)


def run(cell: sj.Cell, params: PyTree, xs: PyTree, weights: np.ndarray) -> tuple[PyTree, jax.Array, PyTree]:
    """The last carry, the outputs, and the gradients in the parameters."""

    def score(params: PyTree) -> tuple[jax.Array, tuple[PyTree, jax.Array]]:
        carry, ys = sj.scan(cell, params, xs)
        wide = ys.astype(jnp.promote_types(ys.dtype, jnp.float32))
        return jnp.sum(wide * weights.astype(wide.dtype)), (carry, ys)

    (_, (carry, ys)), grads = jax.jit(jax.value_and_grad(score, has_aux=True))(params)
    return carry, ys, grads


def errors(cell: sj.Cell, dtype: str, seed: int, steps: int = STEPS) -> dict[str, float]:
    """Those of one cell in one dtype."""
    keys = jax.random.split(jax.random.key(seed), 2)
    params = cell.init(keys[0], FEATURES, jnp.dtype(dtype))
    xs = jax.random.normal(keys[1], (ROWS, steps, FEATURES)).astype(dtype)
    weights = np.random.default_rng(seed).normal(size=(ROWS, steps, cell.size(FEATURES))) / steps
    found = run(cell, params, xs, weights)
    with jax.enable_x64(True):
        exact = run(cell, jax.tree.map(_wide, params), _wide(xs), weights)
    (carry, ys, grads), (carry64, ys64, grads64) = (jax.tree.map(_wide, each) for each in (found, exact))
    return {
        "output_error": _largest(ys, ys64),
        "carry_error": _largest(carry, carry64),
        "gradient_error": _norm(jax.tree.map(np.subtract, grads, grads64)) / _norm(grads64),
    }


def _wide(a: jax.Array) -> np.ndarray:
    """In float64, or the complex numbers of it."""
    return np.asarray(a, np.complex128 if jnp.iscomplexobj(a) else np.float64)


def _largest(found: PyTree, exact: PyTree) -> float:
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True)
    return max(float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in pairs)


def _norm(tree: PyTree) -> float:
    return float(np.sqrt(sum(np.sum(np.abs(leaf) ** 2) for leaf in jax.tree.leaves(tree))))


def main(steps: int = STEPS) -> list[dict[str, Any]]:
    """Measure every cell, print the mean over seeds, and store the rows."""
    rows = [
        {"cell": repr(cell), "dtype": dtype, "seed": seed} | errors(cell, dtype, seed, steps)
        for dtype in ("float32", "bfloat16")
        for cell in CELLS
        for seed in SEEDS
    ]
    print(table(spread(rows, ("cell", "dtype"))))
    write("benchmark_precision", [row | where() for row in rows])
    return rows


if __name__ == "__main__":
    main()
