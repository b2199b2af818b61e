"""How the next tokens are chosen: what a strategy is, and what it sees.

Axes: `B` rows of the batch, `K` beams (1 for strategies without), `V` vocabulary, `L` room for generated tokens.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.spelling import Spelled
from seqjax._internal.types import Array, Bool, Float, Int, Key, PyTree
from seqjax.decode.generation import Generation
from seqjax.decode.history import History


class Sizes(NamedTuple):
    """What is known before the first step.

    batch: B. steps: L. vocabulary: V. dtype: of log-probabilities.
    seen: shape and dtype `[B, K, ...]` of each value that `watch` asks for.
    """

    batch: int
    steps: int
    vocabulary: int
    dtype: jnp.dtype
    seen: Mapping[str, jax.ShapeDtypeStruct]


class View(NamedTuple):
    """What a strategy sees in one step.

    logits, log_probs: `[B, K, V]`, of the model itself.
    process: all processors, `[B, K, V] -> [B, K, V]`; whether they see logits or log-probabilities is up to the
        strategy (as Hugging Face: logits where one text is written, log-probabilities in a beam search).
    history: the tokens so far. steps: int32, how many there shall be at most; `history.step + 1 == steps` is the last.
    keys: one for each row `[B]`, new in each step; meant for strategies with `draws`, None for others.
    seen: the values of the taps that `watch` names, by path, `[B, K, ...]`.
    stop: the stop tokens, possibly none. peak, log_sum: `[B, K]`, of which log_probs = logits - peak - log_sum is made.

        >>> import jax.numpy as jnp
        >>> from seqjax.decode import View
        >>> view = View(None, None, None, None, None, None, {}, (3, 4), None, None)
        >>> view.is_stop(jnp.array([2, 3, 4])).tolist(), view.fill
        ([False, True, True], 3)
    """

    logits: Float[Array, "B K V"]
    log_probs: Float[Array, "B K V"]
    process: Callable[[Array], jax.Array]
    history: History
    steps: Int[Array, ""]
    keys: Key[Array, " B"]
    seen: Mapping[str, Array]
    stop: tuple[int, ...]
    peak: Float[Array, "B K"]
    log_sum: Float[Array, "B K"]

    def gain(self, tokens: Int[Array, "B K"], ancestors: Int[Array, "B K"] | None = None) -> Float[jax.Array, "B K"]:
        """The log-probabilities of these tokens after their ancestors (None: each beam itself), as in `log_probs`.

        Whoever needs no others spares the exponentials of the whole vocabulary.
        """
        size = self.logits.shape[-1]
        peak, log_sum = jnp.asarray(self.peak), self.log_sum
        if ancestors is None:
            chosen = jnp.take_along_axis(self.logits, tokens[..., None], axis=-1)[..., 0]
            return chosen - peak - log_sum
        flat = jnp.asarray(self.logits).reshape(tokens.shape[0], -1)
        take = lambda values, index: jnp.take_along_axis(values, index, axis=-1)
        return take(flat, ancestors * size + tokens) - take(peak, ancestors) - take(log_sum, ancestors)

    @property
    def fill(self) -> int:
        """What is written after the end: the first stop token, or 0."""
        return self.stop[0] if self.stop else 0

    def is_stop(self, tokens: Int[Array, "..."]) -> Bool[jax.Array, "..."]:
        """Where the tokens are stop tokens."""
        found = jnp.zeros(tokens.shape, bool)
        for stop in self.stop:
            found |= tokens == stop
        return found


class Choice(NamedTuple):
    """What a strategy chose.

    tokens: int32 `[B, K]`, written, and read by the next step.
    ancestors: int32 `[B, K]`, the beam that each goes on from; None: each from itself.
    real: bool `[B, K]`, False where a token is only written to fill, so that its log-probability is 0.
    empty: bool `[B]`, True where processors have left no token to choose.
    """

    tokens: Int[Array, "B K"]
    ancestors: Int[Array, "B K"] | None
    real: Bool[Array, "B K"]
    empty: Bool[Array, " B"]


class Written(NamedTuple):
    """What the loop has written at its end: tokens and log_probs `[B, K, L]`, along the ancestors of each beam.

    history: the tokens again, with those of the prompt. stop, fill: as in `View`.
    """

    tokens: Int[Array, "B K L"]
    log_probs: Float[Array, "B K L"]
    history: History
    stop: tuple[int, ...]
    fill: int


class Strategy(Spelled):
    """A way to choose the next tokens: a frozen value, which prints as the call that makes it.

    The loop (`seqjax.decode.loop`) runs the cell on the last tokens, asks `select` for the next ones, moves what was
    written and the carries to their beams by `ancestors` (`Held` parts have no axis K and stay), and goes on until
    `steps` tokens are written or all rows are `done`. The first step too has K equal beams: a strategy with K > 1
    takes care that only the first counts. Rows whose logits are NaN, or which are `empty`, end by themselves, and get
    the score NaN.

    Both of the two most likely first tokens, each with what is most likely after it:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.decode import Choice, Generation, Strategy, generate
        >>> class TwoBest(Strategy):
        ...     beams = 2
        ...     def init(self, sizes):
        ...         return jnp.zeros((sizes.batch, 2))
        ...     def select(self, scores, view):
        ...         first = jax.lax.top_k(view.log_probs[:, 0], 2)[1]
        ...         tokens = jnp.where(view.history.step == 0, first, jnp.argmax(view.log_probs, axis=-1))
        ...         scores = scores + jnp.take_along_axis(view.log_probs, tokens[..., None], axis=-1)[..., 0]
        ...         return scores, Choice(tokens, None, jnp.ones(tokens.shape, bool), jnp.zeros(len(tokens), bool))
        ...     def done(self, scores):
        ...         return jnp.zeros(len(scores), bool)
        ...     def finish(self, scores, written):
        ...         count = jnp.full(scores.shape, written.history.step)
        ...         return Generation(written.tokens, count, scores, written.log_probs)
        >>> model = sj.stack(sj.Embed(6, 4), sj.GRU(4), sj.Dense(6))
        >>> params = model.init(jax.random.key(0), 0)
        >>> generate(model, params, jnp.array([1, 2, 3]), steps=4, strategy=TwoBest()).tokens.shape
        (3, 2, 4)
    """

    draws: ClassVar[bool] = False
    """Whether it draws random numbers, so that `generate` needs a key."""

    watch: ClassVar[tuple[str, ...]] = ()
    """The taps whose values it wants to see, by how their paths end, such as "weights"."""

    def __repr__(self) -> str:
        words = super().__repr__()
        return words[0].lower() + words[1:]

    @property
    def beams(self) -> int:
        """K, how many texts are written at once for each row."""
        return 1

    def check(self, vocabulary: int, steps: int, stop: tuple[int, ...]) -> None:
        """Refuse what it cannot write with; called before anything runs."""

    def init(self, sizes: Sizes) -> PyTree:
        """What it keeps from step to step, before the first: a tree of arrays whose first axis is B."""
        raise TypeError(f"{type(self).__name__} must define init(sizes)")

    def select(self, search: PyTree, view: View) -> tuple[PyTree, Choice]:
        """One step: what it keeps from now on, and the next tokens."""
        raise TypeError(f"{type(self).__name__} must define select(search, view)")

    def done(self, search: PyTree) -> Bool[jax.Array, " B"]:
        """Which rows need no further step."""
        raise TypeError(f"{type(self).__name__} must define done(search)")

    def finish(self, search: PyTree, written: Written) -> Generation:
        """The result."""
        raise TypeError(f"{type(self).__name__} must define finish(search, written)")


class Text(NamedTuple):
    """One text for each row, `[B]`: whether it has ended, how many tokens it has, the sum of log-probabilities."""

    ended: Bool[jax.Array, " B"]
    lengths: Int[jax.Array, " B"]
    scores: Float[jax.Array, " B"]


class Single(Strategy):
    """A strategy that writes one text for each row, up to the stop token: a subclass gives `choose`.

    The most likely of two kinds of tokens in turn, even ones and odd ones:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.decode import Single, generate
        >>> class InTurn(Single):
        ...     def choose(self, logits, view):
        ...         odd = jnp.arange(logits.shape[-1]) % 2
        ...         return jnp.argmax(jnp.where(odd == view.history.step % 2, logits, -jnp.inf), axis=-1)
        >>> model = sj.stack(sj.Embed(6, 4), sj.GRU(4), sj.Dense(6))
        >>> params = model.init(jax.random.key(0), 0)
        >>> tokens = generate(model, params, jnp.array([1, 2]), steps=4, strategy=InTurn()).tokens
        >>> (tokens % 2).tolist()
        [[0, 1, 0, 1], [0, 1, 0, 1]]
    """

    def choose(self, logits: Float[Array, "B V"], view: View) -> Int[jax.Array, " B"]:
        """The next token of each row; logits are those that the processors have left."""
        raise TypeError(f"{type(self).__name__} must define choose(logits, view)")

    def init(self, sizes: Sizes) -> Text:
        """No text has ended."""
        shape = (sizes.batch,)
        return Text(jnp.zeros(shape, bool), jnp.zeros(shape, jnp.int32), jnp.zeros(shape, sizes.dtype))

    def select(self, search: Text, view: View) -> tuple[Text, Choice]:
        """The token that `choose` gives; fill where the text has ended."""
        logits = view.process(view.logits)[:, 0]
        empty = jnp.all(logits == -jnp.inf, axis=-1)
        tokens = jnp.where(search.ended, view.fill, self.choose(logits, view).astype(jnp.int32))
        gained = view.gain(tokens[:, None])[:, 0]
        real = ~search.ended
        text = Text(
            search.ended | view.is_stop(tokens),
            search.lengths + real.astype(jnp.int32),
            search.scores + jnp.where(real, gained, 0),
        )
        return text, Choice(tokens[:, None], None, real[:, None], empty & real)

    def done(self, search: Text) -> Bool[jax.Array, " B"]:
        """Where the text has ended."""
        return search.ended

    def finish(self, search: Text, written: Written) -> Generation:
        """Without the axis of beams."""
        return Generation(written.tokens[:, 0], search.lengths, search.scores, written.log_probs[:, 0])


class Greedy(Single):
    """The most likely token; made by `greedy`."""

    def choose(self, logits: Float[Array, "B V"], view: View) -> Int[jax.Array, " B"]:
        """The first of the largest."""
        return jnp.argmax(logits, axis=-1)


def greedy() -> Greedy:
    """The most likely token in each step: argmax of the logits, the first of equal ones.

    >>> from seqjax import decode
    >>> decode.greedy(), decode.greedy().beams
    (greedy(), 1)
    """
    return Greedy()
