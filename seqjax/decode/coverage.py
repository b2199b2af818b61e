"""How far each hypothesis of a search covers a source: sums of attention weights, seen through taps."""

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Float
from seqjax.decode.strategy import Sizes
from seqjax.errors import ArgumentError


def uncovered(sizes: Sizes, name: str) -> Float[jax.Array, "B K S"]:
    """Sums before the first step: 0 for every slot.

    Raises:
        ArgumentError: no tap has the name, or several have, or its values have no axis of slots.
    """
    shape = sizes.seen[find(sizes.seen, name)].shape
    if len(shape) < 3:
        raise ArgumentError(
            f"beam: coverage needs attention weights over the slots of a source, but the tap {name!r} has shape {shape}"
        )
    return jnp.zeros((*shape[:2], shape[-1]), sizes.dtype)


def cover(covered: Float[Array, "B K S"], seen: Mapping[str, Array], name: str) -> Float[jax.Array, "B K S"]:
    """The sums after one step; the mean over heads counts."""
    weights = seen[find(seen, name)]
    return jnp.asarray(covered) + jnp.mean(weights, axis=tuple(range(2, weights.ndim - 1))).astype(covered.dtype)


def find(paths: Iterable[str], name: str) -> str:
    """The one path that is `name` or ends in it.

    Raises:
        ArgumentError: there is none, or there are several.
    """
    found = [path for path in paths if f"/{path}".endswith(f"/{name}")]
    if not found:
        raise ArgumentError(
            f"beam: coverage reads attention weights at the tap {name!r}, but no part of the cell has such a tap. Is "
            "it a decoder that attends to a memory?"
        )
    if len(found) > 1:
        raise ArgumentError(f"beam: {len(found)} taps are called {name!r}: {', '.join(found)}. Say which: weights=...")
    return found[0]
