"""The feed forward part of a block."""

from collections.abc import Callable

import jax
from flax import nnx

from seqjax._internal.types import Array, Float, Key
from seqjax.nn.checks import check_count, check_rngs, check_vectors
from seqjax.nn.dropout import check_rate, drop, is_random, token_keys
from seqjax.nn.parameters import Linear
from seqjax.nn.style import GATED, Style, check_style

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "swiglu": jax.nn.silu,
    "geglu": lambda x: jax.nn.gelu(x, approximate=False),
    "geglu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
}


class FeedForward(nnx.Module):
    """Two linear maps with an activation between them, at each step alone.

        plain:  y = act(x U + b) D + c
        gated:  y = (act(x G + a) * (x U + b)) D + c       (Shazeer 2020)

    Parameters: up `[D, M]`, down `[M, D]`, and gate `[D, M]` of a gated activation; M = `style.hidden`, or 4 D.

    Args:
        features: D.
        dropout: rate at which hidden units are dropped.
        style: gives activation, hidden width and whether there are biases.
        rngs: draws the parameters.

        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from seqjax.nn import FeedForward, Style
        >>> module = FeedForward(4, style=Style(activation="swiglu", hidden=6), rngs=nnx.Rngs(0))
        >>> module.gate.kernel.shape, module(jnp.ones((2, 3, 4))).shape
        ((4, 6), (2, 3, 4))

    Raises:
        ArgumentError, ArgumentTypeError: options out of range; x that is no vectors of D floats; dropout without key.
    """

    causal = True
    feature_axes = 1
    asks: frozenset[str] = frozenset()

    def __init__(self, features: int, *, dropout: float = 0.0, style: Style = Style(), rngs: nnx.Rngs) -> None:
        check_rngs("FeedForward", rngs)
        check_style("FeedForward", style)
        self.features = check_count("FeedForward", "features", features)
        self.dropout, self.deterministic = check_rate("FeedForward", dropout), False
        self.activation = style.activation
        wide, narrow = {"hidden": style.hidden or 4 * features}, {"features": features}
        self.up = Linear(narrow, wide, bias=style.bias, rngs=rngs)
        self.gate = Linear(narrow, wide, bias=style.bias, rngs=rngs) if style.activation in GATED else None
        self.down = Linear(wide, narrow, bias=style.bias, rngs=rngs)

    @property
    def out_features(self) -> int:
        """D."""
        return self.features

    @property
    def random(self) -> bool:
        """Whether a call needs a key."""
        return is_random(self)

    def __call__(
        self, x: Float[Array, "*B T D"], *, key: Key[Array, "..."] | None = None
    ) -> Float[jax.Array, "*B T D"]:
        """The output of each step; `key` is one key, or one for each step `[*B, T]`."""
        check_vectors(self, x, self.features, steps=0)
        activate = ACTIVATIONS[self.activation]
        if self.gate is None:
            hidden = activate(self.up(x))
        else:
            hidden = activate(self.gate(x)) * self.up(x)
        return self.down(drop(hidden, self.dropout, token_keys(self, key, x.shape[:-1])))
