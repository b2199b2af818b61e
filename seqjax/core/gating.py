"""The two helpers that cells are written with: an affine map, and gates activated in one pass."""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import get_opaque_trace_state

from seqjax._internal.types import Array, Bool, DTypeLike, Float, Key, Num, Params
from seqjax.errors import ArgumentError, closest
from seqjax.initializers import Initializer

ACTIVATIONS = {
    "tanh": jnp.tanh,
    "identity": lambda x: x,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_tanh": jax.nn.hard_tanh,
    "leaky_relu": jax.nn.leaky_relu,
    "selu": jax.nn.selu,
    "silu": jax.nn.silu,
    "sin": jnp.sin,
    "softplus": jax.nn.softplus,
    "softsign": jax.nn.soft_sign,
}


Slope = Callable[[jax.Array], jax.Array]
SLOPES: dict[str, Slope | None] = {"relu": lambda a: (a > 0).astype(a.dtype), "identity": None}
"""Derivatives as functions of the output, as sigmoid and tanh have one; None: z itself, whose slope is 1."""


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """The activation function called `name`.

    Raises:
        ArgumentError: there is none of this name.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ArgumentError(f"activation {name!r} is not known.{closest(str(name), ACTIVATIONS)}")
    return ACTIVATIONS[name]


def linear(p: Params, x: Num[Array, "*B D"], keep: bool = False) -> Num[jax.Array, "*B F"]:
    """x W + b, with W `[D, F]` = p["kernel"] and b `[F]` = p["bias"] if there is one; x `[B, D]`.

    The dtype is the promotion of x and W. `keep` is for recurrent maps: the product runs in the dtype of W
    and is accumulated in that of x, so that bfloat16 weights meet a float32 carry at bfloat16 speed.

        >>> import jax.numpy as jnp
        >>> import seqjax as sj
        >>> p = {"kernel": jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]]), "bias": jnp.array([0.0, 0.0, 1.0])}
        >>> print(sj.linear(p, jnp.array([[3.0, 5.0]])))
        [[ 3.  5. 17.]]
    """
    kernel = p["kernel"]
    dtype = x.dtype if keep else jnp.promote_types(x.dtype, kernel.dtype)
    inner = kernel.dtype if keep else dtype
    y = _product(x.astype(inner), kernel.astype(inner), dtype)
    if "bias" in p:
        y = y + jnp.broadcast_to(p["bias"].astype(dtype), y.shape)
    return y


def _product(x: Num[Array, "*B D"], kernel: Num[jax.Array, "D F"], dtype: DTypeLike) -> Num[jax.Array, "*B F"]:
    if x.ndim > 2 and may_merge_axes():
        batch = x.shape[:-1]
        return _product(x.reshape(math.prod(batch), x.shape[-1]), kernel, dtype).reshape(*batch, kernel.shape[-1])
    if _transpose.get():
        last = (x.ndim - 1,), (1,)
        return jax.lax.dot_general(x, kernel.T, (last, ((), ())), preferred_element_type=dtype)
    return jnp.matmul(x, kernel, preferred_element_type=dtype)


_transpose: contextvars.ContextVar[bool] = contextvars.ContextVar("transpose", default=False)


@contextlib.contextmanager
def transpose_kernels() -> Iterator[None]:
    """Inside, `linear` multiplies x by a transposed W, for tangents in a loop whose transpose is what will run.

    JAX takes the transposing of W out of the loop, and the transposed product is then dy W^T by a matrix that lies
    in memory as the product wants it; this takes a third off the time of a product of 16 rows.
    """
    token = _transpose.set(True)
    try:
        yield
    finally:
        _transpose.reset(token)


def draw_gates(
    init: Initializer, key: Key[jax.Array, ""], shape: tuple[int, int], count: int, dtype: DTypeLike
) -> Float[jax.Array, "D GF"]:
    """The kernels `[D, F]` of so many gates side by side, each drawn apart: an orthogonal one is so for each gate."""
    kernels = jax.vmap(lambda k: init(k, shape, dtype))(jax.random.split(key, count))
    return jnp.moveaxis(kernels, 0, 1).reshape(shape[0], count * shape[1])


def may_merge_axes() -> bool:
    """Whether merging time and batch into one axis is free: no device but one can hold a part of the array.

    With one merged axis XLA:CPU takes the weight gradient as a product of two matrices, without copies of both
    turned about. An array whose batch is spread over devices would be gathered on each of them to merge its axes.
    """
    mesh = jax.sharding.get_abstract_mesh()
    return jax.device_count() == 1 or (not mesh.empty and mesh.are_all_axes_manual)


def activate(z: Float[jax.Array, "*B GF"], names: str) -> list[Float[jax.Array, "*B F"]]:
    """Split z `[B, G F]` into its G gates and activate each: `activate(z + m, "sigmoid sigmoid tanh sigmoid")`.

    Sigmoids and tanhs share one contiguous pass, sigmoid(x) = tanh(x / 2) / 2 + 1/2, whose derivative needs
    its output alone. (XLA:CPU's own logistic is several times slower than its tanh.) The deferred gradient keeps
    that output of every step, and forms the derivative from it without computing z again; so it does for relu and
    identity.

        >>> import jax.numpy as jnp
        >>> import seqjax as sj
        >>> forget, new = sj.activate(jnp.array([[0.0, 0.0, 1.0, -1.0]]), "sigmoid tanh")
        >>> print(forget, new.round(3))
        [[0.5 0.5]] [[ 0.762 -0.762]]
    """
    kinds = names.split()
    if set(kinds) <= {"sigmoid", "tanh"}:
        is_sigmoid = np.repeat([kind == "sigmoid" for kind in kinds], z.shape[-1] // len(kinds))
        active = _keep_output(z, partial(_activate, is_sigmoid), partial(_slope, is_sigmoid))
    elif len(set(kinds)) == 1 and kinds[0] in SLOPES:
        active = _keep_output(z, activation(kinds[0]), SLOPES[kinds[0]])
    else:
        return [activation(kind)(part) for kind, part in zip(kinds, split_gates(z, len(kinds)))]
    return split_gates(active, len(kinds))


def keep(value: Float[jax.Array, "*B F"]) -> Float[jax.Array, "*B F"]:
    """`value` as it is, of which the backward pass keeps every step instead of computing it again.

    For what takes a product to compute and is read by more than a sum, as the h U that a reset gate multiplies; gates
    from `activate` are kept anyway. It costs one array of all steps, which `memory="least"` does not pay.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> class MGU(sj.Gated):
        ...     gates = ("f", "n")
        ...     def update(self, p, h, z, m):
        ...         (z_f, z_n), (m_f, m_n) = jnp.split(z, 2, -1), jnp.split(m, 2, -1)
        ...         (f,) = sj.activate(z_f + m_f, "sigmoid")
        ...         (n,) = sj.activate(z_n + f * sj.keep(m_n), "tanh")
        ...         h = (1 - f) * h + f * n
        ...         return h, h
        >>> cell = MGU(8)
        >>> params = cell.init(jax.random.key(0), 3)
        >>> sj.scan(cell, params, jnp.ones((4, 10, 3)))[1].shape
        (4, 10, 8)
    """
    return _keep_output(value, lambda value: value, None)


def _keep_output(z: jax.Array, function: Slope, slope: Slope | None) -> jax.Array:
    """`function(z)`, kept for the backward pass or known from the forward one; its slope is a function of it."""
    kept = _current()
    if kept is not None and kept.given:
        return _known(z, kept.values.pop(0), slope)
    value = function(z)
    if kept is not None:
        kept.values.append(value)
    return value


def split_gates(z: Num[jax.Array, "*B GF"], count: int) -> list[Num[jax.Array, "*B F"]]:
    """Cut the last axis into `count` equal parts, one a gate."""
    return jnp.split(z, count, axis=-1) if count > 1 else [z]


class Kept:
    """The activated gates of one step, and what `keep` was given, in the order of the calls: collected, or given back.

    Only calls under the very trace that the block was opened in count: arrays must not leave a `jit`, `vmap` or
    `scan` within the step, and there `activate` works as if there were no block.
    """

    def __init__(self, values: list[jax.Array] | None = None) -> None:
        self.given = values is not None
        self.values = list(values or [])
        self.trace = get_opaque_trace_state()

    def applies(self) -> bool:
        """Whether a call now belongs to the block."""
        return self.trace == get_opaque_trace_state()


_kept: contextvars.ContextVar[Kept | None] = contextvars.ContextVar("kept", default=None)


def _current() -> Kept | None:
    """The block that a call now belongs to, if there is one."""
    kept = _kept.get()
    return kept if kept is not None and kept.applies() else None


@contextlib.contextmanager
def keep_gates(values: list[jax.Array] | None = None) -> Iterator[list[jax.Array]]:
    """Collect what `activate` and `keep` return inside the block; or, with `values`, let them return those, in order.

    Given back, an output has the derivative of the activation, by way of z. The value given must be the one that
    z has, so that derivatives of every order are exact.
    """
    kept = Kept(values)
    token = _kept.set(kept)
    try:
        yield kept.values
    finally:
        _kept.reset(token)


def _scale_and_offset(is_sigmoid: Bool[Array, " GF"], z: Float[jax.Array, "*B GF"]) -> tuple[jax.Array, jax.Array]:
    """s and o of a = tanh(s z) s + o, for each entry of z."""
    scale, offset = np.where(is_sigmoid, 0.5, 1.0), np.where(is_sigmoid, 0.5, 0.0)
    return tuple(jnp.broadcast_to(jnp.asarray(a, z.dtype), z.shape) for a in (scale, offset))  # type: ignore


def _activate(is_sigmoid: Bool[Array, " GF"], z: Float[jax.Array, "*B GF"]) -> Float[jax.Array, "*B GF"]:
    if not is_sigmoid.any():
        active = jnp.tanh(z)
    else:
        scale, offset = _scale_and_offset(is_sigmoid, z)
        active = jnp.tanh(z * scale) * scale + offset
    # Without the barrier XLA computes the gates again inside each of their consumers.
    return jax.lax.optimization_barrier(active)


def _slope(is_sigmoid: Bool[Array, " GF"], value: Float[jax.Array, "*B GF"]) -> Float[jax.Array, "*B GF"]:
    """Of a = tanh(s z) s + o, (s, o) = (1, 0) or (1/2, 1/2): da/dz = s^2 (1 - tanh(s z)^2) = s^2 - (a - o)^2."""
    scale, offset = _scale_and_offset(is_sigmoid, value)
    return scale * scale - (value - offset) * (value - offset)


def _known(z: jax.Array, value: jax.Array, slope: Slope | None) -> jax.Array:
    """`value`, which is a function of z that has this slope; without one it is z itself."""

    @jax.custom_jvp
    def known(z: jax.Array, value: jax.Array) -> jax.Array:
        return value

    @known.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        # The tangent of `value` is that of z seen from elsewhere: taking both would count it twice.
        (_, value), (dz, _) = primals, tangents
        return value, dz if slope is None else slope(value) * dz

    return known(z, value)
