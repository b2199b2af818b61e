"""An encoder, and a model of masked tokens on it."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from seqjax._internal.types import Array, Bool, Float, Int, Key
from seqjax.errors import ArgumentError
from seqjax.nn.carries import WholeSequences
from seqjax.nn.checks import check_count, check_rngs, check_tokens, check_types, check_vectors
from seqjax.nn.dropout import fold_keys, is_random, token_keys
from seqjax.nn.embedding import Embedding
from seqjax.nn.feed_forward import ACTIVATIONS
from seqjax.nn.parameters import Linear, Norm, make_param
from seqjax.nn.places import place_tokens
from seqjax.nn.shared import Shared
from seqjax.nn.style import BERT, PLAIN, Style, check_style
from seqjax.nn.trunk import Trunk


class TransformerEncoder(WholeSequences):
    """A transformer in which every token sees all others (Devlin et al. 2019): vectors `[*B, T, D]`.

    Parts: embedding, trunk (layers, relative, norm).

    Args:
        vocabulary: V, number of tokens; None where vectors come in, `[*B, T, D]`.
        features, heads, layers: D, N, L.
        positions: "learned", "sinusoidal", "rotary", "alibi", "relative" (one table for all layers), or None.
        capacity: for how many tokens there are learned positions.
        dropout: rate, at the embedding and in the blocks.
        style: how blocks are built; `Style.token_types` for sentences A and B.
        remat: whether the backward pass computes each layer again instead of keeping what is in it.
        rngs: draws the parameters.

        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from seqjax.nn import TransformerEncoder
        >>> model = TransformerEncoder(11, 8, 2, 2, rngs=nnx.Rngs(0))
        >>> tokens = jnp.array([[3, 1, 4, 0, 0]])
        >>> ys = model(tokens, mask=jnp.array([[True, True, True, False, False]]))
        >>> bool(jnp.allclose(ys[:, :3], model(tokens[:, :3]), atol=1e-5))
        True

    Raises:
        ArgumentError, ArgumentTypeError: as `MultiHeadAttention`; token ids or types that are no whole numbers, or out
            of range; more tokens than there are learned positions.
    """

    causal = False
    asks: frozenset[str] = frozenset()

    def __init__(
        self,
        vocabulary: int | None,
        features: int,
        heads: int,
        layers: int,
        *,
        positions: str | None = "learned",
        capacity: int = 512,
        dropout: float = 0.0,
        style: Style = BERT,
        remat: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        check_rngs("TransformerEncoder", rngs)
        check_style("TransformerEncoder", style)
        self.vocabulary = None if vocabulary is None else check_count("TransformerEncoder", "vocabulary", vocabulary)
        self.features, self.types = features, style.token_types
        self.capacity = check_count("TransformerEncoder", "capacity", capacity)
        options: dict[str, Any] = {"positions": positions, "capacity": capacity, "dropout": dropout}
        options |= {"style": style, "rngs": rngs}
        self.trunk = Trunk(features, heads, layers, kind="encoder", remat=remat, **options)
        self.embedding = Embedding(vocabulary, features, **options)
        self.dropout, self.deterministic = self.embedding.dropout, False

    @property
    def feature_axes(self) -> int:
        """0 for token ids, 1 for vectors."""
        return 1 if self.vocabulary is None else 0

    @property
    def out_features(self) -> int:
        """D."""
        return self.features

    @property
    def random(self) -> bool:
        """Whether a call needs a key."""
        return is_random(self)

    def __call__(
        self,
        x: Int[Array, "*B T"] | Float[Array, "*B T D"],
        *,
        types: Int[Array, "*B T"] | None = None,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        key: Key[Array, "..."] | None = None,
    ) -> Float[jax.Array, "*B T D"]:
        """The vectors of whole sequences.

        Args:
            x: token ids `[*B, T]`, or vectors `[*B, T, D]`.
            types: ids `[*B, T]` of token types, all 0 by default.
            mask: bool `[*B, T]`, real tokens; no other token is seen.
            resets: bool `[*B, T]`: a new sequence begins before this token, and the two do not see each other.
            key: one key, or one for each token, where something is dropped.
        """
        if self.vocabulary is None:
            check_vectors(self, x, self.features)
        else:
            check_tokens(self, x, self.vocabulary, mask)
        x, places = place_tokens(self, x, mask, resets, features=self.feature_axes)
        shape = x.shape[: x.ndim - self.feature_axes]
        check_types(self, types, shape, self.types)
        keys = token_keys(self, key, shape)
        y = self.embedding(x, places, fold_keys(keys, 0), types=types)
        return self.embedding.poison(self.trunk.run(None, None, y, Shared(places), keys)[1], places, rows=True)


class MaskedLanguageModel(WholeSequences):
    """BERT's model of masked tokens: logits `[*B, T, V]` from both sides of each token (Devlin et al. 2019).

        logits = norm(act(encoder(x) W + b)) E^T + c        with E the table of the tokens

    Parts: encoder, dense, norm, bias `[V]`. Arguments are those of `TransformerEncoder`, the vocabulary a number.

        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from seqjax.nn import MaskedLanguageModel
        >>> model = MaskedLanguageModel(11, 8, 2, 2, rngs=nnx.Rngs(0))
        >>> model(jnp.array([[3, 1, 4]])).shape
        (1, 3, 11)
    """

    causal = False
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
        capacity: int = 512,
        dropout: float = 0.0,
        style: Style = BERT,
        remat: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        self.vocabulary = check_count("MaskedLanguageModel", "vocabulary", vocabulary)
        options: dict[str, Any] = {"positions": positions, "capacity": capacity, "dropout": dropout, "remat": remat}
        self.encoder = TransformerEncoder(vocabulary, features, heads, layers, style=style, rngs=rngs, **options)
        if style.activation not in PLAIN:
            raise ArgumentError(f"MaskedLanguageModel: its head has no gate, found activation={style.activation!r}")
        self.activation = style.activation
        self.dense = Linear({"features": features}, {"out_features": features}, bias=style.bias, rngs=rngs)
        self.norm = Norm(features, style=style)
        self.bias = make_param(jnp.zeros(vocabulary), ("vocabulary",))

    @property
    def out_features(self) -> int:
        """V."""
        return self.vocabulary

    @property
    def random(self) -> bool:
        """Whether a call needs a key."""
        return self.encoder.random

    def __call__(
        self,
        tokens: Int[Array, "*B T"],
        *,
        types: Int[Array, "*B T"] | None = None,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        key: Key[Array, "..."] | None = None,
    ) -> Float[jax.Array, "*B T V"]:
        """The logits of each token; arguments as those of the encoder."""
        y = self.encoder(tokens, types=types, mask=mask, resets=resets, key=key)
        y = self.norm(ACTIVATIONS[self.activation](self.dense(y)))
        logits = self.encoder.embedding.logits(y, False)
        return logits + jnp.broadcast_to(self.bias[...], logits.shape)
