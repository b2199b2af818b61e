"""From token ids (or vectors) to what the first block reads, and from what the last one gives to logits."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from seqjax._internal.types import Array, Float, Int
from seqjax.attention.placement import Places, known_length
from seqjax.attention.positions import learned, sinusoidal
from seqjax.errors import ArgumentError
from seqjax.nn.dropout import check_rate, drop
from seqjax.nn.parameters import Linear, Norm, draw_param
from seqjax.nn.positions import ADDED, PAIRS
from seqjax.nn.style import Style, check_choice


class Embedding(nnx.Module):
    """Tokens, and the positions and types that are added to them; then a norm where the style has it, and dropout.

    Tables: tokens `[V, D]`, positions `[capacity, D]` if they are learned, types `[types, D]`. With sinusoidal
    positions the vectors of tokens are multiplied by sqrt(D) (Vaswani et al. 2017, section 3.4). Without a
    vocabulary vectors `[*B, T, D]` take the place of tokens.
    """

    def __init__(
        self,
        vocabulary: int | None,
        features: int,
        *,
        positions: str | None,
        capacity: int,
        dropout: float,
        style: Style,
        rngs: nnx.Rngs,
    ) -> None:
        if positions is not None:
            check_choice("Transformer", "positions", positions, (*ADDED, *PAIRS))
        if positions == "sinusoidal" and features % 2:
            raise ArgumentError(f"sinusoidal positions are pairs of sine and cosine: features must be even, {features}")
        self.vocabulary, self.features, self.capacity = vocabulary, features, capacity
        self.kind, self.dropout = positions, check_rate("Transformer", dropout)
        std = features**-0.5 if positions == "sinusoidal" else 1.0 if style.scaled_logits else 0.02
        rows = lambda number, std, name: draw_param(rngs, (number, features), std, (name, "features"))
        self.tokens: Any = None if vocabulary is None else rows(vocabulary, std, "vocabulary")
        self.positions: Any = rows(capacity, 0.02, "positions") if positions == "learned" else None
        self.types = rows(style.token_types, 0.02, "types") if style.token_types else None
        self.norm = Norm(features, style=style) if style.embedding_norm else None

    def __call__(
        self,
        x: Int[Array, "*B T"] | Float[Array, "*B T D"],
        places: Places | None,
        keys: Array | None,
        *,
        types: Int[Array, "*B T"] | None = None,
    ) -> Float[jax.Array, "*B T D"]:
        """Vectors `[*B, T, D]` of tokens at these places (0, 1, ... where there are none)."""
        y = self.look_up(x)
        position = jnp.arange(y.shape[-2], dtype=jnp.int32) if places is None else places.position
        if self.kind == "learned":
            self._check_length(y, places)
            position = jnp.minimum(position, self.capacity - 1)  # `poison` marks those beyond, at the end
            y = y + jnp.broadcast_to(learned(self.positions[...], position), y.shape)
        elif self.kind == "sinusoidal":
            waves = sinusoidal(position, self.features, dtype=y.dtype)
            y = y * self.features**0.5 + jnp.broadcast_to(waves, y.shape)
        if self.types is not None:
            types = jnp.zeros(y.shape[:-1], jnp.int32) if types is None else types
            y = y + learned(self.types[...], types)
        y = y if self.norm is None else self.norm(y)
        return drop(y, self.dropout, keys)

    def look_up(self, x: Array) -> Float[jax.Array, "*B T D"]:
        """The vectors of token ids; vectors as they are."""
        if self.tokens is None:
            return jnp.asarray(x)
        return learned(self.tokens[...], x)

    def logits(self, y: Float[jax.Array, "*B T D"], scaled: bool) -> Float[jax.Array, "*B T V"]:
        """Products with the table of the tokens."""
        y = y * self.features**-0.5 if scaled else y
        return jnp.einsum("...d,vd->...v", y, self.tokens[...])

    def poison(self, ys: jax.Array, places: Places | None, rows: bool = False) -> jax.Array:
        """NaN in the outputs of tokens beyond the learned positions; rows: and of all that see them, whole rows."""
        if self.kind != "learned" or places is None:
            return ys
        beyond = jnp.asarray(places.real & (places.position >= self.capacity))
        if rows:
            beyond = jnp.any(beyond, axis=-1, keepdims=True)
        return jnp.where(beyond[..., None], jnp.nan, ys)

    def _check_length(self, y: jax.Array, places: Places | None) -> None:
        longest = y.shape[-2] if places is None else known_length(places)
        if longest > self.capacity:
            raise ArgumentError(f"{longest} tokens, but positions are learned for {self.capacity}: capacity=...")


def make_head(features: int, outputs: int, name: str, *, bias: bool, rngs: nnx.Rngs) -> Linear:
    """A linear map to logits."""
    return Linear({"features": features}, {name: outputs}, bias=bias, rngs=rngs)
