"""Changes to logits before a token is chosen: functions `(logits, history) -> logits`, applied in order.

Those made here are values whose numbers and tokens are data: other ones compile nothing anew. Axes as in
`seqjax.decode.strategy`: logits are `[B, K, V]`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Bool, Float, Int
from seqjax._internal.validation import is_concrete, known, real_number, true_or_false, whole_number
from seqjax.decode.history import History, Processor
from seqjax.errors import ArgumentError, ArgumentTypeError


class Rule:
    """A processor that can check its tokens before anything runs."""

    def check(self, size: int) -> None:
        """Refuse token ids that are not below the size of the vocabulary, where they are known."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class _Repetition:
    penalty: float
    prompt: bool = field(metadata={"static": True})

    def __call__(self, logits: Float[Array, "B K V"], history: History) -> jax.Array:
        tokens, real = _texts(history, self.prompt)
        seen = _mark(tokens, real, logits)
        logits = jnp.asarray(logits)
        return jnp.where(seen, jnp.where(logits < 0, logits * self.penalty, logits / self.penalty), logits)


def repetition(penalty: float, *, prompt: bool = True) -> Processor:
    """Make tokens that are there already less likely (Keskar et al. 2019): l / penalty where l > 0, else l * penalty.

    prompt: whether tokens of the prompt count, as in Hugging Face.

        >>> import jax.numpy as jnp
        >>> from seqjax import decode
        >>> history = decode.History(jnp.array([[2]]), jnp.array([1]), jnp.array([[[0, 0]]]), jnp.array(1))
        >>> decode.repetition(2.0)(jnp.array([[[1.0, 3.0, -4.0]]]), history).tolist()
        [[[0.5, 3.0, -8.0]]]

    Raises:
        ArgumentError, ArgumentTypeError: a penalty that is no number above 0.
    """
    if is_concrete(penalty) and not real_number("repetition: penalty", penalty) > 0:
        raise ArgumentError(f"repetition: penalty must be above 0 (1 changes nothing), found {penalty}")
    return _Repetition(penalty, true_or_false("repetition: prompt", prompt))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class _NoRepeat:
    size: int = field(metadata={"static": True})
    prompt: bool = field(metadata={"static": True})

    def __call__(self, logits: Float[Array, "B K V"], history: History) -> jax.Array:
        tokens, real = _texts(history, self.prompt)
        size, count = tokens.shape[-1], jnp.sum(real, axis=-1, keepdims=True)
        starts = size - self.size + 1
        if starts < 1:
            return jnp.asarray(logits)
        repeats = real[..., self.size - 1 :]  # of the n-gram that begins at each place: that it is there
        for j in range(self.size - 1):
            index = jnp.maximum(count - self.size + 1 + j, 0)
            last = jnp.take_along_axis(tokens, index, axis=-1)
            repeats = repeats & (tokens[..., j : j + starts] == last)
        repeats = repeats & (count >= self.size - 1)
        return jnp.where(_mark(tokens[..., self.size - 1 :], repeats, logits), -jnp.inf, logits)


def no_repeat(size: int, *, prompt: bool = True) -> Processor:
    """Forbid each token that would complete an n-gram of `size` tokens that is there already (Paulus et al. 2017).

    prompt: whether the text begins with the prompt, as in Hugging Face, or after it, as in OpenNMT.

        >>> import jax.numpy as jnp
        >>> from seqjax import decode
        >>> history = decode.History(jnp.array([[2, 1]]), jnp.array([2]), jnp.array([[[2, 0]]]), jnp.array(1))
        >>> decode.no_repeat(2)(jnp.zeros((1, 1, 3)), history).tolist()
        [[[0.0, -inf, 0.0]]]

    Raises:
        ArgumentError, ArgumentTypeError: a size that is no whole number above 0.
    """
    return _NoRepeat(whole_number("no_repeat: size", size, least=1), true_or_false("no_repeat: prompt", prompt))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class _Allowed(Rule):
    mask: Any
    ids: Any

    def check(self, size: int) -> None:
        if self.ids is not None:
            _check_below("allowed: ids", self.ids, size)

    def __call__(self, logits: Float[Array, "B K V"], history: History) -> jax.Array:
        size = logits.shape[-1]
        if self.mask is None:
            mask = jnp.zeros(size, bool).at[jnp.asarray(self.ids)].set(True)
        elif self.mask.shape[-1] != size:
            raise ArgumentError(f"allowed: mask is for {self.mask.shape[-1]} tokens, but the cell gives {size} logits")
        else:
            mask = jnp.asarray(self.mask)
        mask = mask[:, None] if mask.ndim == 2 else mask[None, None]
        return jnp.where(mask, logits, -jnp.inf)


def allowed(tokens: Int[Array, " N"] | Bool[Array, "..."] | Sequence[int]) -> Processor:
    """Forbid all tokens but these: ids, or a bool mask `[V]`, or one for each row `[B, V]`.

        >>> import jax.numpy as jnp
        >>> from seqjax import decode
        >>> decode.allowed([0, 2])(jnp.zeros((1, 1, 3)), None).tolist()
        [[[0.0, -inf, 0.0]]]

    Raises:
        ArgumentError, ArgumentTypeError: no tokens; what are neither ids nor a mask; ids out of range; a mask of
            another size.
    """
    array = _token_array("allowed", tokens)
    if array.dtype == bool:
        if array.ndim not in (1, 2):
            raise ArgumentError(f"allowed: mask must have the shape [V] or [B, V], found {tuple(array.shape)}")
        return _Allowed(array, None)
    if array.ndim != 1 or not array.size:
        raise ArgumentError(f"allowed: ids must be a list of at least one, found the shape {tuple(array.shape)}")
    return _Allowed(None, array)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class _Prefix(Rule):
    tokens: Any
    lengths: Any

    def check(self, size: int) -> None:
        _check_below("prefix: tokens", self.tokens, size)

    def __call__(self, logits: Float[Array, "B K V"], history: History) -> jax.Array:
        tokens = jnp.atleast_2d(jnp.asarray(self.tokens))
        lengths = tokens.shape[-1] if self.lengths is None else jnp.asarray(self.lengths)
        wanted = tokens[:, jnp.minimum(history.step, tokens.shape[-1] - 1)]
        other = jnp.arange(logits.shape[-1])[None, None] != wanted[:, None, None]
        given = jnp.atleast_1d(history.step < lengths)
        return jnp.where(other & given[:, None, None], -jnp.inf, logits)


def prefix(tokens: Int[Array, "..."] | Sequence, lengths: Int[Array, " B"] | Sequence[int] | None = None) -> Processor:
    """Begin each text with given tokens: ids `[N]`, or `[B, N]` for each row, of which the first `lengths` count.

    In distinction to a longer prompt, they are part of what is generated, and of its score.

        >>> import jax.numpy as jnp
        >>> from seqjax import decode
        >>> history = decode.History(jnp.array([[2]]), jnp.array([1]), jnp.array([[[0, 0]]]), jnp.array(1))
        >>> decode.prefix([0, 1])(jnp.zeros((1, 1, 3)), history).tolist()
        [[[-inf, 0.0, -inf]]]

    Raises:
        ArgumentError, ArgumentTypeError: no tokens, ids out of range, lengths that do not fit.
    """
    array = _token_array("prefix", tokens)
    if array.dtype == bool or array.ndim not in (1, 2) or not array.shape[-1]:
        raise ArgumentError(f"prefix: tokens must be ids [N] or [B, N], found {array.dtype} {tuple(array.shape)}")
    if lengths is None:
        return _Prefix(array, None)
    sizes = _token_array("prefix: lengths", lengths)
    if array.ndim != 2 or sizes.shape != array.shape[:1]:
        raise ArgumentError(f"prefix: lengths {tuple(sizes.shape)} do not fit tokens of shape {tuple(array.shape)}")
    _check_below("prefix: lengths", sizes, array.shape[1] + 1)
    return _Prefix(array, sizes)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class _MinLength(Rule):
    least: Any
    stop: tuple[int, ...] = field(metadata={"static": True})

    def check(self, size: int) -> None:
        _check_below("min_length: stop", np.array(self.stop), size)

    def __call__(self, logits: Float[Array, "B K V"], history: History) -> jax.Array:
        stops = jnp.zeros(logits.shape[-1], bool).at[jnp.array(self.stop)].set(True)
        return jnp.where(stops[None, None] & (history.step < self.least), -jnp.inf, logits)


def min_length(least: int, stop: int | Sequence[int]) -> Processor:
    """Forbid the stop tokens until `least` tokens have been generated, the prompt apart.

        >>> import jax.numpy as jnp
        >>> from seqjax import decode
        >>> history = decode.History(jnp.array([[2]]), jnp.array([1]), jnp.array([[[0, 0]]]), jnp.array(1))
        >>> decode.min_length(2, stop=0)(jnp.zeros((1, 1, 3)), history).tolist()
        [[[-inf, 0.0, 0.0]]]

    Raises:
        ArgumentError, ArgumentTypeError: no whole numbers; no stop token.
    """
    least = least if isinstance(least, jax.core.Tracer) else whole_number("min_length: least", least)
    stops = tuple(stop) if isinstance(stop, (tuple, list)) else (stop,)
    if not stops:
        raise ArgumentError("min_length: stop must be a token or several, found none")
    return _MinLength(least, tuple(whole_number("min_length: stop", value) for value in stops))


def _texts(history: History, prompt: bool) -> tuple[Int[jax.Array, "B K N"], Bool[jax.Array, "B 1 N"]]:
    """The tokens that count, and which places hold one."""
    if prompt:
        tokens = history.tokens
        return tokens, history.is_real(tokens.shape[-1])[:, None]
    tokens = jnp.asarray(history.generated)
    real = jnp.arange(tokens.shape[-1], dtype=jnp.int32) < history.step
    return tokens, jnp.broadcast_to(real[None, None], (tokens.shape[0], 1, tokens.shape[-1]))


def _mark(tokens: Int[Array, "B K N"], where: Bool[Array, "B ... N"], logits: Float[Array, "B K V"]) -> jax.Array:
    """Bool `[B, K, V]`: the tokens that stand where it is true."""
    size = logits.shape[-1]
    tokens = jnp.where(where, tokens, size)  # beyond the last: nowhere
    mark = lambda tokens: jnp.zeros(size, bool).at[tokens].set(True, mode="drop")
    return jax.vmap(jax.vmap(mark))(tokens)


def _token_array(name: str, tokens: Any) -> Any:
    array = tokens if hasattr(tokens, "dtype") else np.asarray(tokens)
    if array.size and array.dtype != bool and not jnp.issubdtype(array.dtype, jnp.integer):
        raise ArgumentTypeError(f"{name}: expected whole numbers, found {array.dtype}")
    return array


def _check_below(name: str, ids: Any, size: int) -> None:
    if not known(ids):
        return
    ids = np.asarray(ids)  # before it is looked at: inside `jit`, what JAX computes of it is traced
    if ids.size and not 0 <= ids.min() <= ids.max() < size:
        raise ArgumentError(f"{name} must be in [0, {size}), found {ids.tolist()}")
