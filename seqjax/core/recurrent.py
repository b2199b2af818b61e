"""Recurrent cells in three parts, from which the driver makes training fast."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from seqjax._internal.trees import out_dtype
from seqjax._internal.validation import check_batch_shape, check_init, check_positive
from seqjax.core.cell import Cell, Params
from seqjax.core.gating import linear
from seqjax.core.gradient import advance
from seqjax.initializers import Bias, Initializer, check_initializer, glorot, orthogonal, zeros


class Recurrent(Cell):
    """A cell split in three, from which the driver makes training fast.

        z = project(p, x)              time-parallel, before the loop; sees params["project"]
        m = mix(p, carry)              the recurrent linear map; sees params["mix"]
        carry', y = update(p, carry, z, m)     elementwise; sees params["update"], which must stay small

    Each accepts any leading axes, and a branch of the parameters that a cell does not need may be absent.
    """

    separable: ClassVar[Any] = True

    sums: ClassVar[bool] = False
    """Whether `update` reads z and m as their sum z + m alone, which saves the driver one of two arrays."""

    def project(self, p: Params, x: Any) -> Any:
        """z from x, for any leading axes."""
        return linear(p, x)

    def mix(self, p: Params, carry: Any) -> Any:
        """m from the carry, linear in it."""
        raise TypeError(f"{type(self).__name__} must define mix(p, carry)")

    def update(self, p: Params, carry: Any, z: Any, m: Any) -> tuple[Any, Any]:
        """The next carry and the output, elementwise."""
        raise TypeError(f"{type(self).__name__} must define update(p, carry, z, m)")

    def step(self, params: Params, carry: Any, x: Any) -> tuple[Any, Any]:
        """`update(carry, project(x), mix(carry))`."""
        z = self.project(params.get("project", {}), x)
        m = self.mix(params.get("mix", {}), carry)
        dtype = out_dtype(params, x)
        return advance(self, dtype, params.get("update", {}), carry, z, m)


class Gated(Recurrent):
    """A recurrent cell with one affine map of the input and one linear map of the state h for all its gates.

        z = x W + b   [B, G F],      m = h U   [B, G F]

    A subclass names its `gates`, and gives `update`; with more than one state it names a `carry_type`, a
    NamedTuple with a field h. Weights are drawn gate by gate, so that an orthogonal U is orthogonal for each gate.

    Args:
        features: F, the width of every state.
        kernel_init, recurrent_init, bias_init: from `seqjax.initializers`.
        learned_carry: make the initial carry a parameter, `params["carry"]`, zero at the start.
    """

    gates: ClassVar[tuple[str, ...]] = ()
    keep_gate: ClassVar[str | None] = None
    write_gate: ClassVar[str | None] = None
    carry_type: ClassVar[Any] = None

    features: int
    _: dataclasses.KW_ONLY
    kernel_init: Initializer = glorot()
    recurrent_init: Initializer = orthogonal()
    bias_init: Bias = zeros()
    learned_carry: bool = False

    def __post_init__(self) -> None:
        check_positive(self, "features")
        for name in ("kernel_init", "recurrent_init", "bias_init"):
            check_initializer(name, getattr(self, name))

    @property
    def out_features(self) -> int:
        """F."""
        return self.features

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """`project` {kernel `[D, G F]`, bias `[G F]`}, `mix` {kernel `[F, G F]`} and, if learned, `carry`."""
        check_init(self, key, in_features, dtype)
        keys = jax.random.split(key, 3)
        count = len(self.gates)

        def blocks(init: Initializer, key: jax.Array, rows: int) -> jax.Array:
            shape = (rows, self.features)
            drawn = jax.vmap(lambda k: init(k, shape, dtype))(jax.random.split(key, count))
            return jnp.moveaxis(drawn, 0, 1).reshape(rows, count * self.features)

        params: Params = {
            "project": {
                "kernel": blocks(self.kernel_init, keys[0], in_features),
                "bias": self.bias_init(keys[2], self, dtype),
            },
            "mix": {"kernel": blocks(self.recurrent_init, keys[1], self.features)},
        }
        if self.learned_carry:
            params["carry"] = self._carry(lambda: jnp.zeros(self.features, dtype))
        return params

    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> Any:
        """Zeros, or the learned carry, `[B, F]` each; float32, or wider where the parameters are."""
        check_batch_shape(self, batch_shape)
        dtype = jnp.promote_types(out_dtype(params, ()), jnp.float32)
        shape = tuple(batch_shape) + (self.features,)
        if "carry" in params:
            return jax.tree.map(lambda c: jnp.broadcast_to(c.astype(dtype), shape), params["carry"])
        return self._carry(lambda: jnp.zeros(shape, dtype))

    def mix(self, p: Params, carry: Any) -> Any:
        """h U, in the precision of U, accumulated in that of h."""
        return linear(p, carry if self.carry_type is None else carry.h, keep=True)

    def _carry(self, make: Any) -> Any:
        if self.carry_type is None:
            return make()
        return self.carry_type(*(make() for _ in self.carry_type._fields))
