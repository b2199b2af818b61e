"""The simple recurrent network."""

import jax

from seqjax._internal.types import Float, Pair, Params
from seqjax.core import gating
from seqjax.core.recurrent import Gated
from seqjax.core.taps import tap


class RNN(Gated):
    """Simple recurrent network (Elman 1990):  h' = a(x W + b + h U),  y = h'.

    Args:
        features: F, the width of h.
        activation: a, by name: "tanh", "relu", "identity" (a linear recurrence) or another of `seqjax.core.gating`.

    Carry: h `[B, F]`. With relu and `recurrent_init=identity()` it is the IRNN (Le, Jaitly, Hinton 2015).

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> irnn = sj.RNN(4, activation="relu", recurrent_init=sj.initializers.identity())
        >>> params = irnn.init(jax.random.key(0), 3)
        >>> carry, ys = sj.scan(irnn, params, jnp.ones((2, 5, 3)))
        >>> ys.shape, bool(jnp.all(ys >= 0))
        ((2, 5, 4), True)
    """

    gates = ("h",)
    sums = True

    activation: str = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        gating.activation(self.activation)

    def update(
        self, p: Params, h: Float[jax.Array, "*B F"], z: Float[jax.Array, "*B F"], m: Float[jax.Array, "*B F"]
    ) -> Pair:
        (h,) = gating.activate(z + m, self.activation)
        h = tap("h", h)
        return h, h
