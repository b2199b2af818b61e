"""Steps that are skipped: what makes one, and how it is named to the user."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import KeyPath

from seqjax._internal.trees import is_inexact
from seqjax._internal.types import Array, Bool, Int, PyTree
from seqjax.batching.batch import Batch
from seqjax.train._clipping import finite_leaves
from seqjax.train.state import Skipped, State


class Finite(NamedTuple):
    """What of a step is finite.

    leaves: bool `[leaves]`, gradient and new value of each parameter.
    optimizer: bool `[leaves]`, each floating leaf of the optimiser's new state.
    loss: bool.
    """

    leaves: Bool[Array, " leaves"]
    optimizer: Bool[Array, " optimizer_leaves"]
    loss: Bool[Array, ""]

    def all(self) -> Bool[Array, ""]:
        """Whether the step may be taken."""
        return jnp.all(self.leaves) & jnp.all(self.optimizer) & self.loss


def stays_finite(new: PyTree, old: PyTree) -> Bool[Array, " optimizer_leaves"]:
    """Which floating leaves have no element that is not finite now and was before: bool `[leaves]`.

    The square of a finite gradient may be inf, and in Adam's `nu` it stays so for good: every later update of that
    element is 0. What was not finite to begin with, as the best value so far of `reduce_on_plateau`, may stay so.
    """
    pairs = [(a, b) for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old)) if is_inexact(a)]
    fine = [jnp.all(jnp.isfinite(a) | ~jnp.isfinite(b)) for a, b in pairs]
    return jnp.stack(fine) if fine else jnp.ones(0, bool)


def no_skips(params: PyTree, opt_state: PyTree) -> Skipped:
    """Before the first step."""
    zero = jnp.zeros((), jnp.int32)
    leaves = finite_leaves(params) & False
    return Skipped(zero, zero, zero, zero - 1, leaves, stays_finite(opt_state, opt_state) & False, jnp.zeros((), bool))


def count_skip(before: Skipped, finite: Finite, step: Int[Array, ""]) -> Skipped:
    """The counts after a step that was or was not skipped."""
    ok = finite.all()
    in_a_row = jnp.where(ok, 0, before.in_a_row + 1)
    return Skipped(
        in_a_row,
        jnp.maximum(before.longest, in_a_row),
        before.in_all + jnp.where(ok, 0, 1),
        jnp.where(ok, before.step, step),
        *(jnp.where(ok, old, ~part) for old, part in zip((before.leaves, before.optimizer, before.loss), finite)),
    )


def name_skip(state: State) -> str:
    """What was not finite in the latest step that was skipped, in words."""
    skipped = jax.device_get(state.skipped)
    params = [f"params{jax.tree_util.keystr(path)}" for path, _ in _leaves(state.params)]
    words = ["the loss"] if skipped.loss else []
    if skipped.leaves.any():
        words.append(f"the gradient or the new value of {_first_five(params, skipped.leaves)}")
    elif skipped.optimizer.any():  # what a gradient that is not finite makes of it needs no words
        named = _first_five(_optimizer_names(state), skipped.optimizer)
        words.append(f"the optimiser's state of {named}, though not in the gradient: its square overflows, clip= helps")
    return " and ".join(words)


def padding_hint(batch: PyTree) -> str:
    """Where nothing of a batch counts, or rows are padding alone, a mean may be 0 / 0; "" elsewhere."""
    if not isinstance(batch, Batch):
        return ""
    weights, lengths = np.asarray(batch.weights), np.asarray(batch.lengths)
    empty = ~weights.reshape(len(weights), -1).any(1) | (lengths == 0)
    if not weights.any():
        return " No target of its batch counts (its weights are all 0)."
    if not empty.any():
        return ""
    return (
        f" {empty.sum()} of the {len(empty)} rows of its batch are padding, which a plain mean counts: "
        "write Mean.of(values, batch.weights)"
    )


def _optimizer_names(state: State) -> list[str]:
    """`params['w'] ([0].nu)` for each floating leaf: what the optimiser keeps for a parameter ends with its path."""
    params = {jax.tree_util.keystr(path): f"params{jax.tree_util.keystr(path)}" for path, _ in _leaves(state.params)}
    names = []
    for path, leaf in _leaves(state.opt_state):
        if is_inexact(leaf):
            ends = [jax.tree_util.keystr(path[i:]) for i in range(len(path))]
            of = next((end for end in ends if end in params), None)
            whole = jax.tree_util.keystr(path)
            names.append(whole if of is None else f"{params[of]} ({whole.removesuffix(of)})")
    return names


def _leaves(tree: PyTree) -> list[tuple[KeyPath, jax.Array]]:
    return jax.tree_util.tree_leaves_with_path(tree)


def _first_five(names: list[str], chosen: np.ndarray) -> str:
    found = [name for name, wrong in zip(names, chosen) if wrong]
    rest = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(found[:5]) + rest
