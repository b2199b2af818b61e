"""One vector for a whole source: what the plain encoder-decoder knows of it, and what a decoder starts from."""

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Float
from seqjax.attention.memory import Memory
from seqjax.errors import ArgumentError, closest

PLACES = ("ends", "last", "mean")


def fixed_context(memory: Memory, at: str = "ends") -> Memory:
    """The memory with one slot in place of its S: all that the plain encoder-decoder knows of a source.

    Cho et al. (2014) and Sutskever et al. (2014) decode from one vector. A decoder that attends to a memory of one
    slot, `attend(cell, score="mean")`, is theirs; so both can be compared with everything else equal.

    Args:
        memory: of S steps, `[*B, S, E]`.
        at: "last", the value of the last real step; "ends", that and the value of the first real step side by side,
            `[*B, 1, 2 E]`: the final states of both directions of a bidirectional net; "mean", of the real steps.

    Returns:
        A memory of one slot, which is not real where the source has no real step.

    Raises:
        ArgumentError: another place.

        >>> import jax.numpy as jnp
        >>> from seqjax.seq2seq import Memory, fixed_context
        >>> memory = Memory(jnp.array([[1.0], [2.0], [9.0]]), jnp.array([True, True, False]))
        >>> [fixed_context(memory, at).values.tolist() for at in ("ends", "last", "mean")]
        [[[2.0, 1.0]], [[2.0]], [[1.5]]]
    """
    check_place(at)
    if not isinstance(memory, Memory):
        raise ArgumentError(f"fixed_context: expected a Memory, as encode makes it, found {type(memory).__name__}")
    values, mask = memory.values, memory.mask
    if at == "mean":
        vector = _mean(values, mask)
    else:
        vector = find_ends(values, mask)
        vector = vector[..., : values.shape[-1]] if at == "last" else vector
    if mask is None and values.shape[-2] == 0:
        mask = jnp.zeros(values.shape[:-1], bool)
    return Memory(vector[..., None, :], None if mask is None else jnp.any(mask, axis=-1, keepdims=True))


def check_place(at: object) -> None:
    """Refuse what is no place of a fixed context.

    Raises:
        ArgumentError: so it is.
    """
    if at not in PLACES:
        raise ArgumentError(
            f"a fixed context is {', '.join(map(repr, PLACES))}, found {at!r}.{closest(str(at), PLACES)}"
        )


def find_ends(values: Float[Array, "*B S E"], mask: Bool[Array, "*B S"] | None) -> Float[jax.Array, "*B E2"]:
    """The values of the last real step and of the first, side by side; zeros where there is none."""
    if mask is None:
        mask = jnp.ones(values.shape[:-1], bool)
    real = jnp.asarray(mask).astype(jnp.int32)
    forward = jnp.cumsum(real, axis=-1)
    left = jnp.sum(real, axis=-1, keepdims=True) - forward + real  # real steps from this one on
    ends = [jnp.where((mask & (count == 1))[..., None], values, 0) for count in (left, forward)]
    return jnp.concatenate([jnp.sum(end, axis=-2, dtype=end.dtype) for end in ends], axis=-1)


def _mean(values: Float[Array, "*B S E"], mask: Bool[Array, "*B S"] | None) -> Float[jax.Array, "*B E"]:
    if mask is None:
        mask = jnp.ones(values.shape[:-1], bool)
    count = jnp.maximum(jnp.sum(mask, axis=-1, keepdims=True), 1)
    wide = jnp.promote_types(values.dtype, jnp.float32)
    total = jnp.sum(jnp.where(mask[..., None], values, 0), axis=-2, dtype=wide)
    return (total / count.astype(wide)).astype(values.dtype)
