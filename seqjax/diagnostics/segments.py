"""A sequence cut into segments, in the direction in which it is read."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Bool, PyTree


class Segments(NamedTuple):
    """`number` segments of `size` steps of a sequence of `length` steps."""

    length: int
    size: int
    number: int
    reverse: bool

    @classmethod
    def of(cls, length: int, reverse: bool) -> "Segments":
        """About sqrt(T) segments of sqrt(T) steps: the least memory for carries at their begin and within one."""
        size = max(1, math.isqrt(length))
        return cls(length, size, -(-length // size), reverse)

    def cut(self, tree: PyTree) -> PyTree:
        """`[T, ...]` as `[number, size, ...]`; the last segment is filled up with copies of the last step."""

        def one(a: jax.Array) -> jax.Array:
            a = a[::-1] if self.reverse else a
            rest = jnp.broadcast_to(a[-1:], (self.number * self.size - self.length, *a.shape[1:]))
            return jnp.concatenate([a, rest]).reshape(self.number, self.size, *a.shape[1:])

        return jax.tree.map(one, tree)

    def join(self, tree: PyTree) -> PyTree:
        """`[number, size, ...]` as `[T, ...]`."""

        def one(a: jax.Array) -> jax.Array:
            a = a.reshape(self.number * self.size, *a.shape[2:])[: self.length]
            return a[::-1] if self.reverse else a

        return jax.tree.map(one, tree)

    def cut_mask(self, real: Bool[jax.Array, " T *B"]) -> Bool[jax.Array, "number size *B"]:
        """The real steps, without the copies that `cut` adds."""
        within = (jnp.arange(self.number * self.size) < self.length).reshape(self.number, self.size)
        return self.cut(jnp.asarray(real)) & within.reshape(*within.shape, *(1,) * (real.ndim - 1))


def skip_unreal(run: Any, state: PyTree, rest: Any, real: Bool[jax.Array, "..."]) -> PyTree:
    """`run(state)`, but where no step of a segment is real `rest(state, zeros like what run gives)`, at no cost."""

    def skip(state: PyTree) -> PyTree:
        return rest(state, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(run, state)))

    return lax.cond(jnp.any(real), run, skip, state)
