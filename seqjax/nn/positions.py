"""Positions as modules: what is added to vectors, and what acts on pairs of tokens."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from seqjax._internal.types import Array, Float, Int
from seqjax.attention import positions as formulas
from seqjax.attention.bias import Bias, alibi, relative
from seqjax.errors import ArgumentError
from seqjax.nn.parameters import draw_param
from seqjax.nn.style import Style, check_choice

PAIRS = ("rotary", "alibi", "relative")
ADDED = ("learned", "sinusoidal")


class PairPositions(nnx.Module):
    """Positions that act on queries and keys ("rotary") or on scores ("alibi", "relative"); or none."""

    def __init__(
        self, kind: str | None, heads: int, head_features: int, *, causal: bool, style: Style, rngs: nnx.Rngs
    ) -> None:
        if kind is not None:
            if kind in ADDED:
                raise ArgumentError(
                    f"positions={kind!r} are added to vectors before the first block, which TransformerDecoder and "
                    f"TransformerEncoder do; in attention itself there are {', '.join(PAIRS)}"
                )
            check_choice("attention", "positions", kind, PAIRS)
        if kind == "rotary" and head_features % 2:
            raise ArgumentError(f"rotary positions turn pairs of features, found heads of {head_features}")
        self.kind, self.heads, self.causal, self.style = kind, heads, causal, style
        has_table = kind == "relative"
        self.table: Any = draw_param(rngs, (style.buckets, heads), 0.02, ("buckets", "heads")) if has_table else None

    def rotate(self, x: Float[jax.Array, "*B T N H"], position: Int[Array, "*B T"] | None) -> jax.Array:
        """Queries or keys turned by their positions, 0, 1, ... where none are given."""
        if self.kind != "rotary":
            return x
        position = jnp.arange(x.shape[-3], dtype=jnp.int32) if position is None else position
        return formulas.rotary(x, position, base=self.style.base)

    def bias(self, given: Bias | Float[Array, "..."] | None = None) -> Bias | Float[Array, "..."] | None:
        """The bias on scores: the one that is given, or that of the kind."""
        if self.kind not in ("alibi", "relative"):
            return given
        if given is not None:
            raise ArgumentError(f"attention with positions={self.kind!r} has a bias of its own; it takes no other")
        if self.kind == "alibi":
            return alibi(self.heads)
        return relative(self.table[...], bidirectional=not self.causal, max_distance=self.style.max_distance)
