"""A decoder that may read what it has said itself."""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Bool, Carry, Float, Int, Key, Pair, Params, PyTree, Shape
from seqjax._internal.validation import check_batch_shape, check_causal, check_given, check_key
from seqjax.core import taps
from seqjax.core.cell import Cell, Limit
from seqjax.core.start import start_carry
from seqjax.core.wrapper import Wrapper
from seqjax.errors import ArgumentError, ArgumentTypeError, closest

SAMPLES = ("argmax", "sample")
AXES = {"token": 0, "own": 0}


class FeedbackCarry(NamedTuple):
    """The carry of the cell, its last own token `[B]`, and where it draws, a key for each example and steps so far."""

    state: Carry
    token: Int[jax.Array, "*B"]
    key: PyTree
    steps: PyTree


class Feedback(Wrapper):
    """A decoder on token ids that reads, where it is told so, its own last token in place of the given one.

        token_t = own token of step t-1, where own_t, else x_t;    logits_t = cell(token_t)

    Inputs `{"token": ids [B, T], "own": bool [B, T]}`; outputs are the ids `[B, T]` that were read. They carry no
    gradient: what a model learns from, `unroll` computes from them with one `scan`. In a first step the own token is 0.

    Args:
        cell: a causal cell that takes token ids and gives logits `[B, V]`.
        sample: "argmax", the token of the largest logit, or "sample", drawn from softmax(logits) with a key of the
            example and the number of the step, so that neither padding nor the cutting into chunks changes it.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.seq2seq import Feedback
        >>> successor = sj.stack(sj.Embed(5, 5), sj.Dense(5))  # says the token after the one it reads
        >>> params = {"0": {"table": jnp.eye(5)}, "1": {"kernel": jnp.roll(jnp.eye(5), 1, 1), "bias": jnp.zeros(5)}}
        >>> inputs = {"token": jnp.array([3, 0, 0, 0]), "own": jnp.array([False, True, True, False])}
        >>> sj.scan(Feedback(successor), params, inputs)[1].tolist()
        [3, 4, 0, 0]

    Raises:
        ArgumentError, ArgumentTypeError: another word for `sample`; a cell that takes vectors, or gives no logits of
            the tokens that it takes.
    """

    sample: str = "argmax"
    feature_axes: ClassVar[Any] = AXES

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sample(self.sample)
        check_speaker("Feedback", self.cell)

    @property
    def asks(self) -> frozenset[str]:
        return super().asks | ({"key"} if self.sample == "sample" else set())

    @property
    def out_features(self) -> None:
        return None

    def size(self, in_features: int) -> int:
        """0: ids have no features."""
        return 0

    def initial_carry(self, params: Params, batch_shape: Shape = (), **given: PyTree) -> FeedbackCarry:
        """That of the cell, token 0, and keys if tokens are drawn."""
        check_given(self, given)
        check_batch_shape(self, batch_shape)
        if self.sample == "sample":
            check_key(self, given.get("key"))
        keys = row_keys(given["key"], batch_shape) if self.sample == "sample" else None
        return self.begin(start_carry(self.cell, params, batch_shape, **given), batch_shape, keys)

    def begin(self, carry: Carry, batch_shape: Shape, keys: Key[Array, "*B"] | None) -> FeedbackCarry:
        """The same around a carry of the cell; keys, where it draws: one for each example."""
        token = jnp.zeros(batch_shape, jnp.int32)
        if keys is None or self.sample == "argmax":
            return FeedbackCarry(carry, token, (), ())
        return FeedbackCarry(carry, token, keys, jnp.zeros(batch_shape, jnp.int32))

    def restart(self, params: Params, carry: FeedbackCarry, batch_shape: Shape) -> FeedbackCarry:
        """The carry of a new sequence; keys go on."""
        state = self.cell.restart(params, carry.state, batch_shape)
        return carry._replace(state=state, token=jnp.zeros(batch_shape, jnp.int32))

    def limits(self, carry: FeedbackCarry | None) -> Iterator[Limit]:
        return self.cell.limits(None if carry is None else carry.state)

    def check_input(self, xs: PyTree, mask: Bool[Array, "..."] | None, values: bool) -> None:
        """Ids that the cell takes, and flags."""
        if xs["own"].dtype != bool:
            raise ArgumentTypeError(f"{self!r}: own must be bool, True for its own token, found {xs['own'].dtype}")
        self.cell.check_input(xs["token"], mask, values)

    def step(self, params: Params, carry: FeedbackCarry, x: PyTree) -> Pair:
        """Choose what to read, read it, and choose what would be said."""
        check_causal(self)
        given = x["token"].astype(wide(x["token"]))
        token = jnp.where(x["own"], carry.token.astype(given.dtype), given)
        state, logits = taps.tap_step(self.cell, params, carry.state, token)
        check_logits(self.cell, logits)
        said = say(logits, carry.key, carry.steps) if self.sample == "sample" else say(logits)
        steps = carry.steps + 1 if self.sample == "sample" else ()
        return FeedbackCarry(state, said.astype(carry.token.dtype), carry.key, steps), token


def say(
    logits: Float[Array, "*B V"], keys: Key[Array, "*B"] | None = None, steps: Int[Array, "*B"] | None = None
) -> Int[jax.Array, "*B"]:
    """The token of the largest logit; or, given keys and the numbers of the steps, one drawn from softmax(logits)."""
    if keys is None or steps is None:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    draw = lambda key, step, row: jax.random.categorical(jax.random.fold_in(key, 2 * step + 1), row)
    for _ in range(keys.ndim):
        draw = jax.vmap(draw)
    return draw(keys, steps, logits).astype(jnp.int32)


def row_keys(key: Key[Array, ""], shape: Shape) -> Key[jax.Array, "*B"]:
    """A key for each example."""
    return jax.random.split(key, shape)


def wide(ids: Array) -> jnp.dtype:
    """The dtype of ids that holds own tokens as well."""
    return jnp.promote_types(ids.dtype, jnp.int32)


def check_sample(sample: object) -> None:
    """Refuse another word than "argmax" or "sample"."""
    if sample not in SAMPLES:
        raise ArgumentError(f'sample must be "argmax" or "sample", found {sample!r}.{closest(str(sample), SAMPLES)}')


def check_speaker(name: str, cell: Cell) -> None:
    """Refuse a cell that does not take token ids, step by step."""
    check_causal(cell)
    if cell.feature_axes != 0:
        raise ArgumentTypeError(
            f"{name}: {cell!r} takes vectors, and what a model says are token ids. Put Embed(vocabulary, "
            "features) first"
        )


def check_logits(cell: Cell, logits: PyTree) -> None:
    """Refuse outputs that are no logits of the tokens that the cell takes."""
    if not hasattr(logits, "dtype") or not jnp.issubdtype(logits.dtype, jnp.floating) or logits.ndim == 0:
        raise ArgumentTypeError(f"{cell!r} gives no logits [..., V], so that it cannot be fed what it says")
    largest = np.full((1,), logits.shape[-1] - 1, np.int32)
    try:
        cell.check_input(largest, None, True)
    except ArgumentError as error:
        raise ArgumentError(
            f"{cell!r} gives logits of {logits.shape[-1]} tokens, not all of which it can read: {error}"
        ) from None
