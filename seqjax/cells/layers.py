"""Layers that treat each step alone: cells with an empty carry, run over all steps at once."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import checkify
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqjax import gating
from seqjax.cell import Cell, Params, check_batch_shape, check_dtype, check_init, check_key, check_positive
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.initializers import Initializer, check_initializer, glorot, normal
from seqjax.plan import Plan, note
from seqjax.taps import tap_output
from seqjax.trees import out_dtype


class Pointwise(Cell):
    """A layer without memory: `apply(params, x)` for any leading axes."""

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> tuple[()]:
        """Nothing is carried."""
        check_batch_shape(self, batch_shape)
        return ()

    def apply(self, params: Params, x: Any) -> Any:
        """y from x."""
        raise TypeError(f"{type(self).__name__} must define apply(params, x)")

    def step(self, params: Params, carry: tuple[()], x: Any) -> tuple[tuple[()], Any]:
        """`apply`."""
        return carry, self.apply(params, x)

    def sequence(self, params: Params, carry: tuple[()], xs: Any, plan: Plan = Plan()) -> tuple[tuple[()], Any]:
        """`apply` to all steps at once."""
        note(f"{self!r}: all steps at once")
        return carry, tap_output(self.apply(params, xs))


class Dense(Pointwise):
    """Affine map and activation,  y = a(x W + b).

    Args:
        features: F.
        activation: a, by name; "identity" unless told otherwise.
    """

    features: int
    _: dataclasses.KW_ONLY
    activation: str = "identity"
    kernel_init: Initializer = glorot()

    def __post_init__(self) -> None:
        check_positive(self, "features")
        check_initializer("kernel_init", self.kernel_init)
        gating.activation(self.activation)

    @property
    def out_features(self) -> int:
        """F."""
        return self.features

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """kernel `[D, F]`, bias `[F]`."""
        check_init(self, key, in_features, dtype)
        kernel = self.kernel_init(key, (in_features, self.features), dtype)
        return {"kernel": kernel, "bias": jnp.zeros(self.features, dtype)}

    def apply(self, params: Params, x: jax.Array) -> jax.Array:
        """The equation."""
        return gating.activation(self.activation)(gating.linear(params, x))


class Embed(Pointwise):
    """A row of a table for each token id,  y = E[token].  Tokens are whole numbers `[B, T]`, without features.

    Args:
        vocabulary: V; ids are 0 ... V - 1.
        features: F.

    An id out of range is an error where its value is known. Inside `jit` its row is NaN, never another
    token's row; `scan(..., checked=True)` raises there through `checkify`.
    """

    feature_axes: ClassVar[Any] = 0

    vocabulary: int
    features: int
    _: dataclasses.KW_ONLY
    kernel_init: Initializer = normal(1.0)

    def __post_init__(self) -> None:
        check_positive(self, "vocabulary", "features")
        check_initializer("kernel_init", self.kernel_init)

    @property
    def out_features(self) -> int:
        """F."""
        return self.features

    def init(self, key: jax.Array, in_features: int = 0, dtype: Any = jnp.float32) -> Params:
        """table `[V, F]`; `in_features` plays no part."""
        check_key(self, key)
        check_dtype(self, dtype)
        return {"table": self.kernel_init(key, (self.vocabulary, self.features), dtype)}

    def check_input(self, xs: Any, mask: Any, values: bool) -> None:
        """Token ids of an integer dtype, in range in the real steps.

        Raises:
            ArgumentError, ArgumentTypeError: they are not.
        """
        if not jnp.issubdtype(xs.dtype, jnp.integer):
            raise ArgumentTypeError(
                f"{self!r}: xs must be token ids of an integer dtype, found {xs.dtype} {tuple(xs.shape)}. "
                "Vectors do not need an embedding; use Dense"
            )
        ids = np.asarray(xs)[() if mask is None else mask] if values else np.zeros(0, int)
        if ids.size and not 0 <= ids.min() <= ids.max() < self.vocabulary:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise ArgumentError(
                f"{self!r}: xs has the token id {wrong}, but ids must be in [0, {self.vocabulary}). "
                "Made with another vocabulary?"
            )

    def apply(self, params: Params, x: Any) -> jax.Array:
        """The rows.

        Raises:
            ArgumentError, ArgumentTypeError: as `check_input`, where the ids are known; else NaN for ids out of range.
        """
        x = x if hasattr(x, "dtype") else np.asarray(x)
        self.check_input(x, None, values=_known(x))
        ids = _wide(jnp.asarray(x))
        # Negative indices would count from the end, and those of 64 bits lose their upper half in the gather.
        ids = jnp.where((ids >= 0) & (ids < self.vocabulary), ids, self.vocabulary).astype(jnp.int32)
        return params["table"].at[ids].get(mode="fill", fill_value=jnp.nan, out_sharding=_rows_like(ids))

    def sequence(self, params: Params, carry: tuple[()], xs: Any, plan: Plan = Plan()) -> tuple[tuple[()], Any]:
        """All rows at once, ids checked inside jit when the plan says so."""
        if plan.checked and xs.size:
            ids = _wide(jnp.asarray(xs))
            checkify.check(
                jnp.all((ids >= 0) & (ids < self.vocabulary)),
                f"{self!r}: token ids must be in [0, {self.vocabulary}), found {{low}} to {{high}}",
                low=jnp.min(ids),
                high=jnp.max(ids),
            )
        return super().sequence(params, carry, xs, plan)


def _known(ids: Any) -> bool:
    if isinstance(ids, jax.core.Tracer):
        return False
    return not isinstance(ids, jax.Array) or ids.is_fully_addressable


def _wide(ids: jax.Array) -> jax.Array:
    """Ids as int32, or int64 where they have 64 bits: in a dtype of their own, as uint8, the vocabulary would wrap.

    An unsigned id too large for it becomes negative, which is out of range as well.
    """
    return ids.astype(jnp.int64 if ids.dtype.itemsize == 8 else jnp.int32)


def _rows_like(ids: jax.Array) -> Any:
    """The sharding of gathered rows, which a mesh with explicit axes wants to be told."""
    sharding = jax.typeof(ids).sharding
    if AxisType.Explicit not in getattr(sharding.mesh, "axis_types", ()):
        return None
    return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec, None))


class Norm(Pointwise):
    """Normalise each step's features, then scale.

        layer:  y = (x - mean x) / sqrt(var x + epsilon) * s + b      (Ba, Kiros, Hinton 2016)
        rms:    y = x / sqrt(mean x^2 + epsilon) * s                  (Zhang and Sennrich 2019)

    Means are taken in float32 or wider.

    Args:
        kind: "layer" or "rms".
        epsilon: keeps the division finite.
    """

    kind: str = "layer"
    _: dataclasses.KW_ONLY
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if self.kind not in ("layer", "rms"):
            raise ArgumentError(f"Norm: kind must be 'layer' or 'rms', found {self.kind!r}")

    @property
    def out_features(self) -> None:
        """As many as come in."""
        return None

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """scale `[D]`, ones, and for layer bias `[D]`, zeros."""
        check_init(self, key, in_features, dtype)
        params = {"scale": jnp.ones(in_features, dtype)}
        if self.kind == "layer":
            params["bias"] = jnp.zeros(in_features, dtype)
        return params

    def apply(self, params: Params, x: jax.Array) -> jax.Array:
        """The equations."""
        dtype = out_dtype(params, x)
        x = x.astype(jnp.promote_types(dtype, jnp.float32))
        if self.kind == "layer":
            x = x - jnp.mean(x, axis=-1, keepdims=True)
        y = x * lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + self.epsilon)
        y = y * jnp.broadcast_to(params["scale"], y.shape)
        if self.kind == "layer":
            y = y + jnp.broadcast_to(params["bias"], y.shape)
        return y.astype(dtype)
