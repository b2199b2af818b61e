"""From a cell to a loss: what a model's outputs are compared with, and which of them count."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Carry, Float, Key, PyTree
from seqjax.batching.batch import Batch
from seqjax.core.cell import Cell, check_cell_type
from seqjax.core.scan import scan, scan_fresh
from seqjax.core.start import start_carry
from seqjax.errors import ArgumentError, ArgumentTypeError, closest
from seqjax.losses import last
from seqjax.seq2seq import Feed, choose_inputs, teacher
from seqjax.train.mean import Mean
from seqjax.train.scheduled import ScheduledBatch, check_maker, feed_of, shift_targets

Elementwise = Callable[[Float[Array, "..."], Any], Float[Array, "..."]]
AT = ("each", "last")


def make_loss(
    cell: Cell,
    compare: Elementwise,
    *,
    at: str = "each",
    metrics: Mapping[str, Elementwise] | None = None,
    feed: Feed | Callable[[Array], Feed] = teacher(),
) -> Callable[..., tuple[Any, ...]]:
    """The loss of a cell on a `Batch`, for `make_train_step` and `evaluate`.

        outputs = scan(cell, params, batch.inputs, lengths=batch.lengths)
        loss    = sum(weights * compare(outputs, targets)) / sum(weights)

    A cell that asks for a source (`seq2seq.EncoderDecoder`) takes batches with `pairs=True`: inputs are the source,
    and what it is run over are the targets, shifted by one behind its `begin`. Steps after the last target that counts
    are padding.

        carry   = cell.initial_carry(params, (B,), source=(batch.inputs, batch.lengths))
        outputs = scan(cell, params, [begin, targets[:-1]], carry)

    Args:
        cell: the model. Its random parts draw from the step's key; give `cell.evaluation()` to evaluate.
        compare: a function of `seqjax.losses` or of that form: outputs and targets in, a number for each target out.
        at: "each" compares the output of each step with the target of that step; "last" compares the output of the
            last real step with the target of the sequence. A target of several numbers, as the steps of a forecast
            `[B, horizon, columns]`, is compared with `horizon * columns` outputs.
        metrics: further functions of that form by name, reported beside the loss.
        feed: what a model over token ids reads, as in `seq2seq.unroll`: `teacher()`, `free()`, `scheduled(p)` or
            `two_pass(p)`; or one of the latter two without its p, or another function of p `[B, 1]`, for batches of
            `Scheduled`, which bring it along. Coins are thrown with the step's key, so evaluate with one of the former.

    Returns:
        A function of (params, batch, key), which returns the loss as a `Mean`, and a dict of the metrics. Given a
        carry as the fourth argument, as a step and `evaluate` with `carry=` do, it returns (loss, carry, metrics).

    Raises:
        ArgumentError, ArgumentTypeError: not a cell, or no function; in the loss, no `Batch`, targets that are not
            those of pairs, or outputs that do not fit the targets.

    >>> import jax, jax.numpy as jnp
    >>> from seqjax import GRU, Batch, Dense, losses, stack
    >>> model = stack(GRU(4), Dense(2))
    >>> params = model.init(jax.random.key(0), 3)
    >>> loss = make_loss(model, losses.cross_entropy, at="last", metrics={"accuracy": losses.accuracy})
    >>> batch = Batch(jnp.zeros((5, 7, 3)), jnp.zeros(5, int), jnp.ones(5, bool), jnp.full(5, 7))
    >>> mean, metrics = loss(params, batch, None)
    >>> round(float(mean.value()), 4), float(metrics["accuracy"].value())  # nothing comes in: both classes are equal
    (0.6931, 1.0)
    """
    check_cell_type("make_loss", cell)
    check_at(at)
    check_maker(feed)
    if at == "last" and "source" in cell.asks:
        raise ArgumentError(f'make_loss: {cell!r} has an output for each step of the target; leave out at="last"')
    metrics = {} if metrics is None else metrics
    if not isinstance(metrics, Mapping):
        raise ArgumentTypeError(
            f'metrics must be a dict of functions by name, as {{"accuracy": losses.accuracy}}, found {metrics!r}'
        )
    named = {"compare": compare, **{f"metrics[{name!r}]": f for name, f in metrics.items()}}
    for name, function in named.items():
        if not callable(function):
            raise ArgumentTypeError(f"{name} must be a function, as losses.cross_entropy, found {function!r}")

    def loss(
        params: PyTree, batch: Batch | ScheduledBatch, key: Key[Array, ""] | None, carry: Carry = None
    ) -> tuple[Any, ...]:
        inner, now = feed_of(feed, batch)
        run = _outputs_of_pairs if "source" in cell.asks else _outputs
        after, outputs = run(at, cell, params, inner, key, carry, now)
        if at == "last" and jnp.ndim(inner.targets) > 1:
            outputs = _reshape(outputs, jnp.shape(inner.targets))
        means = {name: Mean.of(f(outputs, inner.targets), inner.weights) for name, f in metrics.items()}
        mean = Mean.of(compare(outputs, inner.targets), inner.weights)
        return (mean, means) if carry is None else (mean, after, means)

    return loss


def _outputs(
    at: str, cell: Cell, params: PyTree, batch: Batch, key: Any, carry: Carry, feed: Feed
) -> tuple[Carry, Float[Array, "..."]]:
    """Those of the inputs, or of what is fed in their place."""
    inputs = batch.inputs
    if feed.how != "teacher":
        inputs = choose_inputs(cell, params, inputs, feed, carry, key=key, lengths=batch.lengths)
    return outputs_at(at, cell, params, inputs, batch.lengths, key, carry)


def _outputs_of_pairs(
    at: str, cell: Cell, params: PyTree, batch: Batch, key: Any, carry: Carry, feed: Feed
) -> tuple[Carry, Float[Array, "..."]]:
    """Those of the steps of the target, after its source."""
    if carry is not None:
        raise ArgumentError(
            "loss: a carry was given to a cell that makes one of the source of each batch. Leave it out"
        )
    inputs, lengths = shift_targets(cell, batch)
    source = (jnp.asarray(batch.inputs), jnp.asarray(batch.lengths))
    start = start_carry(cell, params, jnp.shape(batch.lengths), source=source, key=key)
    if feed.how != "teacher":
        inputs = choose_inputs(cell, params, inputs, feed, start, key=key, lengths=lengths)
    return scan_fresh(cell, params, inputs, start, lengths=lengths)


def outputs_at(
    at: str, cell: Cell, params: PyTree, inputs: PyTree, lengths: Any, key: Any, carry: Carry = None
) -> tuple[Carry, Float[Array, "..."]]:
    """The carry after the last real step, and the outputs of each step `[B, T, F]`, or of the last real one `[B, F]`.

    Where no step is real, of the first. A carry that is given has keys of its own; `key` is for a new one.
    """
    if carry is None and "key" in cell.asks:
        start = start_carry(cell, params, jnp.shape(lengths), key=key, in_features=jnp.shape(inputs)[-1])
        after, outputs = scan_fresh(cell, params, inputs, start, lengths=lengths)
    else:
        after, outputs = scan(cell, params, inputs, carry, lengths=lengths)
    return after, outputs if at == "each" else last(outputs, jnp.maximum(lengths, 1))


def check_at(at: Any) -> None:
    """Refuse what is neither "each" nor "last"."""
    if at not in AT:
        raise ArgumentError(f'at must be "each" or "last", found {at!r}.{closest(str(at), AT)}')


def _reshape(outputs: Any, shape: tuple[int, ...]) -> jax.Array:
    if outputs.size != math.prod(shape):
        raise ArgumentError(
            f"the last outputs have shape {outputs.shape} and the targets {shape}. A model that forecasts "
            f"{' x '.join(map(str, shape[1:]))} numbers ends in Dense({math.prod(shape[1:])})"
        )
    return outputs.reshape(shape)
