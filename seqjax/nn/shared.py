"""What all layers of one call share, and the checks of a memory."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Float, Shape
from seqjax.attention.bias import Bias
from seqjax.attention.mask import Mask
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


def check_memory(module: Any, memory: Memory | Array | None, features: int, batch: Shape | None = None) -> Memory:
    """The memory as a `Memory`.

    batch: the batch axes that it must have, where they are known.

    Raises:
        ArgumentError: it is missing; vectors of another width or batch, flags of another shape.
        ArgumentTypeError: no floats, flags that are not bool.
    """
    if memory is None:
        owner = type(module).__name__
        raise ArgumentError(f"{owner} attends to a memory, but was given none: pass memory, [*B, S, {features}]")
    memory = memory if isinstance(memory, Memory) else Memory(memory)
    check_vectors(module, memory.values, features, "memory")
    found = memory.values.shape[:-2]
    if batch is not None and found != tuple(batch):
        raise ArgumentError(
            f"{type(module).__name__}: memory {memory.values.shape} is of the batch {found}, expected {tuple(batch)}"
        )
    check_flags(module, "memory.mask", memory.mask, memory.values.shape[:-1])
    if memory.mask is None:
        return memory
    # What stands in padding may be anything: 0 times NaN would be NaN.
    return memory._replace(values=jnp.where(memory.mask[..., None], memory.values, 0))


def mask_of_zeroed(real: Bool[Array, "*B S"]) -> Mask:
    """The keys that are real, where those that are not are made of zeros: caches, and memories after `check_memory`.

    As flags of pairs: behind `padding` `dot_product` would write zeros again, in two thirds of the time of one step of
    decoding (8 rows, 1,024 keys, 4 heads of 64 on a CPU).
    """
    return Mask(pairs=real[..., None, None, :])
