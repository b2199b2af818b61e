"""All that changes while a model is trained, as one pytree."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

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


def init_state(
    params: Any, optimizer: Any, key: jax.Array, *, carry: Callable[[Any, Any], Any] | None = None, ema: bool = False
) -> State:
    """The state before the first step. It shares no memory with `params`, so it can be donated.

    Args:
        params: a pytree of floating point arrays.
        optimizer: an optax `GradientTransformation`.
        key: from `jax.random.key`; it may be the one that made the parameters.
        carry: the function given to `make_train_step`, if there is one.
        ema: keep an average of the parameters, which begins as the parameters.

    Raises:
        ArgumentError, ArgumentTypeError: parameters that are no floating point arrays, or no key.
    """
    if not jax.tree.leaves(params):
        raise ArgumentError(f"params holds no array: {params!r}. Nothing to train")
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.floating):
            found = f"dtype {leaf.dtype}" if hasattr(leaf, "dtype") else repr(leaf)
            raise ArgumentTypeError(f"params{jax.tree_util.keystr(path)} must be floating point, found {found}")
    dtype = getattr(key, "dtype", None)
    if not (dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) and key.shape == ()):
        raise ArgumentTypeError(f"key must be one key, as jax.random.key(0), found {key!r}")
    if not callable(getattr(optimizer, "init", None)) or not callable(getattr(optimizer, "update", None)):
        raise ArgumentTypeError(f"optimizer must be of optax, as optax.adam(1e-3), found {optimizer!r}")
    if carry is not None and not callable(carry):
        raise ArgumentTypeError(f"carry must be a function of (params, key), found {type(carry).__name__}")
    key = jax.random.fold_in(key, _TRAINING)
    zero = jnp.zeros((), jnp.int32)
    skipped = Skipped(zero, zero, zero, zero - 1, jnp.zeros(len(jax.tree.leaves(params)), bool))
    params = jax.tree.map(jnp.asarray, params)
    start = None if carry is None else carry(params, carry_key(key, zero))
    state = State(params, optimizer.init(params), zero, key, start, params if ema else None, skipped)
    return jax.tree.map(lambda leaf: jnp.copy(jnp.asarray(leaf)), state)


def carry_key(key: jax.Array, step: Any) -> jax.Array:
    """The key of a carry that begins at `step`."""
    return jax.random.fold_in(jax.random.fold_in(key, _CARRY), step)


def names_of(params: Any) -> list[str]:
    """The path of each leaf, in order: `params['0']['mix']['kernel']`."""
    return [f"params{jax.tree_util.keystr(path)}" for path, _ in jax.tree_util.tree_leaves_with_path(params)]
