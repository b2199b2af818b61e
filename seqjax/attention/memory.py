"""What a decoder attends to."""

from typing import NamedTuple

from seqjax._internal.types import Array, Bool, Float, Int


class Memory(NamedTuple):
    """What a decoder attends to: the outputs of an encoder for a source of S steps.

    values: `[*B, S, E]`.
    mask: bool `[*B, S]`, True where a step is real; None: all are.
    tokens: ids of the source `[*B, S]`, for decoders that copy them; None where there are none.

        >>> import jax.numpy as jnp
        >>> from seqjax.attention import Memory
        >>> memory = Memory(jnp.zeros((1, 2, 3)), jnp.array([[True, False]]))
        >>> memory.values.shape, memory.tokens is None
        ((1, 2, 3), True)
    """

    values: Float[Array, "*B S E"]
    mask: Bool[Array, "*B S"] | None = None
    tokens: Int[Array, "*B S"] | None = None
