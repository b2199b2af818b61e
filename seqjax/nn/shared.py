"""What all layers of one call share, and the checks of a memory."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from seqjax._internal.types import Array, Float
from seqjax.attention.bias import Bias
from seqjax.attention.memory import Memory
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
    check_flags(module, "memory.mask", memory.mask, memory.values.shape[:-1])
    if memory.mask is None:
        return memory
    # What stands in padding may be anything: 0 times NaN would be NaN.
    return memory._replace(values=jnp.where(memory.mask[..., None], memory.values, 0))
