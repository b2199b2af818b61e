"""The state before the first step."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from seqjax._internal.types import Array, Key, PyTree
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train._skips import no_skips
from seqjax.train.state import State, carry_key, training_key


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
    key, zero = training_key(key), jnp.zeros((), jnp.int32)
    params = jax.tree.map(jnp.asarray, params)
    opt_state = optimizer.init(params)
    first = None if carry is None else carry(params, carry_key(key, zero))
    average = params if ema else None
    state = State(params, opt_state, zero, key, first, average, no_skips(params, opt_state))
    return jax.tree.map(lambda leaf: jnp.copy(jnp.asarray(leaf)), state)


def _check_params(params: PyTree) -> None:
    if not jax.tree.leaves(params):
        raise ArgumentError(f"params holds no array: {params!r}. Nothing to train")
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.floating):
            found = f"dtype {leaf.dtype}" if hasattr(leaf, "dtype") else repr(leaf)
            raise ArgumentTypeError(f"params{jax.tree_util.keystr(path)} must be floating point, found {found}")
