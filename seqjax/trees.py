"""Trees in which only the floating arrays move."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def split_floats(tree: Any) -> tuple[list[jax.Array], Callable[[list[Any]], Any]]:
    """The floating leaves, and a function that puts others in their places (keys, counts and ids stay)."""
    leaves, structure = jax.tree.flatten(tree)
    is_float = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def rebuild(floats: list[Any], rest: Any = leaves) -> Any:
        moving = iter(floats)
        return jax.tree.unflatten(structure, [next(moving) if f else r for f, r in zip(is_float, rest)])

    return [leaf for f, leaf in zip(is_float, leaves) if f], rebuild
