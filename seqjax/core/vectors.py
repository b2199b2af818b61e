"""A carry as one real vector, and back."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.trees import real_dtype
from seqjax._internal.types import Carry, Float, PyTree, Shape


class Form(NamedTuple):
    """What it takes to lay the inexact arrays of a carry out in one vector of n numbers, a complex one as two."""

    structure: Any
    shapes: tuple[Shape, ...]  # of the leaves, batch axes apart
    dtypes: tuple[Any, ...]
    dtype: Any  # of the vector: real, float32 or wider

    def vector(self, carry: Carry) -> Float[jax.Array, "*B n"]:
        """`[B, n]`, for any number of batch axes; of a carry without arrays `[0]`."""
        parts = []
        for leaf, shape in zip(jax.tree.leaves(carry), self.shapes):
            flat = leaf.reshape(leaf.shape[: leaf.ndim - len(shape)] + (math.prod(shape),))
            is_complex = jnp.issubdtype(flat.dtype, jnp.complexfloating)
            parts += [part.astype(self.dtype) for part in ((flat.real, flat.imag) if is_complex else (flat,))]
        return jnp.concatenate(parts, axis=-1) if parts else jnp.zeros(0, self.dtype)

    def carry(self, vector: Float[jax.Array, "*B n"]) -> Carry:
        """The carry, each leaf in its own dtype."""
        leaves, at = [], 0
        for shape, dtype in zip(self.shapes, self.dtypes):
            size, parts = math.prod(shape), []
            for _ in range(2 if jnp.issubdtype(dtype, jnp.complexfloating) else 1):
                part = vector[..., at : at + size].reshape(vector.shape[:-1] + shape)
                parts.append(part.astype(real_dtype(dtype)))
                at += size
            leaves.append(jax.lax.complex(*parts) if len(parts) == 2 else parts[0])
        return jax.tree.unflatten(self.structure, leaves)


def form_of(carry: PyTree, batch_axes: int) -> Form:
    """That of a carry of inexact arrays `[B, ...]`."""
    leaves, structure = jax.tree.flatten(carry)
    dtypes = tuple(leaf.dtype for leaf in leaves)
    widest = jnp.result_type(jnp.float32, *map(real_dtype, dtypes))
    return Form(structure, tuple(leaf.shape[batch_axes:] for leaf in leaves), dtypes, widest)
