"""The leaves of a tree: what they are, and whether they fit a template. Names are compared as text, never as paths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path

from seqjax._internal.types import PyTree
from seqjax.errors import ArgumentError, ArgumentTypeError

SCALARS = (bool, int, float, str)
ArrayLeaf = jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct
"""A leaf with a shape, of a tree or (the last) of a template alone."""


class Leaf(NamedTuple):
    """One leaf: its place, dtype and shape; a value of Python has no shape and stands here, of a key its generator."""

    path: str
    dtype: str
    shape: list[int] | None
    value: Any = None

    @property
    def has_elements(self) -> bool:
        """Whether it is an array with elements, which Orbax writes."""
        return self.shape is not None and 0 not in self.shape

    def __str__(self) -> str:
        return f"a Python {self.dtype}" if self.shape is None else f"{self.dtype}{self.shape}"


def describe(name: str, tree: PyTree, template: bool = False) -> list[Leaf]:
    """The leaves of a tree in order; `template` also takes `jax.ShapeDtypeStruct`.

    Raises:
        ArgumentError, ArgumentTypeError: a leaf that cannot be saved, or two with one name.
    """
    leaves = [_describe_leaf(name, keystr(path), x, template) for path, x in tree_leaves_with_path(tree)]
    seen: set[str] = set()
    for leaf in leaves:
        if leaf.path in seen:
            raise ArgumentError(f"{name} has two leaves at {leaf.path}. A class registered with equal keys?")
        seen.add(leaf.path)
    return leaves


def _describe_leaf(name: str, path: str, leaf: object, template: bool) -> Leaf:
    if type(leaf) in SCALARS:
        return Leaf(path, type(leaf).__name__, None, leaf)
    if isinstance(leaf, jax.core.Tracer):
        raise ArgumentTypeError(f"{name}{path} is traced. A checkpoint inside jit? Save what the function returns")
    kinds = (jax.Array, np.ndarray, np.generic, *((jax.ShapeDtypeStruct,) if template else ()))
    if not isinstance(leaf, kinds) or isinstance(leaf, np.ma.MaskedArray):
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


def compare(where: Path, saved: Sequence[Leaf], wanted: Sequence[Leaf]) -> None:
    """Refuse a template that is not leaf for leaf what was saved.

    Raises:
        ArgumentError, ArgumentTypeError: names the first leaves that differ, what was saved and what was expected.
    """
    here, there = {leaf.path: leaf for leaf in wanted}, {leaf.path: leaf for leaf in saved}
    missing, extra = [p for p in here if p not in there], [p for p in there if p not in here]
    if missing or extra:
        parts = [f"{verb} {_list_some(paths)}" for verb, paths in (("lacks", missing), ("also has", extra)) if paths]
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
                "Restore with the saved dtype (jax_enable_x64 for 64 bits) and convert after it"
            )


def _list_some(paths: list[str]) -> str:
    return ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
