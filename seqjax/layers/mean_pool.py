"""The mean over time, for answers about a whole sequence."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Carry, DTypeLike, Float, Int, Key, Params, Shape
from seqjax._internal.validation import check_batch_shape
from seqjax.core.cell import Cell
from seqjax.errors import ArgumentError


class MeanPoolCarry(NamedTuple):
    """The sum of all steps so far, `[B, D]`, and their number, `[B]`."""

    total: Float[jax.Array, "*B D"]
    steps: Int[jax.Array, " *B"]


class MeanPool(Cell):
    """The mean of all real steps so far: y_t = (x_1 + ... + x_t) / t.

    At the last step it is the mean of the sequence ("global average pooling"), which spares a classifier from carrying
    what it has seen to the end: the gradient of the answer reaches each step directly, with a weight of 1 / T. Sums are
    kept in float32 at least; a reset starts the mean anew.

    Example:
        >>> import jax.numpy as jnp
        >>> import seqjax as sj
        >>> xs = jnp.array([[[2.0], [4.0], [6.0]]])
        >>> sj.scan(sj.MeanPool(), {}, xs)[1].ravel().tolist()
        [2.0, 3.0, 4.0]
        >>> sj.stack(sj.Embed(1000, 32), sj.GRU(64), sj.MeanPool(), sj.Dense(2))  # many to one, with at="last"
        stack(Embed(1000, 32), GRU(64), MeanPool(), Dense(2))
    """

    asks = frozenset({"in_features"})

    @property
    def out_features(self) -> None:
        return None

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        return {}

    def initial_carry(self, params: Params, batch_shape: Shape = (), *, in_features: int | None = None) -> Carry:
        """Nothing seen.

        Raises:
            ArgumentError: in_features is not given.
        """
        check_batch_shape(self, batch_shape)
        if in_features is None:
            raise ArgumentError("MeanPool: its carry is as wide as the input: pass in_features, as scan does by itself")
        return MeanPoolCarry(jnp.zeros((*batch_shape, in_features)), jnp.zeros(batch_shape, jnp.int32))

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        """Nothing seen."""
        return jax.tree.map(jnp.zeros_like, carry)

    def affine(self, params: Params, x: Float[Array, "*B D"]) -> tuple[Carry, Carry]:
        """Add and count."""
        one = jnp.ones_like(x[..., 0], jnp.int32)
        return MeanPoolCarry(jnp.ones_like(x), one), MeanPoolCarry(jnp.asarray(x), one)

    def read(self, params: Params, h: MeanPoolCarry, x: Float[Array, "*B D"]) -> Float[jax.Array, "*B D"]:
        """Divide."""
        return h.total / h.steps[..., None].astype(h.total.dtype)
