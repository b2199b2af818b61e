"""How far gradients reach, as one number: half-life, horizon, time constants of gates."""

import math
from typing import NamedTuple

import numpy as np

from seqjax._internal.types import Array, Float, Inexact, Int
from seqjax._internal.validation import real_number
from seqjax.errors import ArgumentError, ArgumentTypeError


def half_life(logs: Float[Array, "..."]) -> float:
    """Steps in which a norm halves, from the least-squares slope of its logarithm over distance.

    inf where it neither falls nor grows; negative where it grows, the steps in which it doubles; NaN where fewer
    than two entries are finite.

        >>> import numpy as np
        >>> from seqjax.diagnostics import half_life
        >>> round(half_life(np.log([8.0, 4.0, 2.0, 1.0])), 6), round(half_life(np.log([1.0, 4.0])), 6)
        (1.0, -0.5)

    Raises:
        ArgumentError: logs are not one curve.
    """
    curve = _curve("half_life", logs)
    distance = np.flatnonzero(np.isfinite(curve))
    slope = _slope(distance, curve[distance])
    return math.inf if slope == 0 else -math.log(2) / slope


class MemoryHorizon(NamedTuple):
    """How far a curve of gradient norms by distance reaches, all in steps but the slope.

    slope: least squares of the log norm over distance, per step; below 0 the gradient vanishes, above it explodes.
    tau: -1 / slope, the steps in which the norm falls to 1/e; inf where it stays, negative where it grows.
    half_life: tau log 2, as `half_life`.
    epsilon_horizon: the largest distance k with g_k > epsilon g_0; it sees a tail that the slope does not.
    centroid: sum_k k g_k / sum_k g_k, the mean distance from which gradient comes.
    """

    slope: float
    tau: float
    half_life: float
    epsilon_horizon: float
    centroid: float


def memory_horizon(logs: Float[Array, " T+1"], epsilon: float = 0.01) -> MemoryHorizon:
    """How many steps back a loss reaches, from log norms by distance, in five words.

    Each answers another question: for g_k = r^k slope, tau and half-life say the same, epsilon_horizon is the last k
    below log(epsilon) / log(r), and the centroid of an endless curve r / (1 - r). Curves with a long tail, as gates
    and attention make them, have a horizon far beyond their half-life.

    Args:
        logs: natural logarithms of norms by distance, `[T + 1]`, as `log_mean(gradient_flow(...).joint)`; entries that
            are not finite are left out. The first that is finite stands for g_0.
        epsilon: the share of g_0 that still counts.

    Returns:
        Five numbers, NaN where there are too few entries. Cost: none to speak of.

    Raises:
        ArgumentError: logs are not one curve, or epsilon is not in 0 ... 1.

        >>> import numpy as np
        >>> from seqjax.diagnostics import memory_horizon
        >>> found = memory_horizon(np.log(0.5) * np.arange(100))  # it halves with every step
        >>> round(found.slope, 3), round(found.tau, 3), round(found.half_life, 3)
        (-0.693, 1.443, 1.0)
        >>> found.epsilon_horizon, round(found.centroid, 3)  # 1/64 is above 0.01, 1/128 is not
        (6.0, 1.0)
    """
    epsilon = real_number("epsilon", epsilon)
    if not 0 < epsilon <= 1:
        raise ArgumentError(f"memory_horizon: epsilon must be a share in 0 ... 1, found {epsilon}. A logarithm?")
    curve = _curve("memory_horizon", logs)
    distance = np.flatnonzero(np.isfinite(curve))
    if not len(distance):
        return MemoryHorizon(*[math.nan] * 5)
    kept = curve[distance]
    slope = _slope(distance, kept)
    weights = np.exp(kept - kept.max())
    return MemoryHorizon(
        slope,
        math.inf if slope == 0 else -1 / slope,
        math.inf if slope == 0 else -math.log(2) / slope,
        float(distance[kept >= kept[0] + math.log(epsilon)].max()),
        float(np.sum(distance * weights) / np.sum(weights)),
    )


def time_constants(keep: Inexact[Array, "..."]) -> Float[np.ndarray, "..."]:
    """Steps in which what a gate keeps falls to 1/e:  tau = -1 / log |f|  (Tallec and Ollivier 2018).

    A state h' = f h + ... holds h for about tau steps: f = 1/2 for 1.44, a forget bias of 1 (f = 0.731) for 3.19, one
    of 5 for 149. For a diagonal recurrence h' = lambda h + x, complex lambda too, it is exact. It is of the direct path
    alone, as if gates did not depend on the state; `gradient_flow` has them all.

    Args:
        keep: shares in 0 ... 1 that are kept, of any shape: a forget gate of an LSTM, an update gate of a GRU, both as
            `seqjax.trace` shows them over real sequences, or eigenvalues.

    Returns:
        As many numbers, 0 for a gate of 0, inf for one of 1 and above. Values of unreal steps, which are zero, give 0.

    Raises:
        ArgumentTypeError: no numbers.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.diagnostics import time_constants
        >>> print(time_constants([0.0, 0.5, 0.731, 1.0]).round(2))
        [0.   1.44 3.19  inf]
        >>> cell = sj.LSTM(4, bias_init=sj.initializers.chrono(100))
        >>> params = cell.init(jax.random.key(0), 3)
        >>> gates = sj.trace(cell, params, jnp.zeros((1, 10, 3)))[2]["f"]
        >>> time_constants(gates).shape
        (1, 10, 4)
    """
    values = np.asarray(keep)
    if values.dtype.kind not in "fiuc":
        raise ArgumentTypeError(f"time_constants: keep must be numbers, found {values.dtype}")
    share = np.abs(values).astype(np.float64)
    inside = (share > 0) & (share < 1)
    found = -1 / np.log(np.where(inside, share, 0.5))
    return np.where(inside, found, np.where(share >= 1, np.inf, np.where(share == 0, 0.0, np.nan)))


def _curve(name: str, logs: Float[Array, "..."]) -> Float[np.ndarray, " T"]:
    curve = np.asarray(logs, np.float64)
    if curve.ndim != 1:
        raise ArgumentError(
            f"{name}: logs must be one curve over distance, found shape {curve.shape}. Write {name}(log_mean(...))"
        )
    return curve


def _slope(distance: Int[np.ndarray, " N"], logs: Float[np.ndarray, " N"]) -> float:
    """Least squares; 0 where it is rounding."""
    if len(distance) < 2:
        return math.nan
    slope = float(np.polyfit(distance, logs, 1)[0])
    return 0.0 if abs(slope) < 1e-12 else slope
