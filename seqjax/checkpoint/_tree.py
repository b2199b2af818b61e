"""The leaves of a tree: what they are, whether they fit a template, and their arrays through Orbax.

Orbax gets a flat dict of arrays, numbered; the structure is the template's. Names of leaves are compared as text, so
no name can be mistaken for a path, and what Orbax cannot keep (empty arrays, keys, numbers of Python) never gets there.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.errors import ArgumentError, ArgumentTypeError, DataError

SCALARS = (bool, int, float, str)


class Leaf(NamedTuple):
    """One leaf: its place, dtype and shape; a value of Python has no shape and is kept here, a key its generator."""

    path: str
    dtype: str
    shape: list[int] | None
    value: Any = None

    @property
    def stored(self) -> bool:
        """Whether it is an array with elements, which Orbax keeps."""
        return self.shape is not None and 0 not in self.shape

    def __str__(self) -> str:
        return f"a Python {self.dtype}" if self.shape is None else f"{self.dtype}{self.shape}"


def describe(name: str, tree: Any, template: bool = False) -> list[Leaf]:
    """The leaves of a tree in order; `template` also takes `jax.ShapeDtypeStruct`.

    Raises:
        ArgumentError, ArgumentTypeError: a leaf that cannot be kept, or two with one name.
    """
    leaves = [_leaf(name, jax.tree_util.keystr(p), x, template) for p, x in jax.tree_util.tree_leaves_with_path(tree)]
    seen: set[str] = set()
    for leaf in leaves:
        if leaf.path in seen:
            raise ArgumentError(f"{name} has two leaves at {leaf.path}. A class registered with equal keys?")
        seen.add(leaf.path)
    return leaves


def _leaf(name: str, path: str, leaf: Any, template: bool) -> Leaf:
    if type(leaf) in SCALARS:
        return Leaf(path, type(leaf).__name__, None, leaf)
    if isinstance(leaf, jax.core.Tracer):
        raise ArgumentTypeError(f"{name}{path} is traced. A checkpoint inside jit? Save what the function returns")
    known = isinstance(leaf, (jax.Array, np.ndarray, np.generic)) and not isinstance(leaf, np.ma.MaskedArray)
    if not known and not (template and isinstance(leaf, jax.ShapeDtypeStruct)):
        raise ArgumentTypeError(
            f"{name}{path} must be an array, a key, int, float, bool, str or None, found {type(leaf).__name__} {leaf!r}"
        )
    if not template and isinstance(leaf, jax.Array) and leaf.is_deleted():
        raise ArgumentError(f"{name}{path} has been deleted. Donated to a jitted function? Save what that returned")
    shape = list(leaf.shape)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return Leaf(path, str(leaf.dtype), shape, jax.random.key_impl(leaf) if isinstance(leaf, jax.Array) else None)
    if not (jnp.issubdtype(leaf.dtype, np.number) or leaf.dtype == bool) or not np.dtype(leaf.dtype).isnative:
        raise ArgumentTypeError(f"{name}{path} has dtype {leaf.dtype}, expected numbers or bool in native byte order")
    return Leaf(path, str(leaf.dtype), shape)


def compare(where: Path, kept: Sequence[Leaf], wanted: Sequence[Leaf]) -> None:
    """Refuse a template that is not leaf for leaf what was kept.

    Raises:
        ArgumentError, ArgumentTypeError: names the first leaves that differ, what is kept and what was expected.
    """
    here, there = {leaf.path: leaf for leaf in wanted}, {leaf.path: leaf for leaf in kept}
    missing, extra = [p for p in here if p not in there], [p for p in there if p not in here]
    if missing or extra:
        parts = [f"{verb} {_few(paths)}" for verb, paths in (("lacks", missing), ("also has", extra)) if paths]
        raise ArgumentError(
            f"template does not fit {where}: the checkpoint {' and '.join(parts)}. Another cell or another optimiser?"
        )
    for path, leaf in here.items():
        if there[path].shape != leaf.shape:
            raise ArgumentError(
                f"template{path} does not fit {where}: the checkpoint has {there[path]}, the template {leaf}. "
                "Another cell, or another batch size?"
            )
    for path, leaf in here.items():
        if there[path].dtype != leaf.dtype:
            raise ArgumentTypeError(
                f"template{path} does not fit {where}: the checkpoint has {there[path]}, the template {leaf}. "
                "Restore with the kept dtype (jax_enable_x64 for 64 bits) and convert after it"
            )


def _few(paths: list[str]) -> str:
    return ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")


def write(folder: Path, tree: Any, leaves: Sequence[Leaf]) -> None:
    """Keep the arrays of a tree in a new folder, durably or not; nothing where there are none."""
    arrays = {str(i): _writable(x) for i, (x, leaf) in enumerate(zip(jax.tree.leaves(tree), leaves)) if leaf.stored}
    if arrays:
        orbax = _orbax()
        with _quiet():
            orbax.save(folder, arrays)


def _writable(leaf: Any) -> Any:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    local = isinstance(leaf, jax.Array) and jax.process_count() > 1 and leaf.is_fully_addressable
    return np.asarray(leaf) if local or isinstance(leaf, np.generic) else leaf


def read(folder: Path, template: Any, kept: Sequence[tuple[int, Leaf]]) -> Any:
    """A tree like `template` from the arrays in a folder; `kept` has the number and the description of each leaf.

    Arrays of NumPy stay NumPy's; those of JAX go where the template's are, also on another number of devices.

    Raises:
        DataError: Orbax cannot, though the files are as they were written; or they have gone meanwhile.
    """
    leaves, structure = jax.tree.flatten(template)
    targets = {str(i): _target(like) for like, (i, leaf) in zip(leaves, kept) if leaf.stored}
    arrays: Mapping[str, Any] = {}
    if targets:
        orbax = _orbax()
        context = orbax.Context()
        context.pytree.loading.partial_load = True
        try:
            with context, _quiet():
                arrays = orbax.load(folder, targets)
        except Exception as error:
            raise DataError(f"{folder} cannot be read into the template's places: {error}") from error
    done = [_placed(like, leaf, arrays.get(str(i))) for like, (i, leaf) in zip(leaves, kept)]
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


def _target(like: Any) -> Any:
    """What Orbax is to make: an array of JAX in its place, or one of NumPy."""
    data, sharding = _data(like), _sharding(like)
    if sharding is None or (jax.process_count() > 1 and sharding.is_fully_addressable):
        return np.broadcast_to(np.zeros((), data.dtype), data.shape)
    return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=sharding)


def _placed(like: Any, leaf: Leaf, array: Any) -> Any:
    """A leaf of the restored tree, of the type and in the place of the template's."""
    if leaf.shape is None:
        return leaf.value
    if array is None:
        array = np.zeros(_data(like).shape, _data(like).dtype)
    if isinstance(like, (np.ndarray, np.generic)):
        return array if isinstance(like, np.ndarray) else array[()]
    if isinstance(array, np.ndarray):  # copied, as an array that JAX owns can be donated
        sharding = _sharding(like)
        array = jnp.array(array) if sharding is None else _spread(array, sharding)
    if leaf.value:
        array = jax.random.wrap_key_data(array, impl=leaf.value)
    if array.dtype != like.dtype:
        raise ArgumentTypeError(f"template{leaf.path} has dtype {like.dtype}, which needs jax_enable_x64")
    return array


def _spread(array: np.ndarray, sharding: Any) -> jax.Array:
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding, may_alias=False)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs every error three times over before it raises it."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
