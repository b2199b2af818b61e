"""Batches across processes and devices."""

from typing import TYPE_CHECKING

from seqjax._internal.types import Array, PyTree, Shaped
from seqjax.batching.source import share
from seqjax.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from jax.sharding import Mesh, Sharding


def shard(batch: PyTree, index: int, count: int) -> PyTree:
    """The rows of process `index` of `count`, from a batch that is already made (any pytree of arrays `[B, ...]`).

    `source.batch(step, index, count)` gives the same rows without making the others.

    >>> import numpy as np
    >>> [shard(np.arange(6), index, 3).tolist() for index in range(3)]
    [[0, 1], [2, 3], [4, 5]]

    Raises:
        ArgumentError, ArgumentTypeError: rows that cannot be shared equally, or no such process.
    """
    import jax

    return jax.tree.map(lambda leaf: leaf[share(_rows(leaf), index, count)], batch)


def to_devices(batch: PyTree, where: "Sharding | Mesh | None" = None) -> PyTree:
    """The arrays of a batch on devices; where several processes run, each passes its own rows.

    >>> import jax, numpy as np
    >>> mesh = jax.make_mesh((jax.device_count(),), ("data",))
    >>> rows = to_devices(np.zeros((8 * jax.device_count(), 3)), mesh)
    >>> rows.sharding.shard_shape(rows.shape)
    (8, 3)

    Args:
        batch: a pytree of arrays `[B, ...]`: the whole batch, or the rows of this process
            (`source.batch(step, jax.process_index(), jax.process_count())`).
        where: a `jax.sharding.Sharding`; a `Mesh`, along whose first axis rows are divided; or None for the default
            device.

    Returns:
        The same pytree of global `jax.Array`s.

    Raises:
        ArgumentError: rows that cannot be divided among the devices.
        ArgumentTypeError: `where` is nothing of this kind.
    """
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

    if where is None:
        return jax.tree.map(jax.device_put, batch)
    if isinstance(where, Mesh):
        where = NamedSharding(where, PartitionSpec(where.axis_names[0]))
    if not isinstance(where, Sharding):
        raise ArgumentTypeError(f"where must be a Sharding, a Mesh or None, found {type(where).__name__}")

    def one(leaf: Shaped[Array, "B ..."]) -> Array:
        rows = (_rows(leaf) * jax.process_count(), *leaf.shape[1:])
        try:
            where.shard_shape(rows)
        except ValueError as error:
            raise ArgumentError(f"a leaf of shape {rows} cannot be divided as {where}: {error}") from None
        return jax.make_array_from_process_local_data(where, leaf)

    return jax.tree.map(one, batch)


def _rows(leaf: object) -> int:
    if not isinstance(leaf, Array) or leaf.ndim < 1:
        raise ArgumentTypeError(f"batch must hold arrays [B, ...], found {leaf!r}")
    return leaf.shape[0]
