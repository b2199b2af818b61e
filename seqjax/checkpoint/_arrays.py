"""The arrays of a tree through Orbax.

Orbax gets a flat dict of arrays, numbered; the structure is the template's. So no name can be mistaken for a path, and
what Orbax cannot keep (empty arrays, keys, numbers of Python) never gets there.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.checkpoint._leaves import Leaf
from seqjax.errors import ArgumentTypeError, DataError


def write_arrays(folder: Path, tree: Any, leaves: Sequence[Leaf]) -> None:
    """Write the arrays of a tree in a new folder, not yet safe on the disk; nothing where there are none."""
    arrays = {str(i): _writable(x) for i, (x, leaf) in enumerate(zip(jax.tree.leaves(tree), leaves)) if leaf.stored}
    if arrays:
        orbax = _orbax()
        with _silence_absl():
            orbax.save(folder, arrays)


def _writable(leaf: Any) -> Any:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    local = isinstance(leaf, jax.Array) and jax.process_count() > 1 and leaf.is_fully_addressable
    return np.asarray(leaf) if local or isinstance(leaf, np.generic) else leaf


def read_arrays(folder: Path, template: Any, kept: Sequence[tuple[int, Leaf]]) -> Any:
    """A tree like `template` from the arrays in a folder; `kept` has the number and the description of each leaf.

    Arrays of NumPy stay NumPy's; those of JAX go where the template's are, also on another number of devices.

    Raises:
        DataError: Orbax cannot, though the files are as they were written; or they have gone meanwhile.
    """
    leaves, structure = jax.tree.flatten(template)
    targets = {str(i): _make_target(like) for like, (i, leaf) in zip(leaves, kept) if leaf.stored}
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
    done = [_like_template(like, leaf, arrays.get(str(i))) for like, (i, leaf) in zip(leaves, kept)]
    return jax.tree.unflatten(structure, done)


def _orbax() -> Any:
    try:
        from orbax.checkpoint.experimental import v1
    except ImportError as error:
        raise DataError("the package orbax-checkpoint is not installed: pip install 'seqjax[train]'") from error
    return v1


def _data(like: Any) -> Any:
    """Shape and dtype as kept: those of its data for a key."""
    struct = jax.ShapeDtypeStruct(like.shape, like.dtype)
    is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
    return jax.eval_shape(jax.random.key_data, struct) if is_key else struct


def _sharding(like: Any) -> Any:
    """Where the data of a leaf lies on purpose; None for NumPy's and for what is on the default device."""
    if isinstance(like, jax.ShapeDtypeStruct):
        return like.sharding
    return like.sharding if isinstance(like, jax.Array) and like.committed else None


def _make_target(like: Any) -> Any:
    """What Orbax is to make: an array of JAX in its place, or one of NumPy."""
    data, sharding = _data(like), _sharding(like)
    if sharding is None or (jax.process_count() > 1 and sharding.is_fully_addressable):
        return np.broadcast_to(np.zeros((), data.dtype), data.shape)
    return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=sharding)


def _like_template(like: Any, leaf: Leaf, array: Any) -> Any:
    """A leaf of the restored tree, of the type and in the place of the template's."""
    if leaf.shape is None:
        return leaf.value
    if array is None:
        array = np.zeros(_data(like).shape, _data(like).dtype)
    if isinstance(like, (np.ndarray, np.generic)):
        return array if isinstance(like, np.ndarray) else array[()]
    if isinstance(array, np.ndarray):  # copied, as an array that JAX owns can be donated
        sharding = _sharding(like)
        array = jnp.array(array) if sharding is None else _distribute(array, sharding)
    if leaf.value:
        array = jax.random.wrap_key_data(array, impl=leaf.value)
    if array.dtype != like.dtype:
        raise ArgumentTypeError(f"template{leaf.path} has dtype {like.dtype}, which needs jax_enable_x64")
    return array


def _distribute(array: np.ndarray, sharding: Any) -> jax.Array:
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
