"""Which gates and units stand at their limits, where their slopes, and with them gradients, are near zero."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Carry, Float, Inexact, Params, PyTree
from seqjax.core.cell import Cell
from seqjax.core.trace import trace
from seqjax.diagnostics.seeds import Mask, prepare, real_steps

Shares = Float[jax.Array, "*F"]


class Saturation(NamedTuple):
    """Of each unit of a value, the share of real examples and steps in which it is at a limit; `.mean()` is of all.

    low, high: below 0.1 and above 0.9, to be read of gates (i, f, o of an LSTM; r, u of a GRU): shut and open. A
        sigmoid's slope is below 0.09 there, of 0.25 at most.
    outer, extreme: |v| above 0.9 and above 0.99, to be read of what tanh gives (g, n, h): slopes 1 - v^2 below 0.19 and
        0.02, so that a gradient on its way through loses a factor of 5 and of 50.
    dead: 1 where the unit is zero in all of them, which of a ReLU means that it learns no more from such data.
    """

    low: Shares
    high: Shares
    outer: Shares
    extreme: Shares
    dead: Shares


def saturation(
    cell: Cell, params: Params, xs: PyTree, carry: Carry = None, *, mask: Mask | None = None
) -> dict[str, Saturation]:
    """Shares of saturated gates and units over a batch (Karpathy et al. 2015; Glorot and Bengio 2010).

    Cost: a run forwards, step by step, and all values that are tapped, `[B, T, F]` each.

    Args:
        cell, params, xs, carry, mask: as in `gradient_flow`; padding is left out.

    Returns:
        By path, as `seqjax.trace` has them. NaN where no step is real.

    Raises:
        ArgumentError, ArgumentTypeError: as `gradient_flow`.

    An LSTM whose forget gates begin at sigmoid(5) = 0.993:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.diagnostics import saturation
        >>> cell = sj.LSTM(4)
        >>> params = cell.init(jax.random.key(0), 2)
        >>> params["project"]["bias"] = params["project"]["bias"].at[4:8].set(5.0)  # after those of i
        >>> found = saturation(cell, params, jnp.zeros((8, 10, 2)))
        >>> sorted(found)
        ['c', 'f', 'g', 'h', 'i', 'o', 'y']
        >>> found["f"].high.mean().item(), found["i"].high.mean().item()
        (1.0, 0.0)
    """
    call = prepare("saturation", cell, params, xs, carry, mask)
    seen = trace(cell, params, xs, carry, mask=mask)[2]
    values = {path: value for path, value in seen.items() if jnp.issubdtype(value.dtype, jnp.inexact)}
    return _shares(values, real_steps(call).T)


@jax.jit
def _shares(values: dict[str, Inexact[Array, "B T *F"]], real: Bool[jax.Array, "B T"]) -> dict[str, Saturation]:
    count = jnp.sum(real)

    def share(flags: Bool[jax.Array, "B T *F"]) -> Shares:
        kept = flags & real.reshape(*real.shape, *(1,) * (flags.ndim - 2))
        return jnp.where(count > 0, jnp.sum(kept, axis=(0, 1)) / jnp.maximum(count, 1), jnp.nan)

    def one(value: Inexact[Array, "B T *F"]) -> Saturation:
        size, plain = jnp.abs(value), jnp.real(value)
        never = jnp.floor(share(size == 0))  # 1 where it is so in all
        return Saturation(share(plain < 0.1), share(plain > 0.9), share(size > 0.9), share(size > 0.99), never)

    return {path: one(value) for path, value in values.items()}
