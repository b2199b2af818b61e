"""How the chance of own tokens reaches a loss: in the batch, so that a schedule changes no program."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Float, Int
from seqjax._internal.validation import real_number
from seqjax.batching.batch import Batch
from seqjax.batching.source import Batches
from seqjax.core.cell import Cell
from seqjax.core.wrapper import Wrapper
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.seq2seq import Feed, scheduled
from seqjax.seq2seq.feeds import check_feed


class ScheduledBatch(NamedTuple):
    """A batch, and the chance p `[B]`, float32, that a token of it is the model's own."""

    batch: Batch
    p: Float[Array, " B"]


@dataclass(frozen=True)
class Scheduled:
    """A source whose batch `step` brings along p(step), for a loss made with `feed=scheduled` or `feed=two_pass`.

    Args:
        source: with `batch(step)`, as `batching.Shuffled`.
        p: a function of the step, a number in [0, 1], such as `seq2seq.inverse_sigmoid(1000)`.

    Raises:
        ArgumentTypeError: p is no function; in `batch`, no number, or the source gives no `Batch`.
        ArgumentError: in `batch`, a p outside [0, 1].

    Examples:
        >>> import jax, numpy as np, optax
        >>> from seqjax import GRU, Dense, Embed, batching, losses, seq2seq, stack, train
        >>> model = stack(Embed(5, 4), GRU(8), Dense(5))
        >>> source = batching.Shuffled(np.arange(60).reshape(6, 10) % 5, None, 3)
        >>> loss = train.make_loss(model, losses.cross_entropy, feed=seq2seq.scheduled)
        >>> step = train.make_train_step(loss, optax.adam(1e-2))
        >>> state = step.init(model.init(jax.random.key(0), 0), jax.random.key(1))
        >>> growing = train.Scheduled(source, lambda step: min(step / 100, 1.0))
        >>> growing.batch(50).p.tolist()
        [0.5, 0.5, 0.5]
        >>> train.fit(step, state, growing, steps=4, progress=False).state.step.item()
        4
    """

    source: Batches
    p: Callable[[int], Any]

    def __post_init__(self) -> None:
        if not callable(self.p):
            raise ArgumentTypeError(
                f"p must be a function of the step, found {self.p!r}. The same p always? make_loss(feed=scheduled(p))"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch of the source."""
        return self.source.steps_per_epoch  # type: ignore[attr-defined]

    def batch(self, step: int, index: int = 0, count: int = 1) -> ScheduledBatch:
        """Batch number `step`; of `count` processes the rows of process `index`."""
        batch = self.source.batch(step) if count == 1 else self.source.batch(step, index, count)  # type: ignore[call-arg]
        if not isinstance(batch, Batch):
            raise ArgumentTypeError(f"Scheduled: the source must give a Batch, found {type(batch).__name__}")
        p = real_number(f"p({step})", self.p(step))
        if not 0 <= p <= 1:
            raise ArgumentError(f"p({step}) must be in [0, 1], found {p}")
        return ScheduledBatch(batch, np.full(len(batch.lengths), p, np.float32))


def check_maker(feed: object) -> None:
    """Refuse what is neither a feed nor a function that makes one of p."""
    if not callable(feed):
        check_feed(feed)


def feed_of(feed: Feed | Callable[[Array], Feed], batch: object) -> tuple[Batch, Feed]:
    """The batch itself, and the feed for it.

    Raises:
        ArgumentError, ArgumentTypeError: no batch, or a feed without p for a batch without it, or both with one.
    """
    inner = batch.batch if isinstance(batch, ScheduledBatch) else batch
    if not isinstance(inner, Batch):
        raise ArgumentTypeError(
            f"batch must be a Batch, found {type(inner).__name__}. Write Batch(inputs, targets, weights, lengths)"
        )
    if not isinstance(batch, ScheduledBatch):
        if isinstance(feed, Feed):
            return inner, feed
        raise ArgumentError(
            "loss: the feed has no p, and neither has the batch. Train on train.Scheduled(source, p), and evaluate "
            "with a loss of its own, made with feed=teacher() or free()"
        )
    if isinstance(feed, Feed):
        raise ArgumentError(f"loss: the batch brings a p along, but feed is {feed!r}. Write feed={scheduled.__name__}")
    made = feed(jnp.asarray(batch.p)[:, None])
    check_feed(made)
    return inner, made


def shift_targets(cell: Cell, batch: Batch) -> tuple[Int[Array, "B T"], Int[Array, " B"]]:
    """What a decoder reads, the targets behind `begin`, and how many steps there are up to the last that counts.

    Raises:
        ArgumentError, ArgumentTypeError: targets that are no token ids for each step.
    """
    targets, weights = jnp.asarray(batch.targets), jnp.asarray(batch.weights)
    if targets.ndim != 2 or weights.shape != targets.shape or not jnp.issubdtype(targets.dtype, jnp.integer):
        raise ArgumentError(
            f"loss: {type(cell).__name__} needs targets of token ids [B, T] with weights [B, T], found targets "
            f"{targets.dtype} {targets.shape} and weights {weights.shape}. Made with batching.Shuffled(sources, "
            "targets, ..., pairs=True)?"
        )
    steps = jnp.arange(1, targets.shape[1] + 1, dtype=jnp.int32)
    lengths = jnp.max(jnp.where(weights != 0, steps[None], 0), axis=1)
    begin = jnp.full_like(targets[:, :1], _begin_of(cell))
    return jnp.concatenate([begin, targets[:, :-1]], axis=1), lengths


def _begin_of(cell: Cell) -> int:
    """The id that targets begin with."""
    while isinstance(cell, Wrapper) and not hasattr(cell, "begin"):
        cell = cell.cell
    found = getattr(cell, "begin", None)
    if found is None:
        raise ArgumentError(f"loss: {cell!r} asks for a source, but has no `begin`, the id that a target begins with")
    return int(found)
