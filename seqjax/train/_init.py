"""The state before the first step."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from seqjax._internal.types import Array, Key, PyTree
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train._skips import no_skips
from seqjax.train.state import State, carry_key, training_key

REMEDY = "Make the state by the init of this very step"


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


def check_state(state: object, optimizer: optax.GradientTransformation, ema: object, carry: object) -> None:
    """Refuse a state that another step made.

    Raises:
        ArgumentError, ArgumentTypeError: no state; another optimiser's, or with and without an average or a carry.
    """
    if not isinstance(state, State):
        raise ArgumentTypeError(f"state must be a State, as step.init(params, key), found {type(state).__name__}")
    for name, option, kept in (("ema", ema, state.ema), ("carry", carry, state.carry)):
        if (option is None) != (kept is None):
            raise ArgumentError(
                f"state and step must agree on {name}: the step has {name}={option!r}, the state "
                f"{'none' if kept is None else 'one'}. {REMEDY}"
            )
    made = [_form(tree) for tree in (state.opt_state, jax.eval_shape(optimizer.init, state.params))]
    if made[0] != made[1]:
        raise ArgumentError(
            "state and step must agree on the optimizer: state.opt_state has another structure, or other shapes, than "
            f"what its init makes of state.params. {REMEDY}"
        )


def _form(tree: PyTree) -> tuple[PyTree, list[tuple[int, ...]]]:
    return jax.tree.structure(tree), [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)]
