"""What all layers of one call share, and what a memory is."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Float
from seqjax.attention.bias import Bias
from seqjax.attention.placement import Places
from seqjax.errors import ArgumentError
from seqjax.nn.checks import check_flags, check_vectors


class Shared(NamedTuple):
    """What the layers of one call share.

    places: where the tokens stand; None for 0, 1, ... in one sequence without padding.
    bias: on scores, made of positions.
    fresh: whether caches are empty, so that they need not be read.
    """

    places: Places | None = None
    bias: Bias | Float[Array, "..."] | None = None
    fresh: bool = False


class Memory(NamedTuple):
    """What a decoder attends to: vectors `[*B, S, D]`, and which of them are real, `[*B, S]` (None: all)."""

    values: Float[Array, "*B S D"]
    real: Bool[Array, "*B S"] | None = None


def check_memory(module: Any, memory: Memory | Array | None, features: int) -> Memory:
    """The memory as a `Memory`.

    Raises:
        ArgumentError: it is missing; vectors of another width, flags of another shape.
        ArgumentTypeError: no floats, flags that are not bool.
    """
    if memory is None:
        owner = type(module).__name__
        raise ArgumentError(f"{owner} attends to a memory, but was given none: pass memory, [*B, S, {features}]")
    memory = memory if isinstance(memory, Memory) else Memory(memory)
    check_vectors(module, memory.values, features, "memory")
    check_flags(module, "memory.real", memory.real, memory.values.shape[:-1])
    if memory.real is None:
        return memory
    # What stands in padding may be anything: 0 times NaN would be NaN.
    return Memory(jnp.where(memory.real[..., None], memory.values, 0), memory.real)
