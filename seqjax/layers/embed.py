"""A vector for each token id."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqjax._internal.types import Array, Bool, DTypeLike, Float, Int, Key, Pair, Params
from seqjax._internal.validation import check_counts, check_dtype, check_ids, check_key, known
from seqjax.core.plan import Plan
from seqjax.initializers import Initializer, check_initializer, normal
from seqjax.layers.pointwise import Pointwise


class Embed(Pointwise):
    """A row of a table for each token id,  y = E[token].  Tokens are whole numbers `[B, T]`, without features.

    Args:
        vocabulary: V; ids are 0 ... V - 1.
        features: F.

    An id out of range is an error where its value is known. Inside `jit` its row is NaN, never another
    token's row; `scan(..., checked=True)` raises there through `checkify`.

        >>> import jax.numpy as jnp
        >>> import seqjax as sj
        >>> params = {"table": jnp.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])}
        >>> sj.scan(sj.Embed(3, 2), params, jnp.array([2, 0]))[1].tolist()
        [[4.0, 5.0], [0.0, 1.0]]
        >>> sj.scan(sj.Embed(3, 2), params, jnp.array([3, 0]))
        Traceback (most recent call last):
        seqjax.errors.ArgumentError: Embed(3, 2): xs has the token id 3, but ids must be in [0, 3). Made with
        another vocabulary?
    """

    feature_axes: ClassVar[Any] = 0

    vocabulary: int
    features: int
    _: dataclasses.KW_ONLY
    kernel_init: Initializer = normal(1.0)

    def __post_init__(self) -> None:
        check_counts(self, vocabulary=1, features=1)
        check_initializer("kernel_init", self.kernel_init)

    @property
    def out_features(self) -> int:
        return self.features

    def init(self, key: Key[jax.Array, ""], in_features: int = 0, dtype: DTypeLike = jnp.float32) -> Params:
        """table `[V, F]`; `in_features` plays no part."""
        check_key(self, key)
        check_dtype(self, dtype)
        return {"table": self.kernel_init(key, (self.vocabulary, self.features), dtype)}

    def check_input(self, xs: Any, mask: Bool[Array, "..."] | None, values: bool) -> None:
        """Token ids of an integer dtype, in range in the real steps.

        Raises:
            ArgumentError, ArgumentTypeError: they are not.
        """
        check_ids(self, xs, mask, values, self.vocabulary)

    def apply(self, params: Params, x: Int[Array, "*B"] | int) -> Float[Array, "*B F"]:
        """The rows of the table.

        Raises:
            ArgumentError, ArgumentTypeError: as `check_input`, where the ids are known; else NaN for ids out of range.
        """
        x = x if hasattr(x, "dtype") else np.asarray(x)
        self.check_input(x, None, values=known(x))
        ids = _widen(jnp.asarray(x))
        # Negative indices would count from the end, and those of 64 bits lose their upper half in the gather.
        ids = jnp.where((ids >= 0) & (ids < self.vocabulary), ids, self.vocabulary).astype(jnp.int32)
        return params["table"].at[ids].get(mode="fill", fill_value=jnp.nan, out_sharding=rows_sharding(ids))

    def sequence(self, params: Params, carry: tuple[()], xs: Int[Array, " T *B"], plan: Plan = Plan()) -> Pair:
        """All rows at once, ids checked inside jit when the plan says so."""
        if plan.checked and xs.size:
            ids = _widen(jnp.asarray(xs))
            checkify.check(
                jnp.all((ids >= 0) & (ids < self.vocabulary)),
                f"{self!r}: token ids must be in [0, {self.vocabulary}), found {{low}} to {{high}}",
                low=jnp.min(ids),
                high=jnp.max(ids),
            )
        return super().sequence(params, carry, xs, plan)


def _widen(ids: Int[Array, "*B"]) -> Int[Array, "*B"]:
    """Ids as int32, or int64 where they have 64 bits: in a dtype of their own, as uint8, the vocabulary would wrap.

    An unsigned id too large for it becomes negative, which is out of range as well.
    """
    return ids.astype(jnp.int64 if ids.dtype.itemsize == 8 else jnp.int32)


def rows_sharding(ids: Int[Array, "*B"]) -> NamedSharding | None:
    """The sharding of gathered rows, which a mesh with explicit axes asks for."""
    sharding = jax.typeof(ids).sharding
    if AxisType.Explicit not in getattr(sharding.mesh, "axis_types", ()):
        return None
    return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec, None))
