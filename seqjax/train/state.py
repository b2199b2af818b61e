"""All that changes while a model is trained, as one pytree."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from seqjax._internal.types import Array, Key, PyTree
from seqjax.errors import ArgumentError, ArgumentTypeError

_TRAINING, _CARRY = 2**31 - 1, 2**31 - 2  # no steps: keys apart from those of the steps and of jax.random.split


class Skipped(NamedTuple):
    """The steps whose gradient, loss or new parameters were not finite, so that they changed no parameter.

    in_a_row, longest, in_all: int32, such steps up to now, in the longest row, and in all.
    step: int32, the latest such step, -1 for none.
    leaves: bool, one for each leaf of the parameters in the order of `jax.tree.leaves`: whose gradient or new value
        was not finite in that step.
    """

    in_a_row: Any
    longest: Any
    in_all: Any
    step: Any
    leaves: Any


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

    params: Any
    opt_state: Any
    step: Any
    key: Any
    carry: Any
    ema: Any
    skipped: Skipped


def new_state(
    params: PyTree,
    optimizer: optax.GradientTransformation,
    key: Key[Array, ""],
    carry: Callable[[PyTree, Key[Array, ""]], PyTree] | None,
    ema: bool,
) -> State:
    """The state before the first step, see `TrainStep.init`."""
    _check_params(params)
    dtype = getattr(key, "dtype", None)
    if not (dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) and key.shape == ()):
        raise ArgumentTypeError(f"key must be one key, as jax.random.key(0), found {key!r}")
    key = jax.random.fold_in(key, _TRAINING)
    zero = jnp.zeros((), jnp.int32)
    skipped = Skipped(zero, zero, zero, zero - 1, jnp.zeros(len(jax.tree.leaves(params)), bool))
    params = jax.tree.map(jnp.asarray, params)
    first = None if carry is None else carry(params, carry_key(key, zero))
    state = State(params, optimizer.init(params), zero, key, first, params if ema else None, skipped)
    return jax.tree.map(lambda leaf: jnp.copy(jnp.asarray(leaf)), state)


def _check_params(params: PyTree) -> None:
    if not jax.tree.leaves(params):
        raise ArgumentError(f"params holds no array: {params!r}. Nothing to train")
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.floating):
            found = f"dtype {leaf.dtype}" if hasattr(leaf, "dtype") else repr(leaf)
            raise ArgumentTypeError(f"params{jax.tree_util.keystr(path)} must be floating point, found {found}")


def carry_key(key: jax.Array, step: Any) -> jax.Array:
    """The key of a carry that begins at `step`."""
    return jax.random.fold_in(jax.random.fold_in(key, _CARRY), step)


def names_of(params: Any) -> list[str]:
    """The path of each leaf, in order: `params['0']['mix']['kernel']`."""
    return [f"params{jax.tree_util.keystr(path)}" for path, _ in jax.tree_util.tree_leaves_with_path(params)]
