"""The arrays of a tree through Orbax.

Orbax gets a flat dict of arrays, numbered; the structure is the template's. So no name can be mistaken for a path, and
what Orbax cannot keep (empty arrays, keys, numbers of Python) never gets there.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding

from seqjax._internal.types import Array, PyTree
from seqjax.checkpoint._leaves import ArrayLeaf, Leaf
from seqjax.errors import ArgumentTypeError, DataError


def write_arrays(folder: Path, tree: PyTree, leaves: Sequence[Leaf]) -> None:
    """Write the arrays of a tree in a new folder, not yet safe on the disk; nothing where there are none."""
    arrays = {
        str(i): _to_writable(x) for i, (x, leaf) in enumerate(zip(jax.tree.leaves(tree), leaves)) if leaf.has_elements
    }
    if arrays:
        orbax = _orbax()
        with _silence_absl():
            orbax.save(folder, arrays)


def _to_writable(leaf: ArrayLeaf) -> ArrayLeaf:
    """What Orbax is given: the data of a key; NumPy's for what each process has for itself, which Orbax refuses."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    local = isinstance(leaf, jax.Array) and jax.process_count() > 1 and leaf.is_fully_addressable
    return np.asarray(leaf) if local or isinstance(leaf, np.generic) else leaf


def read_arrays(folder: Path, template: PyTree, saved: Sequence[tuple[int, Leaf]]) -> PyTree:
    """A tree like `template` from the arrays in a folder; `saved` has the number and the description of each leaf.

    Arrays of NumPy stay NumPy's; those of JAX go where the template's are, also on another number of devices.

    Raises:
        DataError: Orbax cannot, though the files are as they were written; or they have gone meanwhile.
    """
    leaves, structure = jax.tree.flatten(template)
    targets = {str(i): _make_target(like) for like, (i, leaf) in zip(leaves, saved) if leaf.has_elements}
    arrays: Mapping[str, Any] = {}
    if targets:
        orbax = _orbax()
        context = orbax.Context()
        context.pytree.loading.partial_load = True
        try:
            with context, _silence_absl():
                arrays = orbax.load(folder, targets)
        except Exception as error:
            raise DataError(f"{folder} cannot be read into the template's places: {error}") from error
    restored = [
        leaf.value if leaf.shape is None else _restore_array(like, leaf, arrays.get(str(i)))
        for like, (i, leaf) in zip(leaves, saved)
    ]
    return jax.tree.unflatten(structure, restored)


def _orbax() -> ModuleType:
    try:
        from orbax.checkpoint.experimental import v1
    except ImportError as error:
        raise DataError("the package orbax-checkpoint is not installed: pip install 'seqjax[train]'") from error
    return v1


def _data_of(like: ArrayLeaf) -> jax.ShapeDtypeStruct:
    """Shape and dtype as saved: those of its data for a key."""
    struct = jax.ShapeDtypeStruct(like.shape, like.dtype)
    is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
    return jax.eval_shape(jax.random.key_data, struct) if is_key else struct


def _sharding_of(like: ArrayLeaf) -> Sharding | None:
    """Where the data of a leaf lies on purpose; None for NumPy's and for what is on the default device."""
    if isinstance(like, jax.ShapeDtypeStruct):
        return like.sharding
    return like.sharding if isinstance(like, jax.Array) and like.committed else None


def _make_target(like: ArrayLeaf) -> np.ndarray | jax.ShapeDtypeStruct:
    """What Orbax is to make: an array of JAX in its place, or one of NumPy."""
    data, sharding = _data_of(like), _sharding_of(like)
    if sharding is None or (jax.process_count() > 1 and sharding.is_fully_addressable):
        return np.broadcast_to(np.zeros((), data.dtype), data.shape)
    return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=sharding)


def _restore_array(like: ArrayLeaf, leaf: Leaf, array: Array | None) -> Array | np.generic:
    """A leaf of the restored tree, of the type and in the place of the template's."""
    if array is None:  # without elements, so that there was nothing to write
        array = np.zeros(_data_of(like).shape, _data_of(like).dtype)
    if isinstance(like, (np.ndarray, np.generic)):
        return array if isinstance(like, np.ndarray) else array[()]
    if isinstance(array, np.ndarray):  # copied, as an array that JAX owns can be donated
        sharding = _sharding_of(like)
        array = jnp.array(array) if sharding is None else _distribute(array, sharding)
    if leaf.value:
        array = jax.random.wrap_key_data(array, impl=leaf.value)
    if array.dtype != like.dtype:
        raise ArgumentTypeError(f"template{leaf.path} has dtype {like.dtype}, which needs jax_enable_x64")
    return array


def _distribute(array: np.ndarray, sharding: Sharding) -> jax.Array:
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding, may_alias=False)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


@contextlib.contextmanager
def _silence_absl() -> Iterator[None]:
    """Orbax logs every error three times over before it raises it."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
