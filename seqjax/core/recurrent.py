"""Recurrent cells in three parts, from which the driver makes training fast."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from seqjax._internal.trees import out_dtype
from seqjax._internal.types import Array, Carry, DTypeLike, Float, Key, Pair, Params, PyTree, Shape
from seqjax._internal.validation import check_batch_shape, check_counts, check_init
from seqjax.core.cell import Cell
from seqjax.core.fold import update_in_dtypes
from seqjax.core.gating import draw_gates, linear
from seqjax.initializers import Bias, Initializer, check_initializer, glorot, orthogonal, zeros


class Recurrent(Cell):
    """A cell split in three, from which the driver makes training fast.

        z = project(p, x)              time-parallel, before the loop; sees params["project"]
        m = mix(p, carry)              the recurrent affine map; sees params["mix"]
        carry', y = update(p, carry, z, m)     elementwise; sees params["update"], which must stay small

    Each accepts any leading axes, and a branch of the parameters that a cell does not need may be absent.

    A filter with one pole a unit, h' = a h + x W, whose recurrent map is a diagonal:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> class Filter(sj.Recurrent):
        ...     features: int
        ...     out_features = property(lambda self: self.features)
        ...     def init(self, key, in_features, dtype=jnp.float32):
        ...         kernel = jnp.ones((in_features, self.features), dtype)
        ...         return {"project": {"kernel": kernel}, "mix": {"a": jnp.full(self.features, 0.5, dtype)}}
        ...     def initial_carry(self, params, batch_shape=()):
        ...         dtype = jnp.promote_types(params["mix"]["a"].dtype, jnp.float32)
        ...         return jnp.zeros((*batch_shape, self.features), dtype)
        ...     def mix(self, p, h):
        ...         return h * jnp.broadcast_to(p["a"], h.shape)
        ...     def update(self, p, h, z, m):
        ...         return z + m, z + m
        >>> cell = Filter(1)
        >>> params = cell.init(jax.random.key(0), 1)
        >>> sj.scan(cell, params, jnp.array([[1.0], [0.0], [0.0]]))[1].ravel().tolist()
        [1.0, 0.5, 0.25]
        >>> sj.explain(cell, params, jnp.zeros((4, 3, 1)))
        'Filter(1): loop over time, deferred gradient in chunks of 3'
    """

    separable: ClassVar[Any] = True

    sums: ClassVar[bool] = False
    """Whether `update` reads z and m as their sum z + m alone, which saves the driver one of two arrays."""

    def project(self, p: Params, x: PyTree) -> PyTree:
        """z from x, for any leading axes: the affine map x W + b unless overridden.

        Where gates meet each other before the next h, as in a GRU, a z of one array a gate is faster on CPUs.
        """
        return linear(p, x)

    def mix(self, p: Params, carry: Carry) -> PyTree:
        """m from the carry, linear in it but for a constant."""
        raise TypeError(f"{type(self).__name__} must define mix(p, carry)")

    def update(self, p: Params, carry: Carry, z: PyTree, m: PyTree) -> Pair:
        """The next carry and the output, elementwise."""
        raise TypeError(f"{type(self).__name__} must define update(p, carry, z, m)")

    def step(self, params: Params, carry: Carry, x: PyTree) -> Pair:
        """`update(carry, project(x), mix(carry))`."""
        z = self.project(params.get("project", {}), x)
        m = self.mix(params.get("mix", {}), carry)
        dtype = out_dtype(params, x)
        return update_in_dtypes(self, dtype, params.get("update", {}), carry, z, m)


class Gated(Recurrent):
    """A recurrent cell with one affine map of the input and one linear map of the state h for all its gates.

        z = x W + b   [B, G F],      m = h U   [B, G F]

    A subclass names its `gates`, and gives `update`; with more than one state it names a `carry_type`, a
    NamedTuple with a field h. Weights are drawn gate by gate, so that an orthogonal U is orthogonal for each gate.

    Args:
        features: F, the width of every state.
        kernel_init, recurrent_init, bias_init: from `seqjax.initializers`.
        learned_carry: make the initial carry a parameter, `params["carry"]`, zero at the start.

    A cell of one's own, the minimal gated unit of Zhou et al. 2016 with the reset after the product:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> class MGU(sj.Gated):
        ...     gates = ("f", "n")
        ...     def update(self, p, h, z, m):
        ...         (z_f, z_n), (m_f, m_n) = jnp.split(z, 2, -1), jnp.split(m, 2, -1)
        ...         (f,) = sj.activate(z_f + m_f, "sigmoid")
        ...         (n,) = sj.activate(z_n + f * m_n, "tanh")
        ...         h = (1 - f) * h + f * n
        ...         return h, h
        >>> cell = MGU(8, bias_init=sj.initializers.zeros())
        >>> params = cell.init(jax.random.key(0), 3)
        >>> jax.tree.map(jnp.shape, params)
        {'mix': {'kernel': (8, 16)}, 'project': {'bias': (16,), 'kernel': (3, 16)}}
        >>> sj.scan(cell, params, jnp.ones((4, 10, 3)))[1].shape
        (4, 10, 8)
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
        check_counts(self, features=1)
        for name in ("kernel_init", "recurrent_init", "bias_init"):
            check_initializer(name, getattr(self, name))

    @property
    def out_features(self) -> int:
        return self.features

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """`project` {kernel `[D, G F]`, bias `[G F]`}, `mix` {kernel `[F, G F]`} and, if learned, `carry`."""
        check_init(self, key, in_features, dtype)
        (key_project, key_mix, key_bias), count = jax.random.split(key, 3), len(self.gates)
        params: Params = {
            "project": {
                "kernel": draw_gates(self.kernel_init, key_project, (in_features, self.features), count, dtype),
                "bias": self.bias_init(key_bias, self, dtype),
            },
            "mix": {"kernel": draw_gates(self.recurrent_init, key_mix, (self.features, self.features), count, dtype)},
        }
        if self.learned_carry:
            params["carry"] = self._make_carry(lambda: jnp.zeros(self.features, dtype))
        return params

    def initial_carry(self, params: Params, batch_shape: Shape = ()) -> Carry:
        """Zeros, or the learned carry, `[B, F]` each; float32, or wider where the parameters are."""
        check_batch_shape(self, batch_shape)
        dtype = jnp.promote_types(out_dtype(params, ()), jnp.float32)
        shape = tuple(batch_shape) + (self.features,)
        if "carry" in params:
            return jax.tree.map(lambda c: jnp.broadcast_to(c.astype(dtype), shape), params["carry"])
        return self._make_carry(lambda: jnp.zeros(shape, dtype))

    def mix(self, p: Params, carry: Carry) -> Float[Array, "*B GF"]:
        """h U, in the precision of U, accumulated in that of h."""
        return linear(p, carry if self.carry_type is None else carry.h, keep=True)

    def _make_carry(self, make: Callable[[], jax.Array]) -> Carry:
        if self.carry_type is None:
            return make()
        return self.carry_type(*(make() for _ in self.carry_type._fields))
