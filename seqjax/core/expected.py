"""Parameters and carries against those that the cell itself would make."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.trees import is_inexact
from seqjax.core.arguments import Shape
from seqjax.core.cell import Cell, Params, initial_carry
from seqjax.errors import ArgumentError, ArgumentTypeError


def check_params(cell: Cell, given: Any, xs: Any, shape: Shape) -> None:
    """Parameters against those that `cell.init` would make for this input."""
    if not isinstance(xs, (jax.Array, np.ndarray)):
        return  # a tree of inputs: what init takes for it is the cell's own business
    size = shape.width
    wanted = _expected_params(cell, size)
    if _alike(wanted, given):
        return
    expected, found = _paths(wanted), _paths(given)
    if missing := sorted(set(expected) - set(found)):
        extra = sorted(set(found) - set(expected))
        rest = f" and has {', '.join(extra)} beside" if extra else ""
        raise ArgumentError(f"{cell!r}: params lacks {', '.join(missing)}{rest}. Parameters of another cell?")
    if extra := sorted(set(found) - set(expected)):
        raise ArgumentError(
            f"{cell!r}: params has {', '.join(extra)}, which this cell does not know. Parameters of another cell?"
        )
    for path, want in expected.items():
        _check_param(cell, path, found[path], want, xs, size, shape)


def _check_param(cell: Cell, path: str, leaf: Any, want: Any, xs: Any, size: Any, shape: Shape) -> None:
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise ArgumentTypeError(f"{cell!r}: params{path} must be an array, found {leaf!r}")
    if not _fits(leaf.dtype, want.dtype):
        kind = "floating point" if jnp.issubdtype(want.dtype, jnp.floating) else f"{want.dtype} or its kind"
        raise ArgumentTypeError(f"{cell!r}: params{path} must be {kind}, found {leaf.dtype}")
    if leaf.shape == want.shape:
        return
    if len(leaf.shape) == len(want.shape):
        odd = [(a, b) for a, b in zip(leaf.shape, want.shape) if a != b]
        if len(odd) == 1 and odd[0][1] == size:
            raise ArgumentError(
                f"{type(cell).__name__}: xs has {size} features (shape {tuple(xs.shape)} = {shape.axes}, features) "
                f"but params were made for {odd[0][0]}. Time-major data? pass time_major=True. "
                "Another layer's output?"
            )
    raise ArgumentError(
        f"{cell!r}: params{path} has shape {tuple(leaf.shape)}, expected {tuple(want.shape)} "
        f"for xs of shape {tuple(xs.shape)} ({shape.axes}, features). Parameters of another cell, or "
        "stacked ones without jax.vmap?"
    )


@functools.lru_cache(maxsize=256)
def _expected_params(cell: Cell, size: Any) -> Any:
    return jax.eval_shape(lambda: cell.init(jax.random.key(0), size))


def _paths(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def check_carry(cell: Cell, params: Params, given: Any, shape: Shape) -> Any:
    """A carry against the one that the cell would begin with."""
    if cell.asks - {"key", "in_features"}:
        return _own_carry(cell, given, shape)  # its other parts are as large as what it was given
    expected = _expected_carry(cell, _form(params), shape.batch, shape.width, jnp.result_type(float))
    if _alike(expected, given) and all(a.dtype == b.dtype for a, b in zip(*map(jax.tree.leaves, (expected, given)))):
        return given
    wanted, found = str(jax.tree.structure(expected)), str(jax.tree.structure(given))
    if wanted != found:
        raise ArgumentError(f"{cell!r}: carry has the structure {found}, expected {wanted}. A carry of another cell?")
    for (path, want), leaf in zip(_paths(expected).items(), jax.tree.leaves(given)):
        if leaf.shape != want.shape:
            raise ArgumentError(
                f"{cell!r}: carry{path} has shape {tuple(leaf.shape)}, expected {tuple(want.shape)} "
                f"for a batch of shape {shape.batch}. Another batch size, or time-major data?"
            )
        if not _fits(leaf.dtype, want.dtype):
            raise ArgumentTypeError(f"{cell!r}: carry{path} has dtype {leaf.dtype}, expected {want.dtype} or its kind")
    return jax.tree.map(_as_wanted, given, expected)


def _as_wanted(leaf: Any, want: Any) -> jax.Array:
    """A real array where a complex one is expected becomes complex, a narrow counter wide: both lose nothing."""
    if is_inexact(want) and not jnp.issubdtype(want.dtype, jnp.complexfloating):
        return jnp.asarray(leaf)
    keys = jnp.issubdtype(want.dtype, jax.dtypes.prng_key)
    return jnp.asarray(leaf) if keys else jnp.asarray(leaf).astype(jnp.promote_types(leaf.dtype, want.dtype))


def _own_carry(cell: Cell, given: Any, shape: Shape) -> Any:
    for path, leaf in _paths(given).items():
        if leaf.shape[: len(shape.batch)] != shape.batch:
            raise ArgumentError(
                f"{cell!r}: carry{path} has shape {tuple(leaf.shape)}, expected the batch axes {shape.batch} first"
            )
    return jax.tree.map(jnp.asarray, given)


def _fits(found: Any, want: Any) -> bool:
    """Whether an array of one dtype can stand for another: real floats for real ones, whole numbers, keys."""
    if jnp.issubdtype(want, jnp.complexfloating):
        return bool(jnp.issubdtype(found, jnp.inexact))
    kinds = (jnp.floating, jnp.integer, jax.dtypes.prng_key)
    return not any(jnp.issubdtype(want, kind) and not jnp.issubdtype(found, kind) for kind in kinds)


def _alike(expected: Any, given: Any) -> bool:
    """Whether two trees of arrays agree in structure, shapes and kinds of numbers: the quick way through."""
    wanted, tree = jax.tree.flatten(expected)
    found, other = jax.tree.flatten(given)
    return tree == other and all(  # type: ignore[operator]
        getattr(b, "shape", None) == a.shape and hasattr(b, "dtype") and _fits(b.dtype, a.dtype)
        for a, b in zip(wanted, found)
    )


class _Form(NamedTuple):
    """The structure, shapes and dtypes of a tree: a hashable stand-in."""

    tree: Any
    leaves: tuple[Any, ...]


def _form(tree: Any) -> _Form:
    leaves, structure = jax.tree.flatten(tree)
    return _Form(structure, tuple((leaf.shape, jnp.dtype(leaf.dtype)) for leaf in leaves))


@functools.lru_cache(maxsize=256)
def _expected_carry(cell: Cell, form: _Form, batch: tuple[int, ...], width: Any, widest: Any) -> Any:
    params = jax.tree.unflatten(form.tree, [jax.ShapeDtypeStruct(*leaf) for leaf in form.leaves])
    given = {"key": jax.random.key(0), "in_features": width}
    return jax.eval_shape(lambda p: initial_carry(cell, p, batch, **given), params)
