"""All that changes while a model is trained, as one pytree."""

from typing import NamedTuple

import jax

from seqjax._internal.types import Array, Bool, Int, Key, PyTree

_TRAINING, _CARRY = 2**31 - 1, 2**31 - 2  # no steps: keys apart from those of the steps and of jax.random.split


class Skipped(NamedTuple):
    """The steps that were skipped, as something in them was not finite: they changed no parameter.

    in_a_row, longest, in_all: int32, such steps up to now, in the longest row, and in all.
    step: int32, the latest such step, -1 for none.
    leaves: bool, one for each leaf of the parameters in the order of `jax.tree.leaves`: whose gradient or new value
        was not finite in that step.
    optimizer: bool, one for each floating leaf of the optimiser's state: whether it would have become not finite.
    loss: bool, whether the loss was not finite.
    """

    in_a_row: Int[Array, "..."]
    longest: Int[Array, "..."]
    in_all: Int[Array, "..."]
    step: Int[Array, "..."]
    leaves: Bool[Array, "... leaves"]
    optimizer: Bool[Array, "... optimizer_leaves"]
    loss: Bool[Array, "..."]


class State(NamedTuple):
    """What `make_train_step` takes and gives. Saved whole, training goes on bit for bit.

    params: the parameters, the masters where computation is in another precision.
    opt_state: the optimiser's.
    step: int32, batches taken so far, skipped ones too: the number of the next batch.
    key: never changes; step s draws from `jax.random.fold_in(key, s)`.
    carry: what the next batch of a stream goes on from; None without truncated backpropagation.
    ema: the exponential moving average of the parameters; None where none is kept.
    skipped: `Skipped`.
    """

    params: PyTree
    opt_state: PyTree
    step: Int[Array, "..."]
    key: Key[Array, "..."]
    carry: PyTree
    ema: PyTree
    skipped: Skipped


def training_key(key: Key[Array, ""]) -> Key[Array, ""]:
    """The key of a training, apart from those that parameters are made of by the same one."""
    return jax.random.fold_in(key, _TRAINING)


def carry_key(key: Key[Array, ""], step: Int[Array, ""]) -> Key[Array, ""]:
    """The key of a carry that begins at `step`."""
    return jax.random.fold_in(jax.random.fold_in(key, _CARRY), step)
