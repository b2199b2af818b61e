"""Checks of parameters and carries against those that the cell itself would make."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.trees import is_inexact
from seqjax._internal.types import Array, Carry, PyTree, Shape
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.core.start import start_carry
from seqjax.errors import ArgumentError, ArgumentTypeError


def check_params(call: Call) -> None:
    """Parameters against those that `cell.init` would make for this input.

    Raises:
        ArgumentError, ArgumentTypeError: parts are missing or unknown, or have another shape or dtype.
    """
    if not isinstance(call.xs, (jax.Array, np.ndarray)):
        return  # a tree of inputs: what init takes for it is the cell's own business
    wanted = _expected_params(call.cell, call.layout.width)
    if _is_alike(wanted, call.params):
        return
    cell, expected, found = call.cell, _by_path(wanted), _by_path(call.params)
    if missing := sorted(set(expected) - set(found)):
        extra = sorted(set(found) - set(expected))
        rest = f" and has {', '.join(extra)} beside" if extra else ""
        raise ArgumentError(f"{cell!r}: params lacks {', '.join(missing)}{rest}. Parameters of another cell?")
    if extra := sorted(set(found) - set(expected)):
        raise ArgumentError(
            f"{cell!r}: params has {', '.join(extra)}, which this cell does not know. Parameters of another cell?"
        )
    for path, want in expected.items():
        _check_param(call, path, found[path], want)


def _check_param(call: Call, path: str, leaf: object, want: jax.ShapeDtypeStruct) -> None:
    cell, xs, layout = call.cell, call.xs, call.layout
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise ArgumentTypeError(f"{cell!r}: params{path} must be an array, found {leaf!r}")
    if not _fits(leaf.dtype, want.dtype):
        kind = "floating point" if jnp.issubdtype(want.dtype, jnp.floating) else f"{want.dtype} or its kind"
        raise ArgumentTypeError(f"{cell!r}: params{path} must be {kind}, found {leaf.dtype}")
    if leaf.shape == want.shape:
        return
    if len(leaf.shape) == len(want.shape):
        odd = [(a, b) for a, b in zip(leaf.shape, want.shape) if a != b]
        if len(odd) == 1 and odd[0][1] == layout.width:
            raise ArgumentError(
                f"{type(cell).__name__}: xs has {layout.width} features (shape {tuple(xs.shape)} = {layout.axes}, "
                f"features) but params were made for {odd[0][0]}. Time-major data? pass time_major=True. "
                "Another layer's output?"
            )
    raise ArgumentError(
        f"{cell!r}: params{path} has shape {tuple(leaf.shape)}, expected {tuple(want.shape)} "
        f"for xs of shape {tuple(xs.shape)} ({layout.axes}, features). Parameters of another cell, or "
        "stacked ones without jax.vmap?"
    )


@functools.lru_cache(maxsize=256)
def _expected_params(cell: Cell, in_features: Any) -> PyTree:
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), in_features))
    if cell.separable and params and not params.keys() & {"project", "mix", "update"}:
        raise ArgumentError(
            f"{cell!r}: init gives {', '.join(map(repr, params))}, but project, mix and update each see a branch of "
            'their own: {"project": {"kernel": ..., "bias": ...}, "mix": {...}}'
        )
    return params


def _by_path(tree: PyTree) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def check_carry(call: Call) -> Carry:
    """The carry that was given, after it has been compared with the one that the cell would begin with.

    Raises:
        ArgumentError, ArgumentTypeError: it has another structure, shape or dtype.
    """
    cell, carry, layout = call.cell, call.carry, call.layout
    if carry is None:
        return None
    if cell.asks - {"key", "in_features"}:
        return _check_batch_axes(call)  # its other parts are as large as what it was given
    expected = _expected_carry(cell, _form(call.params), layout.batch, layout.width, jnp.result_type(float))
    if _is_alike(expected, carry) and all(a.dtype == b.dtype for a, b in zip(*map(jax.tree.leaves, (expected, carry)))):
        return carry
    wanted, found = str(jax.tree.structure(expected)), str(jax.tree.structure(carry))
    if wanted != found:
        raise ArgumentError(f"{cell!r}: carry has the structure {found}, expected {wanted}. A carry of another cell?")
    for (path, want), leaf in zip(_by_path(expected).items(), jax.tree.leaves(carry)):
        if leaf.shape != want.shape:
            raise ArgumentError(
                f"{cell!r}: carry{path} has shape {tuple(leaf.shape)}, expected {tuple(want.shape)} "
                f"for a batch of shape {layout.batch}. Another batch size, or time-major data?"
            )
        if not _fits(leaf.dtype, want.dtype):
            raise ArgumentTypeError(f"{cell!r}: carry{path} has dtype {leaf.dtype}, expected {want.dtype} or its kind")
    return jax.tree.map(_widen, carry, expected)


def _widen(leaf: Array, want: jax.ShapeDtypeStruct) -> jax.Array:
    """A real array where a complex one is expected becomes complex, a narrow counter wide: both lose nothing."""
    if is_inexact(want) and not jnp.issubdtype(want.dtype, jnp.complexfloating):
        return jnp.asarray(leaf)
    keys = jnp.issubdtype(want.dtype, jax.dtypes.prng_key)
    return jnp.asarray(leaf) if keys else jnp.asarray(leaf).astype(jnp.promote_types(leaf.dtype, want.dtype))


def _check_batch_axes(call: Call) -> Carry:
    batch = call.layout.batch
    for path, leaf in _by_path(call.carry).items():
        if leaf.shape[: len(batch)] != batch:
            raise ArgumentError(
                f"{call.cell!r}: carry{path} has shape {tuple(leaf.shape)}, expected the batch axes {batch} first"
            )
    return jax.tree.map(jnp.asarray, call.carry)


def _fits(found: Any, want: Any) -> bool:
    """Whether an array of one dtype can stand for another: real floats for real ones, whole numbers, keys."""
    if jnp.issubdtype(want, jnp.complexfloating):
        return bool(jnp.issubdtype(found, jnp.inexact))
    kinds = (jnp.floating, jnp.integer, jax.dtypes.prng_key)
    return not any(jnp.issubdtype(want, kind) and not jnp.issubdtype(found, kind) for kind in kinds)


def _is_alike(expected: PyTree, given: PyTree) -> bool:
    """Whether two trees of arrays agree in structure, shapes and kinds of numbers: the quick way through."""
    wanted, tree = jax.tree.flatten(expected)
    found, other = jax.tree.flatten(given)
    return tree == other and all(  # type: ignore[operator]
        getattr(b, "shape", None) == a.shape and hasattr(b, "dtype") and _fits(b.dtype, a.dtype)
        for a, b in zip(wanted, found)
    )


class _Form(NamedTuple):
    """The structure, shapes and dtypes of a tree: a hashable stand-in."""

    tree: jax.tree_util.PyTreeDef
    leaves: tuple[tuple[Shape, Any], ...]


def _form(tree: PyTree) -> _Form:
    leaves, structure = jax.tree.flatten(tree)
    return _Form(structure, tuple((leaf.shape, jnp.dtype(leaf.dtype)) for leaf in leaves))


@functools.lru_cache(maxsize=256)
def _expected_carry(cell: Cell, form: _Form, batch: Shape, in_features: Any, float_dtype: Any) -> Carry:
    """float_dtype: that of `jnp.zeros(...)`, which is another under `jax.enable_x64`, and so another cache entry."""
    params = jax.tree.unflatten(form.tree, [jax.ShapeDtypeStruct(*leaf) for leaf in form.leaves])
    given = {"key": jax.random.key(0), "in_features": in_features}
    return jax.eval_shape(lambda p: start_carry(cell, p, batch, **given), params)
