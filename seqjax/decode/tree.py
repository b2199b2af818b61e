"""What hypotheses are made of: found by going back from parent to parent."""

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Int, Shaped
from seqjax._internal.validation import known
from seqjax.decode.candidates import take
from seqjax.errors import ArgumentError, ArgumentTypeError


def gather_tree(
    values: Shaped[Array, "*B L K"],
    parents: Int[Array, "*B L K"],
    lengths: Int[Array, "*B N"],
    last: Int[Array, "*B N"] | None = None,
    fill: Shaped[Array, ""] | float | int = 0,
) -> Shaped[jax.Array, "*B N L"]:
    """The values along N paths through a tree of L steps with K places each: row n is path n, from start to end.

    Step t of a path ends in the place p_t, and p_{t-1} = parents[t, p_t]; result[n, t] = values[t, p_t] for
    t < lengths[n], and `fill` from there on.

    Args:
        values: what stands in each place of each step, `[*B, L, K]`, such as tokens.
        parents: the place in the step before from which each came; those of step 0 are not looked at.
        lengths: steps of each path, 0 to L.
        last: the place in which each path ends, at step lengths - 1; None: path n ends in place n.
        fill: what stands behind the end.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not go together, parents that are no places.

        >>> import jax.numpy as jnp
        >>> from seqjax.decode import gather_tree
        >>> tokens = jnp.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
        >>> parents = jnp.array([[0, 0, 0], [0, 1, 1], [2, 1, 2]])
        >>> print(gather_tree(tokens, parents, jnp.array([3, 3, 2]), fill=-1))
        [[ 2  6  7]
         [ 2  5  8]
         [ 2  6 -1]]
    """
    _check_tree(values, parents, lengths)
    batch, (steps, width) = jnp.shape(values)[:-2], jnp.shape(values)[-2:]
    lengths = jnp.asarray(lengths)
    places = jnp.arange(lengths.shape[-1]) if last is None else last
    places = jnp.broadcast_to(places, lengths.shape).astype(jnp.int32)
    time_major = lambda a: jnp.moveaxis(jnp.broadcast_to(a, (*batch, steps, width)), -2, 0)

    def back(place: jax.Array, now: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        step, value, parent = now
        within = step < lengths
        found = jnp.where(within, take(value, place), jnp.asarray(fill, value.dtype))
        return jnp.where(within, take(parent, place), place), found

    table = (jnp.arange(steps), time_major(jnp.asarray(values)), time_major(jnp.asarray(parents, jnp.int32)))
    return jnp.moveaxis(jax.lax.scan(back, places, table, reverse=True)[1], 0, -1)


def _check_tree(values: Array, parents: Array, lengths: Array) -> None:
    shape = jnp.shape(values)
    if len(shape) < 2 or jnp.shape(parents) != shape:
        raise ArgumentError(
            f"gather_tree: values and parents must both be [*B, L, K], found {shape} and {jnp.shape(parents)}"
        )
    for name, array in (("parents", parents), ("lengths", lengths)):
        if not jnp.issubdtype(jnp.asarray(array).dtype, jnp.integer):
            raise ArgumentTypeError(f"gather_tree: {name} must be whole numbers, found {jnp.asarray(array).dtype}")
    if jnp.shape(lengths)[:-1] != shape[:-2] or not jnp.shape(lengths):
        raise ArgumentError(
            f"gather_tree: lengths must be [*B, N], a length for each path, found {jnp.shape(lengths)} with values "
            f"{shape}"
        )
    if known(parents) and known(lengths):
        _check_parents(np.asarray(parents), np.asarray(lengths))


def _check_parents(parents: np.ndarray, lengths: np.ndarray) -> None:
    steps, width = parents.shape[-2:]
    within = np.arange(steps) < np.max(lengths, axis=-1, initial=0)[..., None]  # the rest is never looked at
    within[..., :1] = False
    found = parents[within]
    if found.size and not 0 <= found.min() <= found.max() < width:
        wrong = found.min() if found.min() < 0 else found.max()
        raise ArgumentError(f"gather_tree: parents must be places 0 to {width - 1}, found {wrong}")
