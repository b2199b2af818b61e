"""Variables that a module draws but does not learn, as random features: `init` draws them, into `params`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import is_inexact
from seqjax._internal.types import Key, Params
from seqjax.errors import ArgumentError

Path = tuple[str, ...]


def find_drawn(start: Callable[[Key[jax.Array, ""]], dict[str, Any]]) -> list[Path]:
    """The places in nested dicts `start(key)` of what differs with the key.

    Raises:
        ArgumentError: it is not of floats, which parameters are.
    """
    if not jax.tree.leaves(jax.eval_shape(start, jax.random.key(0))):
        return []
    with jax.ensure_compile_time_eval():  # within jit, too
        first, second = (jax.jit(start)(jax.random.key(seed)) for seed in (0, 1))
        drawn = [path for path, leaf in _leaves(first) if bool(jnp.any(leaf != _get(second, path)))]
    for path in drawn:
        if not is_inexact(_get(first, path)):
            raise ArgumentError(
                f"as_cell: the module draws its variable {'.'.join(path)!r}, which is not of floats and so cannot be "
                "among the parameters. Draw it from a seed that is an argument of `make`"
            )
    return drawn


def add_drawn(params: Params, state: dict[str, Any], drawn: list[Path]) -> Params:
    """Parameters with what is drawn beside them.

    Raises:
        ArgumentError: there is a parameter of this name.
    """
    for path in drawn:
        params = _put(params, path, _get(state, path))
    return params


def take_drawn(state: dict[str, Any], params: Params, drawn: list[Path]) -> dict[str, Any]:
    """The state with what was drawn at `init`, which is not learned."""
    for path in drawn:
        state = _put(state, path, lax.stop_gradient(_get(params, path)), replace=True)
    return state


def _leaves(tree: dict[str, Any]) -> list[tuple[Path, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(tuple(part.key for part in path), leaf) for path, leaf in leaves]


def _get(tree: Any, path: Path) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def _put(tree: dict[str, Any], path: Path, value: Any, replace: bool = False) -> dict[str, Any]:
    name, *rest = path
    if rest:
        return {**tree, name: _put(tree.get(name, {}), tuple(rest), value, replace)}
    if name in tree and not replace:
        raise ArgumentError(f"as_cell: the module has a parameter and a variable that is drawn of one name, {name!r}")
    return {**tree, name: value}
