"""What is done to every array of a tree: selected, cast, taken apart. "Inexact" is floating or complex."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, DTypeLike, PyTree


def is_inexact(leaf: Any) -> bool:
    """Whether an array is floating or complex, so that gradients flow through it."""
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def select(flag: Bool[Array, "..."] | None, on_true: PyTree, on_false: PyTree) -> PyTree:
    """`where` over two trees of equal structure; `flag` has the batch axes, None means True.

    A leaf that is the same array in both stays that array: a loop then sees that it does not change.
    """
    if flag is None:
        return on_true

    def one(a: Array, b: Array) -> Array:
        return a if a is b else jnp.where(flag.reshape(flag.shape + (1,) * (a.ndim - flag.ndim)), a, b)

    return jax.tree.map(one, on_true, on_false)


def cast_like(tree: PyTree, like: PyTree) -> PyTree:
    """Give each array of `tree` the dtype of its counterpart: a carry keeps the dtype it came in."""
    return jax.tree.map(lambda a, b: a if a.dtype == b.dtype else a.astype(b.dtype), tree, like)


def cast_floats(tree: PyTree, dtype: DTypeLike) -> PyTree:
    """Cast the inexact arrays of `tree` to the precision of `dtype`; real stays real, complex complex."""

    def one(leaf: Array) -> Array:
        if not is_inexact(leaf):
            return leaf
        is_complex = jnp.issubdtype(leaf.dtype, jnp.complexfloating)
        return leaf.astype(jnp.promote_types(real_dtype(dtype), jnp.complex64) if is_complex else real_dtype(dtype))

    return jax.tree.map(one, tree)


def real_dtype(dtype: DTypeLike) -> jnp.dtype:
    """The floating dtype of the same precision: float32 for complex64."""
    return jnp.finfo(dtype).dtype


def out_dtype(params: PyTree, x: PyTree) -> jnp.dtype:
    """The dtype of a cell's outputs: that of its parameters and inputs, promoted."""
    dtypes = [leaf.dtype for leaf in jax.tree.leaves((params, x)) if is_inexact(leaf)]
    return jnp.result_type(*dtypes) if dtypes else jnp.result_type(float)


def split_inexact(tree: PyTree) -> tuple[list[jax.Array], Callable[..., PyTree]]:
    """The inexact leaves, and a function that puts others in their places.

    Keys, counts and ids stay as they are, or become None with `keep=False`.
    """
    leaves, structure = jax.tree.flatten(tree)
    moves = [is_inexact(leaf) for leaf in leaves]

    def rebuild(inexact: list[Any], keep: bool = True) -> PyTree:
        moving = iter(inexact)
        merged = [next(moving) if move else leaf if keep else None for move, leaf in zip(moves, leaves)]
        return jax.tree.unflatten(structure, merged)

    return [leaf for move, leaf in zip(moves, leaves) if move], rebuild
