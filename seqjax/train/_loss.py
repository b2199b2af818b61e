"""Losses of any form brought into one: a total, a count, further metrics, and the gradient of total / count."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import cast_floats, cast_like
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError, ArgumentTypeError, closest
from seqjax.train.mean import Mean, as_mean
from seqjax.train.state import carry_key

PRECISIONS = ("bfloat16",)
RESERVED = ("loss", "norm", "skipped", "learning_rate")


class Outcome(NamedTuple):
    """Of one batch: the gradient of loss.value(), the loss, further metrics (a dict of `Mean`), the next carry."""

    grads: Any
    loss: Mean
    metrics: Any
    carry: Any


def gradient_of(
    loss: Callable[..., Any], accumulate: int, precision: str | None, carry: Callable[[Any, Any], Any] | None
) -> Callable[..., Outcome]:
    """A function of (params, batch, keys, carry, starts): what `make_train_step` does before it touches the optimiser.

    The total is differentiated, and the gradient divided by the count, which holds no parameters. So totals, counts
    and gradients of micro-batches add up to those of the whole batch.
    """

    def total(params: Any, batch: Any, key: Any, before: Any, starts: Any) -> tuple[Any, Any]:
        # The next part of a carry is a constant: gradients reach back to the beginning of the batch.
        params, batch = in_precision(params, batch, precision)
        if carry is None:
            mean, metrics = read_result(loss(params, batch, key), False)
            return mean.total, (mean, metrics, None)
        fresh = cast_like(carry(params, starts[1]), before)
        before = jax.tree.map(lambda new, old: jnp.where(starts[0], new, old), fresh, before)
        mean, metrics, after = read_result(loss(params, batch, key, before), True)
        return mean.total, (mean, metrics, cast_like(check_form("carry", after, before), before))

    def whole(*inputs: Any) -> tuple[Any, Any]:
        (_, rest), grads = jax.value_and_grad(total, has_aux=True)(*inputs)
        return grads, rest

    def parts(params: Any, batch: Any, key: Any, before: Any, starts: Any) -> tuple[Any, Any]:
        rows, keys = split_rows(batch, accumulate), jax.random.split(key, accumulate)

        def one(sums: Any, part: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, sums, whole(params, *part, None, None)), None

        first = jax.eval_shape(whole, params, *jax.tree.map(lambda leaf: leaf[0], (rows, keys)), None, None)
        sums = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), first)
        return lax.scan(one, sums, (rows, keys))[0]

    def outcome(params: Any, batch: Any, key: Any, before: Any, starts: Any) -> Outcome:
        run = whole if accumulate == 1 else parts
        grads, (mean, metrics, after) = run(params, batch, key, before, starts)
        grads = jax.tree.map(lambda g: g / mean.count.astype(g.dtype), grads)
        return Outcome(grads, mean, metrics, after)

    return outcome


def restart(key: Any, step: Any, starts: Any) -> tuple[Any, Any]:
    """What `gradient_of` needs to begin with a new carry: whether to, and the key of it."""
    return jnp.asarray(starts, bool), carry_key(key, step)


def in_precision(params: Any, batch: Any, precision: str | None) -> tuple[Any, Any]:
    """Parameters and the inputs of a `Batch` in the precision of computation."""
    if precision is None:
        return params, batch
    if isinstance(batch, Batch):
        batch = batch._replace(inputs=cast_floats(jax.tree.map(jnp.asarray, batch.inputs), precision))
    return cast_floats(params, precision), batch


def read_result(result: Any, has_carry: bool) -> tuple[Any, ...]:
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


def check_form(name: str, found: Any, wanted: Any) -> Any:
    """`found`, a tree of the structure and shapes of `wanted`.

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
    return found


def split_rows(batch: Any, count: int) -> Any:
    """Leaves `[B, ...]` as `[count, B / count, ...]`, part i having the rows i, i + count, ...

    So taken, rows that are divided among devices stay where they are.

    Raises:
        ArgumentError: B cannot be divided.
    """

    def one(path: Any, leaf: Any) -> jax.Array:
        rows = jnp.shape(leaf)[0] if jnp.ndim(leaf) else 0
        if rows == 0 or rows % count:
            raise ArgumentError(
                f"accumulate must divide the rows of the batch: batch{jax.tree_util.keystr(path)} has shape "
                f"{jnp.shape(leaf)} (rows first), accumulate is {count}"
            )
        return jnp.moveaxis(jnp.reshape(leaf, (rows // count, count, *leaf.shape[1:])), 1, 0)

    return jax.tree_util.tree_map_with_path(one, batch)


def check_precision(precision: Any) -> None:
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
