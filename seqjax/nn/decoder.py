"""A language model: tokens in, logits of the next token out."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from seqjax._internal.types import Array, Bool, DTypeLike, Float, Int, Key, Shape
from seqjax._internal.validation import check_batch_shape
from seqjax.attention import cache
from seqjax.attention.placement import Places
from seqjax.nn.carries import check_cache, check_kind, check_layers
from seqjax.nn.checks import check_count, check_rngs, check_tokens
from seqjax.nn.dropout import fold_keys, is_random, token_keys
from seqjax.nn.embedding import Embedding, make_head
from seqjax.nn.places import place_tokens
from seqjax.nn.shared import Shared
from seqjax.nn.style import GPT2, Style, check_style
from seqjax.nn.trunk import Trunk


class DecoderCarry(NamedTuple):
    """count: int32 `[*B]`, real tokens since the last reset. layers: the cache of each block."""

    count: Int[jax.Array, "*B"]  # type: ignore[assignment]
    layers: tuple[cache.Cache, ...]


class TransformerDecoder(nnx.Module):
    """A causal transformer over tokens (Radford et al. 2019): logits `[*B, T, V]` of the token after each.

    Parts: embedding, trunk (layers, relative, norm), and head where logits are not tied to the embedding.

    Args:
        vocabulary: V, number of tokens.
        features, heads, layers: D, N, L.
        positions: "learned", "sinusoidal", "rotary", "alibi", "relative" (one table for all layers), or None.
        capacity: for how many tokens there are learned positions, and room in a carry.
        dropout: rate, at the embedding and in the blocks.
        style: how blocks are built, whether logits are tied.
        remat: whether the backward pass computes each layer again instead of keeping what is in it.
        rngs: draws the parameters.

    `extend` goes on from a carry: a prompt in one call, then token by token in a loop that is compiled once.

        >>> import jax, jax.numpy as jnp
        >>> from flax import nnx
        >>> from seqjax.nn import TransformerDecoder
        >>> model = TransformerDecoder(11, 8, 2, 2, capacity=16, rngs=nnx.Rngs(0))
        >>> carry, logits = model.extend(model.initial_carry((1,)), jnp.array([[3, 1, 4, 1]]), fresh=True)
        >>> token = jnp.argmax(logits[:, -1:], axis=-1)
        >>> carry, logits = model.extend(carry, token)
        >>> logits.shape, carry.count.tolist()
        ((1, 1, 11), [5])

    Raises:
        ArgumentError, ArgumentTypeError: as `MultiHeadAttention`; token ids that are no whole numbers, or not below V;
            more tokens than there are learned positions.
    """

    causal = True
    feature_axes = 0
    asks: frozenset[str] = frozenset()

    def __init__(
        self,
        vocabulary: int,
        features: int,
        heads: int,
        layers: int,
        *,
        positions: str | None = "learned",
        capacity: int = 1024,
        dropout: float = 0.0,
        style: Style = GPT2,
        remat: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        check_rngs("TransformerDecoder", rngs)
        check_style("TransformerDecoder", style)
        self.vocabulary = check_count("TransformerDecoder", "vocabulary", vocabulary)
        self.capacity = check_count("TransformerDecoder", "capacity", capacity)
        options: dict[str, Any] = {"positions": positions, "capacity": capacity, "dropout": dropout}
        options |= {"style": style, "rngs": rngs}
        self.trunk = Trunk(features, heads, layers, kind="decoder", remat=remat, **options)
        self.embedding = Embedding(vocabulary, features, **options)
        self.head = None if style.tied else make_head(features, vocabulary, "vocabulary", bias=False, rngs=rngs)
        self.scaled_logits = style.scaled_logits
        self.dropout, self.deterministic = self.embedding.dropout, False

    @property
    def out_features(self) -> int:
        """V."""
        return self.vocabulary

    @property
    def random(self) -> bool:
        """Whether a call needs a key."""
        return is_random(self)

    def __call__(
        self,
        tokens: Int[Array, "*B T"],
        *,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        key: Key[Array, "..."] | None = None,
    ) -> Float[jax.Array, "*B T V"]:
        """The logits of whole sequences.

        Args:
            tokens: ids `[*B, T]`.
            mask: bool `[*B, T]`, real tokens: padding on either side, which changes no logit of a real token.
            resets: bool `[*B, T]`: a new sequence begins before this token (packing).
            key: one key, or one for each token, where something is dropped.
        """
        check_tokens(self, tokens, self.vocabulary, mask)
        return self._run(None, tokens, mask, resets, False, key)[1]

    def initial_carry(self, batch_shape: Shape = (), *, dtype: DTypeLike | None = None) -> DecoderCarry:
        """Empty caches, of the parameters' dtype unless another is given."""
        return empty_carry(self, self.trunk, batch_shape, dtype)

    def extend(
        self,
        carry: DecoderCarry,
        tokens: Int[Array, "*B T"],
        *,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        fresh: bool = False,
        key: Key[Array, "..."] | None = None,
    ) -> tuple[DecoderCarry, Float[jax.Array, "*B T V"]]:
        """More tokens, any number of them: the carry afterwards, and their logits.

        Args: as in a call; fresh: the carry is an initial one, and need not be read.

        Raises:
            ArgumentError: more tokens than there is room for, where that is known; else their logits are NaN.
        """
        check_tokens(self, tokens, self.vocabulary, mask)
        check_decoder_carry(self, self.trunk, carry, tokens.shape[:-1])
        return self._run(carry, tokens, mask, resets, fresh, key)

    def _run(
        self,
        carry: Any,
        tokens: Array,
        mask: Array | None,
        resets: Array | None,
        fresh: bool,
        key: Array | None,
    ) -> tuple[Any, jax.Array]:
        places: Any
        tokens, places = place_tokens(self, tokens, mask, resets, None if carry is None else carry.count)
        keys = token_keys(self, key, tokens.shape)
        x = self.embedding(tokens, places, fold_keys(keys, 0))
        kept = None if carry is None else carry.layers
        kept, x = self.trunk.run(kept, None, x, Shared(places, fresh=fresh), keys)
        logits = self.embedding.logits(x, self.scaled_logits) if self.head is None else self.head(x)
        logits = poison(logits, self.embedding, self.trunk, carry, places)
        return (None if carry is None else DecoderCarry(places.count, kept)), logits


def empty_carry(module: Any, trunk: Trunk, batch_shape: Shape, dtype: DTypeLike | None) -> DecoderCarry:
    """No tokens yet.

    Raises:
        ArgumentTypeError: the batch shape is no tuple.
    """
    check_batch_shape(type(module).__name__, batch_shape)
    return DecoderCarry(jnp.zeros(batch_shape, jnp.int32), trunk.empty_cache(batch_shape, dtype))


def check_decoder_carry(module: Any, trunk: Trunk, carry: Any, batch: Shape) -> None:
    """Refuse what is not a carry of these layers and batch axes.

    Raises:
        ArgumentError, ArgumentTypeError: so it is.
    """
    check_kind(module, carry, DecoderCarry)
    check_layers(module, "the carry", carry.layers, trunk.number)
    for kept in carry.layers:
        check_cache(module, kept, batch, trunk.kv_sizes)


def poison(
    ys: jax.Array, embedding: Embedding, trunk: Trunk, carry: DecoderCarry | None, places: Places | None
) -> jax.Array:
    """NaN in the outputs of tokens for which there is neither a learned position nor room in the caches.

    At the end alone, as no token before them reads anything of them.
    """
    if places is None:
        return ys
    ys = embedding.poison(ys, places)
    return ys if carry is None else cache.poison(ys, carry.layers[0], places, window=trunk.style.window)
