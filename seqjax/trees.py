"""Trees in which only the floating arrays move."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def split_floats(tree: Any) -> tuple[list[jax.Array], Callable[..., Any]]:
    """The floating leaves, and a function that puts others in their places.

    Keys, counts and ids stay as they are, or become None with `keep=False`.
    """
    leaves, structure = jax.tree.flatten(tree)
    is_float = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def rebuild(floats: list[Any], keep: bool = True) -> Any:
        moving = iter(floats)
        merged = [next(moving) if f else leaf if keep else None for f, leaf in zip(is_float, leaves)]
        return jax.tree.unflatten(structure, merged)

    return [leaf for f, leaf in zip(is_float, leaves) if f], rebuild
