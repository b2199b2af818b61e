"""Losses of any form brought into one: a total, a count, further metrics, and the gradient of total / count."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import KeyPath

from seqjax._internal.trees import cast_floats, cast_like
from seqjax._internal.types import Array, Bool, Key, PyTree
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError, ArgumentTypeError, closest
from seqjax.train.mean import Mean, as_mean

PRECISIONS = ("bfloat16",)
RESERVED = ("loss", "norm", "skipped", "learning_rate")


class Outcome(NamedTuple):
    """Of one batch: the gradient of loss.value(), the loss, further metrics by name, the next carry."""

    grads: PyTree
    loss: Mean
    metrics: dict[str, Mean]
    carry: PyTree


class Restart(NamedTuple):
    """Whether a batch begins with a new carry, and the key that the carry is made of."""

    now: Bool[Array, ""]
    key: Key[Array, ""]


def gradient_of(
    loss: Callable[..., PyTree],
    accumulate: int,
    precision: str | None,
    carry: Callable[[PyTree, Key[Array, ""]], PyTree] | None,
) -> Callable[[PyTree, PyTree, Key[Array, ""], PyTree, Restart | None], Outcome]:
    """A function of (params, batch, key, carry, restart): what a step does before it touches the optimiser.

    The total is differentiated, and the gradient divided by the count, which holds no parameters:
    d(total / count) = d(total) / count. So totals, counts and gradients of micro-batches add up to those of the whole
    batch, whatever their weights.
    """

    def total(params: PyTree, batch: PyTree, key: Key[Array, ""], before: PyTree, restart: Restart | None) -> PyTree:
        params, batch = in_precision(params, batch, precision)
        if carry is None or restart is None:
            mean, metrics = read_result(loss(params, batch, key), False)
            return mean.total, (mean, metrics, None)
        # A new carry may be made of the parameters (a learned one), so it is made inside what is differentiated. One
        # handed on is an input: gradients end where the batch begins.
        fresh = cast_like(carry(params, restart.key), before)
        before = jax.tree.map(lambda new, old: jnp.where(restart.now, new, old), fresh, before)
        mean, metrics, after = read_result(loss(params, batch, key, before), True)
        check_form("carry", after, before)
        return mean.total, (mean, metrics, cast_like(after, before))

    def whole(
        params: PyTree, batch: PyTree, key: Key[Array, ""], before: PyTree, restart: Restart | None
    ) -> tuple[PyTree, PyTree]:
        (_, rest), grads = jax.value_and_grad(total, has_aux=True)(params, batch, key, before, restart)
        return grads, rest

    def parts(params: PyTree, batch: PyTree, key: Key[Array, ""]) -> tuple[PyTree, PyTree]:
        rows, keys = split_rows(batch, accumulate), jax.random.split(key, accumulate)

        def one(sums: PyTree, part: PyTree) -> tuple[PyTree, None]:
            return jax.tree.map(jnp.add, sums, whole(params, part[0], part[1], None, None)), None

        first = jax.eval_shape(whole, params, *jax.tree.map(lambda leaf: leaf[0], (rows, keys)), None, None)
        sums = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), first)
        return lax.scan(one, sums, (rows, keys))[0]

    def outcome(params: PyTree, batch: PyTree, key: Key[Array, ""], before: PyTree, restart: Restart | None) -> Outcome:
        found = whole(params, batch, key, before, restart) if accumulate == 1 else parts(params, batch, key)
        grads, (mean, metrics, after) = found
        grads = jax.tree.map(lambda g: g / mean.count.astype(g.dtype), grads)
        return Outcome(grads, mean, metrics, after)

    return outcome


def in_precision(params: PyTree, batch: PyTree, precision: str | None) -> tuple[PyTree, PyTree]:
    """Parameters and the inputs of a `Batch` in the precision of computation."""
    if precision is None:
        return params, batch
    is_batch = lambda node: isinstance(node, Batch)

    def cast(node: PyTree) -> PyTree:
        """A batch, which may be a part of another value, as that of `Scheduled`."""
        if not is_batch(node):
            return node
        return node._replace(inputs=cast_floats(jax.tree.map(jnp.asarray, node.inputs), precision))

    return cast_floats(params, precision), jax.tree.map(cast, batch, is_leaf=is_batch)


def read_result(result: PyTree, has_carry: bool) -> tuple[PyTree, ...]:
    """(loss, metrics) or (loss, metrics, carry), loss and metrics as means.

    Raises:
        ArgumentError, ArgumentTypeError: another number of values, or one of another kind.
    """
    values = result if isinstance(result, tuple) and not isinstance(result, Mean) else (result,)
    forms = "(loss, carry) or (loss, carry, metrics)" if has_carry else "loss or (loss, metrics)"
    if not has_carry + 1 <= len(values) <= has_carry + 2:
        slip = " A loss with a carry? Pass carry=" if len(values) == 3 else ""
        raise ArgumentError(f"loss must return {forms}, found {len(values)} values.{slip}")
    mean = as_mean("loss", values[0])
    kind = jnp.result_type(values[0].total if isinstance(values[0], Mean) else values[0])
    if not jnp.issubdtype(kind, jnp.floating):
        raise ArgumentTypeError(f"loss must be floating point, found {kind}")
    metrics = values[has_carry + 1] if len(values) == has_carry + 2 else {}
    if not isinstance(metrics, dict):
        slip = "" if has_carry else " A loss with a carry? Pass carry="
        raise ArgumentTypeError(
            f"loss must return {forms}, with metrics a dict of scalars or Means, found {type(metrics).__name__}.{slip}"
        )
    if taken := sorted(set(metrics) & set(RESERVED)):
        raise ArgumentError(f"loss returned a metric named {taken[0]!r}, which is one of the step's own. Rename it")
    named = {name: as_mean(f"metric {name!r} of loss", value) for name, value in metrics.items()}
    return (mean, named, values[1]) if has_carry else (mean, named)


def check_form(name: str, found: PyTree, wanted: PyTree) -> None:
    """Two trees of one structure, their leaves of the same shapes.

    Raises:
        ArgumentError: it is another.
    """
    shapes = [
        (jax.tree.structure(tree), [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (found, wanted)
    ]
    if shapes[0] != shapes[1]:
        raise ArgumentError(
            f"{name} returned by loss has the structure and shapes {shapes[0]}, expected those that it was given, "
            f"{shapes[1]}. Another batch size?"
        )


def split_rows(batch: PyTree, count: int) -> PyTree:
    """Leaves `[B, ...]` as `[count, B / count, ...]`, part i having the rows i, i + count, ...

    So taken, rows that are divided among devices stay where they are.

    Raises:
        ArgumentError: B cannot be divided.
    """

    def one(path: KeyPath, leaf: Array) -> jax.Array:
        rows = jnp.shape(leaf)[0] if jnp.ndim(leaf) else 0
        if rows == 0 or rows % count:
            raise ArgumentError(
                f"accumulate must divide the rows of the batch: batch{jax.tree_util.keystr(path)} has shape "
                f"{jnp.shape(leaf)} (rows first), accumulate is {count}"
            )
        return jnp.moveaxis(jnp.reshape(leaf, (rows // count, count, *leaf.shape[1:])), 1, 0)

    return jax.tree_util.tree_map_with_path(one, batch)


def check_precision(precision: object) -> None:
    """None or "bfloat16".

    Raises:
        ArgumentError: another.
    """
    if precision is None or precision in PRECISIONS:
        return
    if precision == "float16":
        raise ArgumentError(
            'precision "float16" is not offered: its smallest number is 6e-8, so gradients through time become 0 '
            'unless the loss is scaled. Take "bfloat16", which has the range of float32'
        )
    raise ArgumentError(
        f'precision must be None or "bfloat16", found {precision!r}.{closest(str(precision), PRECISIONS)}'
    )
