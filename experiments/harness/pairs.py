"""Strings of tokens to be read whole and then written again: data, answers, and what was right.

The order is "reverse", "copy", or "sum": the sums of all symbols up to each, modulo their number, so that an answer
depends on the one before.

Tokens are 0 ... symbols - 1, then the token that ends a string, then the one with which an answer begins. Source and
target both end with the end token, so a string of n symbols has n + 1 steps.
"""

import bisect
import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.harness.cells import count_parameters
from seqjax import Batch, decode, losses, train
from seqjax._internal.types import Array, Float, Int, Key, PyTree
from seqjax.seq2seq import EncoderDecoder, attend

ORDERS = ("reverse", "copy", "sum")


class Asked(Protocol):
    """What is asked, in strings of any size up to the longest."""

    @property
    def end(self) -> int:
        """The token that ends an answer."""

    def up_to(self, longest: int) -> "Asked":
        """The same with another longest size."""

    def sample(self, sizes: Int[Array, " B"], key: Key[Array, ""]) -> Batch:
        """Questions of these sizes, and their answers."""


class Strings(NamedTuple):
    """What is asked: `order` of ORDERS, over so many symbols, in strings of at most `longest` of them."""

    order: str
    symbols: int
    longest: int

    @property
    def end(self) -> int:
        """The token that ends a string."""
        return self.symbols

    @property
    def begin(self) -> int:
        """The token with which an answer begins."""
        return self.symbols + 1

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        return self.symbols + 2

    def up_to(self, longest: int) -> "Strings":
        """The same with another longest size."""
        return self._replace(longest=longest)

    def sample(self, sizes: Int[Array, " B"], key: Key[Array, ""]) -> Batch:
        """Strings of these sizes, with `longest + 1` steps."""
        at, sizes = jnp.arange(self.longest + 1)[None], jnp.asarray(sizes)[:, None]
        drawn = jax.random.randint(key, (len(sizes), self.longest + 1), 0, self.symbols)
        source = jnp.where(at < sizes, drawn, self.end)
        if self.order == "sum":
            sums = jnp.cumsum(drawn, axis=1) % self.symbols
            return Batch(source, jnp.where(at < sizes, sums, self.end), at <= sizes, sizes[:, 0] + 1)
        places = jnp.where(at < sizes, sizes - 1 - at, at) if self.order == "reverse" else at
        target = jnp.take_along_axis(source, jnp.broadcast_to(places, source.shape), axis=1)
        return Batch(source, target, at <= sizes, sizes[:, 0] + 1)

    def draw(self, batch_size: int, key: Key[Array, ""]) -> Batch:
        """A batch of training: each string as long as a draw from 1 ... longest says."""
        of_sizes, of_tokens = jax.random.split(key)
        return self.sample(jax.random.randint(of_sizes, (batch_size,), 1, self.longest + 1), of_tokens)


def recurrent(size: int, begin: int, width: int, name: str) -> EncoderDecoder:
    """A GRU over so many tokens with attention of this score, or, where it is "fixed", with the encoder's ends alone.

    The encoder is a bidirectional GRU of half the width in each direction, so that a dot product is possible.
    """
    encoder = sj.stack(sj.Embed(size, width), sj.bidirectional(sj.GRU(width // 2)))
    score, context = ("mean", "ends") if name == "fixed" else (name, None)
    decoder = sj.stack(sj.Embed(size, width), attend(sj.GRU(width), score), sj.Dense(size))
    return EncoderDecoder(encoder, decoder, begin=begin, context=context)


def match(model_of: Callable[[int], EncoderDecoder], parameters: int) -> EncoderDecoder:
    """The model of the width, a multiple of 4, whose number of parameters comes nearest."""

    def size(width: int) -> int:
        return count_parameters(model_of(width), 0)

    widths = range(4, 4 * (1 + math.isqrt(parameters) // 4), 4)  # a map of a width to itself is not larger
    at = bisect.bisect_left(widths, parameters, key=size)
    near = widths[max(0, at - 1) : at + 1]
    return model_of(min(near, key=lambda width: abs(size(width) - parameters)))


def grown(longest: int, step: int, steps: int) -> int:
    """The size of a curriculum at an update: from 1 to the longest over half of all updates."""
    return min(longest, 1 + 2 * step * longest // steps)


def nats(model: EncoderDecoder, params: PyTree, batch: Batch, key: Key[Array, ""] | None) -> train.Mean:
    """Cross-entropy in nats a token that counts, the tokens before it given."""
    loss, _ = train.make_loss(model, losses.cross_entropy)(params, batch, key)
    return loss


def answers(model: EncoderDecoder, params: PyTree, batch: Batch, steps: int, end: int) -> Int[jax.Array, "B L"]:
    """What the model writes, the likeliest token each time; after the end token there are more of them."""
    rows, still = len(batch.inputs), model.evaluation()
    assert isinstance(still, EncoderDecoder)  # as switching dropout off leaves it
    carry = still.initial_carry(params, (rows,), source=(batch.inputs, batch.lengths))
    found = decode.generate(still, params, jnp.full(rows, model.begin), steps=steps, stop=end, carry=carry)
    return jnp.asarray(found.tokens)


def right(tokens: Int[Array, "B L"], batch: Batch) -> tuple[Float[np.ndarray, " B"], Float[np.ndarray, " B"]]:
    """Of each row: whether the whole answer is right, to its end token; and the share of its tokens that are."""
    tokens, counts = np.asarray(tokens), np.asarray(batch.weights)
    targets = np.asarray(batch.targets)[:, : tokens.shape[1]]
    same = (tokens[:, : targets.shape[1]] == targets) & counts[:, : targets.shape[1]]
    steps = counts.sum(1)
    return same.sum(1) == steps, same.sum(1) / steps


def by_length(
    model: EncoderDecoder, params: PyTree, strings: Asked, sizes: tuple[int, ...], count: int, seed: int
) -> dict[int, tuple[float, float]]:
    """Of `count` fresh strings of each size, what share is answered without a mistake, and of tokens.

    All are padded to one length, so that one program answers them.
    """
    longest = strings.up_to(max(sizes))
    found = {}
    for size in sizes:
        batch = longest.sample(jnp.full(count, size), jax.random.fold_in(jax.random.key(seed), size))
        steps = np.shape(batch.targets)[1]
        whole, each = right(answers(model, params, batch, steps, strings.end), batch)
        found[size] = float(whole.mean()), float(each.mean())
    return found
