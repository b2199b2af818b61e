"""The simple recurrent network."""

import jax

from seqjax.core import gating
from seqjax.core.cell import Params
from seqjax.core.recurrent import Gated
from seqjax.core.taps import tap


class RNN(Gated):
    """Simple recurrent network (Elman 1990):  h' = a(x W + b + h U),  y = h'.

    Args:
        features: F, the width of h.
        activation: a, by name: "tanh", "relu", "identity" (a linear recurrence) or another of `seqjax.core.gating`.

    Carry: h `[B, F]`. With relu and `recurrent_init=identity()` it is the IRNN (Le, Jaitly, Hinton 2015).
    """

    gates = ("h",)
    sums = True

    activation: str = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        gating.activation(self.activation)

    def update(self, p: Params, h: jax.Array, z: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
        """a(z + m)."""
        (h,) = gating.activate(z + m, self.activation)
        h = tap("h", h)
        return h, h
