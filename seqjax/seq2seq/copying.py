"""Words written or copied: an output over the vocabulary and the words of the source.

Axes: `B` batch (any number of axes, also none), `S` steps of the source, `F` features of a decoder, `V` vocabulary.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.trees import out_dtype
from seqjax._internal.types import Array, Carry, DTypeLike, Float, Int, Key, Pair, Params, PyTree, Shape
from seqjax._internal.validation import check_counts, check_key, known
from seqjax.attention.terms import wide_dtype
from seqjax.combinators.stack import Stack
from seqjax.core import taps
from seqjax.core.cell import Cell
from seqjax.core.gating import linear
from seqjax.core.plan import Plan
from seqjax.core.start import init_params
from seqjax.core.wrapper import Wrapper
from seqjax.errors import ArgumentError
from seqjax.initializers import glorot
from seqjax.seq2seq.attend import Attend
from seqjax.seq2seq.carry import AttendCarry, Source
from seqjax.seq2seq.checks import check_parts


class Copying(Wrapper):
    """A decoder whose output writes a word or copies one; made by `copying`.

    Parameters: "cell", "generator" {kernel `[F, V]`, bias} and "gate" {kernel `[F, 1]`, bias}. The carry is the cell's.

        >>> import jax
        >>> import seqjax as sj
        >>> from seqjax.seq2seq import attend, copying
        >>> cell = copying(sj.stack(sj.Embed(12, 4), attend(sj.GRU(4))), 10, extra=2)
        >>> sorted(cell.init(jax.random.key(0), 0)), cell.out_features
        (['cell', 'gate', 'generator'], 12)
    """

    vocabulary: int
    extra: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, vocabulary=1, extra=0)
        _show(self.cell)

    def __repr__(self) -> str:
        return "copying" + super().__repr__().removeprefix(type(self).__name__)

    @property
    def out_features(self) -> int:
        """V and the words that only a source has."""
        return self.vocabulary + self.extra

    def size(self, in_features: int) -> int:
        return self.out_features

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """The parameters of the cell, of the words and of the choice between writing and copying."""
        check_key(self, key)
        features = self.cell.size(in_features)
        inner, *keys = jax.random.split(key, 3)
        maps = {"generator": self.vocabulary, "gate": 1}
        return {"cell": init_params(self.cell, inner, in_features, dtype)} | {
            name: {"kernel": glorot()(k, (features, size), dtype), "bias": jnp.zeros(size, dtype)}
            for k, (name, size) in zip(keys, maps.items())
        }

    def initial_carry(self, params: Params, batch_shape: Shape = (), **given: PyTree) -> Carry:
        """That of the cell.

        Raises:
            ArgumentError: a memory without tokens, or (where they are known) with others than V + extra.
        """
        check_parts(self, params, "cell", "generator", "gate")
        carry = super().initial_carry(params["cell"], batch_shape, **given)
        source = _find_source(self.cell, carry)
        if source.tokens is None:
            raise ArgumentError(
                f"{self!r} copies tokens of the source, but its memory has none: encode ids, or Memory(..., tokens=ids)"
            )
        if known(source.tokens) and source.tokens.size:
            ids = np.asarray(source.tokens)  # zero where they are not real
            wrong = ids.min() if ids.min() < 0 else ids.max()
            if not 0 <= wrong < self.out_features:
                raise ArgumentError(
                    f"{self!r}: the source has the token id {wrong}, but ids must be in [0, {self.out_features}). "
                    "extra is the number of ids above the vocabulary"
                )
        return carry

    def restart(self, params: Params, carry: Carry, batch_shape: Shape) -> Carry:
        """That of the cell."""
        return self.cell.restart(params["cell"], carry, batch_shape)

    def step(self, params: Params, carry: Carry, x: PyTree) -> Pair:
        """One step of the decoder and its words."""
        with taps.scope("cell"):
            after, shown = taps.tap_step(_show(self.cell), params["cell"], carry, x)
        return after, self._words(params, carry, shown, x)

    def sequence(self, params: Params, carry: Carry, xs: PyTree, plan: Plan = Plan()) -> Pair:
        """The decoder step by step, then the words of all steps at once."""
        with taps.scope("cell"):
            after, shown = _show(self.cell).sequence(params["cell"], carry, xs, plan)
        return after, taps.tap_output(self._words(params, carry, shown, xs))

    def _words(self, params: Params, carry: Carry, shown: Pair, x: PyTree) -> Float[jax.Array, "*B V"]:
        h, weights = shown
        wide = wide_dtype(h.dtype)
        tokens = _find_source(self.cell, carry).tokens
        assert tokens is not None  # `initial_carry` has seen to it
        written = linear(params["generator"], h).astype(wide)
        gate = linear(params["gate"], h).astype(wide)
        copied = _sum_by_word(weights.astype(wide), tokens, self.out_features)
        return mix_words(written, gate, copied).astype(out_dtype(params, x))


def mix_words(
    written: Float[jax.Array, "*B V"], gate: Float[jax.Array, "*B 1"], copied: Float[jax.Array, "*B W"]
) -> Float[jax.Array, "*B W"]:
    """log(g softmax(written) + (1 - g) copied), g = sigmoid(gate), normalised, as `copied` may sum to less than 1."""
    write, copy = jax.nn.log_sigmoid(gate), jax.nn.log_sigmoid(-gate)
    beyond = jnp.full_like(copied[..., written.shape[-1] :], -jnp.inf)  # words that cannot be written
    of_written = jnp.concatenate([write + jax.nn.log_softmax(written), beyond], axis=-1)
    return _log_sum(of_written, copy, copied) - _log_sum(write, copy, jnp.sum(copied, axis=-1, keepdims=True))


def _log_sum(a: Float[jax.Array, "*B W"], b: Float[jax.Array, "*B 1"], c: Float[jax.Array, "*B W"]) -> jax.Array:
    """log(e^a + e^b c + the smallest normal number): smooth also at c = 0, where log c is not."""
    least = jnp.finfo(c.dtype).tiny
    highest = jnp.maximum(jnp.maximum(a, b + jnp.log(jnp.maximum(c, least))), math.log(least))
    highest = jax.lax.stop_gradient(highest)
    return highest + jnp.log(jnp.exp(a - highest) + jnp.exp(b - highest) * c + jnp.exp(math.log(least) - highest))


def _sum_by_word(weights: Float[jax.Array, "*T S"], tokens: Int[Array, "*B S"], words: int) -> Float[jax.Array, "*T W"]:
    """How much of the weights lies on each word; NaN in a row with an id out of range."""
    tokens = jnp.broadcast_to(tokens, weights.shape)
    wrong = (tokens < 0) | (tokens >= words)

    def add(weights: Float[jax.Array, " S"], tokens: Int[jax.Array, " S"]) -> Float[jax.Array, " W"]:
        return jnp.zeros(words, weights.dtype).at[tokens].add(weights, mode="drop")

    for _ in range(weights.ndim - 1):
        add = jax.vmap(add)
    found = add(weights, jnp.where(wrong, words, tokens))
    return jnp.where(jnp.any(wrong, axis=-1, keepdims=True), jnp.nan, found)


class _Shown(Wrapper):
    """A decoder whose output is the pair of its own and its weights; parameters and carry are the same."""

    def step(self, params: Params, carry: Carry, x: PyTree) -> Pair:
        assert isinstance(self.cell, Attend)
        return self.cell.step_and_weights(params, carry, x)


def _show(cell: Cell) -> Cell:
    """The same with the weights of its last part as a second output.

    Raises:
        ArgumentError: that part does not attend.
    """
    if isinstance(cell, Attend):
        return _Shown(cell)
    if isinstance(cell, Stack):
        return dataclasses.replace(cell, cells=(*cell.cells[:-1], _show(cell.cells[-1])))
    raise ArgumentError(
        f"copying: {cell!r} gives no weights of a source. It takes attend(...), or a stack that ends in it: the words "
        "come after, so leave out the Dense(V)"
    )


def _find_source(cell: Cell, carry: Carry) -> Source:
    """What the last part holds."""
    if isinstance(cell, Stack):
        *_, name = cell.parts
        return _find_source(cell.parts[name], cell.split_carry(carry)[name])
    assert isinstance(carry, AttendCarry)
    return carry.memory.value


def copying(cell: Cell, vocabulary: int, extra: int = 0) -> Copying:
    """A decoder that writes a word or copies one from the source: pointer-generator, See et al. 2017.

    With the output h~ of an `attend` and its weights,

        P(v) = g softmax(W h~ + b)_v + (1 - g) sum_s weights_s [tokens_s = v],   g = sigmoid(w . h~ + b')

    Args:
        cell: an `attend(...)` or a stack that ends in one. An embedding before it has rows for the extra ids too.
        vocabulary: V.
        extra: how many ids above the vocabulary there are, V ... V + extra - 1, for words that only the source has;
            they can be copied, not written.

    Returns:
        A cell whose outputs are log P, `[*B, T, V + extra]`, normalised: also where the source is empty and nothing can
        be copied. A word that is impossible has the log of the smallest normal number, not -inf. The memory must have
        tokens, as `encode` gives them for ids.

    Raises:
        ArgumentError, ArgumentTypeError: a cell of another kind, sizes that are no whole numbers.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.seq2seq import EncoderDecoder, attend, copying
        >>> encoder = sj.stack(sj.Embed(12, 4), sj.GRU(4))
        >>> model = EncoderDecoder(encoder, copying(sj.stack(sj.Embed(12, 4), attend(sj.GRU(4))), 10, extra=2), begin=0)
        >>> params = model.init(jax.random.key(0), 0)
        >>> carry = model.initial_carry(params, (1,), source=jnp.array([[3, 10, 3]]))
        >>> _, logits = sj.scan(model, params, jnp.array([[0, 10]]), carry)
        >>> chances = jnp.exp(logits[0, 0])
        >>> print(chances.shape, chances.sum().round(3), bool(chances[10] > 0.1), bool(chances[11] < 1e-30))
        (12,) 1.0 True True
    """
    return Copying(cell, vocabulary, extra)
