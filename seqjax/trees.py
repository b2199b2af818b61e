"""What is done to every array of a tree: selected, cast, taken apart."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def select(flag: Any, on_true: Any, on_false: Any) -> Any:
    """`where` over two trees of equal structure; `flag` has the batch axes, None means True."""
    if flag is None:
        return on_true

    def one(a: Any, b: Any) -> Any:
        return jnp.where(flag.reshape(flag.shape + (1,) * (a.ndim - flag.ndim)), a, b)

    return jax.tree.map(one, on_true, on_false)


def cast_like(tree: Any, like: Any) -> Any:
    """Give each array of `tree` the dtype of its counterpart: a carry keeps the dtype it came in."""
    return jax.tree.map(lambda a, b: a if a.dtype == b.dtype else a.astype(b.dtype), tree, like)


def cast_floats(tree: Any, dtype: Any) -> Any:
    """Cast the floating arrays of `tree`."""
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def out_dtype(params: Any, x: Any) -> Any:
    """The dtype of a cell's outputs: that of its parameters and inputs, promoted."""
    leaves = jax.tree.leaves((params, x))
    floats = [leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.result_type(*floats) if floats else jnp.result_type(float)


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


def is_inexact(leaf: Any) -> bool:
    """Whether an array is floating or complex, so that gradients flow through it."""
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def split_inexact(tree: Any) -> tuple[list[jax.Array], Callable[..., Any]]:
    """The inexact leaves, and a function that puts others in their places.

    Keys, counts and ids stay as they are, or become None with `keep=False`.
    """
    leaves, structure = jax.tree.flatten(tree)
    moves = [is_inexact(leaf) for leaf in leaves]

    def rebuild(inexact: list[Any], keep: bool = True) -> Any:
        moving = iter(inexact)
        merged = [next(moving) if move else leaf if keep else None for move, leaf in zip(moves, leaves)]
        return jax.tree.unflatten(structure, merged)

    return [leaf for move, leaf in zip(moves, leaves) if move], rebuild
