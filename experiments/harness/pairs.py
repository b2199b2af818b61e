"""Strings of tokens to be read whole and then written again: data, answers, and what was right.

The order is "reverse", "copy", or "sum": the sums of all symbols up to each, modulo their number, so that an answer
depends on the one before.

Tokens are 0 ... symbols - 1, then the token that ends a string, then the one with which an answer begins. Source and
target both end with the end token, so a string of n symbols has n + 1 steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import Batch, decode, losses, train
from seqjax._internal.types import Array, Float, Int, Key, PyTree
from seqjax.seq2seq import EncoderDecoder

ORDERS = ("reverse", "copy", "sum")


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
    model: EncoderDecoder, params: PyTree, strings: Strings, sizes: tuple[int, ...], count: int, seed: int
) -> dict[int, tuple[float, float]]:
    """Of `count` fresh strings of each size, what share is answered without a mistake, and of tokens.

    All are padded to one length, so that one program answers them.
    """
    longest = strings._replace(longest=max(sizes))
    found = {}
    for size in sizes:
        batch = longest.sample(jnp.full(count, size), jax.random.fold_in(jax.random.key(seed), size))
        whole, each = right(answers(model, params, batch, max(sizes) + 1, strings.end), batch)
        found[size] = float(whole.mean()), float(each.mean())
    return found
