"""The linear recurrent unit."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import out_dtype
from seqjax._internal.types import Array, Carry, Complex, DTypeLike, Float, Key, Params, Shape
from seqjax._internal.validation import check_batch_shape, check_counts, check_init, real_number
from seqjax.core.cell import Cell
from seqjax.core.gating import linear
from seqjax.errors import ArgumentError

LEAST = 1e-6  # of uniform numbers of which a logarithm is taken


class LRU(Cell):
    """Linear recurrent unit (Orvieto et al. 2023, arXiv 2303.06349): a complex diagonal recurrence.

        lambda = exp(-exp(nu_log) + i exp(theta_log))      so that |lambda| < 1 whatever nu_log is
        h' = lambda h + exp(gamma_log) B x                 h complex `[B, N]`
        y = Re(C h') + D x

    At the start lambda lies in the ring r_min <= |lambda| <= r_max, evenly over its area, at angles up to max_phase,
    and exp(gamma_log) is sqrt(1 - |lambda|^2), by which h is as large as B x. All are learned. B, C and D are full
    matrices; a layer of the paper is `residual(stack(Norm(), LRU(F), ...))` with what is not linear after it.

    Args:
        features: F, the width of y.
        states: N, that of h; F where None.
        r_min, r_max, max_phase: the ring. Long memory wants r_min near 1, and a small max_phase with it.

    Carry: h `[B, N]`, complex64 or wider.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.LRU(4, states=8, r_min=0.9, r_max=0.999)
        >>> params = cell.init(jax.random.key(0), 3)
        >>> jax.tree.map(jnp.shape, params)["ring"]
        {'gamma_log': (8,), 'nu_log': (8,), 'theta_log': (8,)}
        >>> carry, ys = sj.scan(cell, params, jnp.ones((2, 5, 3)))
        >>> ys.shape, carry.dtype
        ((2, 5, 4), dtype('complex64'))

    Raises:
        ArgumentError: no ring within 0 and 1, or no phase.
    """

    features: int
    _: dataclasses.KW_ONLY
    states: int | None = None
    r_min: float = 0.0
    r_max: float = 1.0
    max_phase: float = 2 * math.pi

    def __post_init__(self) -> None:
        check_counts(self, features=1)
        if self.states is not None:
            check_counts(self, states=1)
        low, high, phase = (real_number(f"LRU: {n}", getattr(self, n)) for n in ("r_min", "r_max", "max_phase"))
        if not 0 <= low < high <= 1:
            raise ArgumentError(f"LRU: expected 0 <= r_min < r_max <= 1, found r_min={low}, r_max={high}")
        if not 0 < phase <= 2 * math.pi:
            raise ArgumentError(f"LRU: max_phase must be above 0 and at most 2 pi, found {phase}")

    @property
    def out_features(self) -> int:
        return self.features

    @property
    def _states(self) -> int:
        return self.features if self.states is None else self.states

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """`ring` {nu_log, theta_log, gamma_log `[N]`}, kernels project `[D, 2 N]`, read `[2 N, F]`, skip `[D, F]`.

        Of B and C there are the real parts first, then the imaginary ones.
        """
        check_init(self, key, in_features, dtype)
        keys, width = jax.random.split(key, 5), jnp.promote_types(dtype, jnp.float32)
        radius, angle = (jax.random.uniform(k, (self._states,), width, LEAST, 1.0) for k in keys[:2])
        nu = jnp.log(-0.5 * jnp.log(radius * (self.r_max**2 - self.r_min**2) + self.r_min**2))
        gamma = 0.5 * jnp.log(-jnp.expm1(-2 * jnp.exp(nu)))
        ring = {"nu_log": nu, "theta_log": jnp.log(self.max_phase * angle), "gamma_log": gamma}
        shapes = {
            "project": ((in_features, 2 * self._states), 2 * in_features),
            "read": ((2 * self._states, self.features), self._states),
            "skip": ((in_features, self.features), in_features),
        }
        params: Params = {"ring": {name: value.astype(dtype) for name, value in ring.items()}}
        for key, (name, (shape, inputs)) in zip(keys[2:], shapes.items()):
            params[name] = {"kernel": (jax.random.normal(key, shape, width) / math.sqrt(inputs)).astype(dtype)}
        return params

    def initial_carry(self, params: Params, batch_shape: Shape = ()) -> Carry:
        """Zeros `[B, N]`, complex64, or wider where the parameters are."""
        check_batch_shape(self, batch_shape)
        return jnp.zeros((*batch_shape, self._states), jnp.promote_types(out_dtype(params, ()), jnp.complex64))

    def affine(self, params: Params, x: Float[Array, "*B D"]) -> tuple[Carry, Carry]:
        """lambda and exp(gamma) B x, in complex64 at least."""
        inputs = linear(params["project"], x)
        width = jnp.promote_types(inputs.dtype, jnp.float32)
        nu, theta, gamma = (params["ring"][name].astype(width) for name in ("nu_log", "theta_log", "gamma_log"))
        size, angle = jnp.exp(-jnp.exp(nu)), jnp.exp(theta)
        b = lax.complex(*jnp.split(inputs.astype(width), 2, axis=-1))
        a = jnp.broadcast_to(lax.complex(size * jnp.cos(angle), size * jnp.sin(angle)), b.shape)
        return a, b * jnp.broadcast_to(jnp.exp(gamma), b.shape)

    def read(self, params: Params, h: Complex[jax.Array, "*B N"], x: Float[Array, "*B D"]) -> Float[jax.Array, "*B F"]:
        """Re(C h) + D x."""
        parts = jnp.concatenate([h.real, -h.imag], axis=-1)
        return linear(params["read"], parts, keep=True) + linear(params["skip"], x)
