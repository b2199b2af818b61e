"""A transformer block: attention, attention to a memory, a feed forward part, each with a norm and a way past it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from seqjax._internal.types import Array, Bool, Carry, DTypeLike, Float, Key, Pair, Shape
from seqjax._internal.validation import true_or_false
from seqjax.attention import cache
from seqjax.attention.memory import Memory
from seqjax.core import taps
from seqjax.core.held import Held
from seqjax.errors import ArgumentError
from seqjax.nn.attention import MultiHeadAttention
from seqjax.nn.carries import check_cache, check_extends, check_held, check_kind
from seqjax.nn.checks import check_vectors
from seqjax.nn.dropout import drop, fold_keys, is_random, token_keys
from seqjax.nn.feed_forward import FeedForward
from seqjax.nn.parameters import Norm
from seqjax.nn.places import place_tokens
from seqjax.nn.shared import Shared, check_memory, mask_of_zeroed
from seqjax.nn.style import Style


class TransformerBlock(nnx.Module):
    """One block of a transformer (Vaswani et al. 2017); `seqjax.nn.Style` says where the norms stand.

        x = x + attention(norm(x));  x = x + cross(norm(x), memory);  x = x + feed_forward(norm(x))      (order "pre")

    Parts: attention_norm, attention, cross_norm, cross (where there is a memory), feed_forward_norm, feed_forward.

    Args:
        features, heads, window, positions, capacity: as in `MultiHeadAttention`.
        causal: whether a token sees itself and those before it alone. Then `extend` goes on from a carry.
        cross: whether it also attends to a memory, `[*B, S, D]`.
        dropout: rate at which attention weights, hidden units, and the outputs of parts are dropped.
        style: norms, activation, widths, biases.
        rngs: draws the parameters.

    Carry: a cache of `seqjax.attention`; with `cross` a pair of it and the memory's keys and values, as `Held`.

        >>> import jax, jax.numpy as jnp
        >>> from flax import nnx
        >>> from seqjax.nn import TransformerBlock
        >>> block = TransformerBlock(8, 2, rngs=nnx.Rngs(0))
        >>> x = jax.random.normal(jax.random.key(1), (3, 5, 8))
        >>> padded = jnp.pad(x, ((0, 0), (2, 0), (0, 0)))  # the same sequences with two unreal tokens before them
        >>> real = jnp.arange(7) >= 2
        >>> ys = block(padded, mask=jnp.broadcast_to(real, (3, 7)))
        >>> bool(jnp.allclose(block(x), ys[:, 2:], atol=1e-5))
        True

    Raises:
        ArgumentError, ArgumentTypeError: as `MultiHeadAttention`; a memory that is missing, or that nothing reads.
    """

    feature_axes = 1

    def __init__(
        self,
        features: int,
        heads: int,
        *,
        causal: bool = True,
        cross: bool = False,
        window: int | None = None,
        positions: str | None = None,
        capacity: int = 1024,
        dropout: float = 0.0,
        style: Style = Style(),
        rngs: nnx.Rngs,
    ) -> None:
        options: dict[str, Any] = {"dropout": dropout, "style": style, "rngs": rngs}
        self.attention = MultiHeadAttention(
            features, heads, causal=causal, window=window, positions=positions, capacity=capacity, **options
        )
        self.features, self.causal, self.style = features, causal, style
        self.dropout, self.deterministic = self.attention.dropout, False
        self.attention_norm = Norm(features, style=style)
        reads = true_or_false("TransformerBlock: cross", cross)
        self.cross_norm: Any = Norm(features, style=style) if reads else None
        self.cross: Any = MultiHeadAttention(features, heads, **options) if reads else None
        self.feed_forward_norm = Norm(features, style=style)
        self.feed_forward = FeedForward(features, **options)

    @property
    def out_features(self) -> int:
        """D."""
        return self.features

    @property
    def asks(self) -> frozenset[str]:
        """What `initial_carry` needs: a memory, if the block reads one."""
        return frozenset() if self.cross is None else frozenset({"memory"})

    @property
    def random(self) -> bool:
        """Whether a call needs a key."""
        return is_random(self)

    def __call__(
        self,
        x: Float[Array, "*B T D"],
        memory: Memory | Float[Array, "*B S D"] | None = None,
        *,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        key: Key[Array, "..."] | None = None,
    ) -> Float[jax.Array, "*B T D"]:
        """The whole sequence.

        Args:
            x: `[*B, T, D]`.
            memory: `[*B, S, D]`, or a `Memory` that says which of it is real.
            mask: bool `[*B, T]`, real tokens; no other token is attended to.
            resets: bool `[*B, T]`: a new sequence begins before this token, which sees none before it.
            key: one key, or one for each token, where something is dropped.
        """
        check_vectors(self, x, self.features)
        x, places = place_tokens(self, x, mask, resets, features=1)
        held = self.hold(memory, x.shape[:-2])
        return self.run(None, held, x, Shared(places), token_keys(self, key, x.shape[:-1]))[1]

    def initial_carry(
        self,
        batch_shape: Shape = (),
        *,
        dtype: DTypeLike | None = None,
        memory: Memory | Float[Array, "*B S D"] | None = None,
    ) -> Carry:
        """An empty cache, and what is held of the memory."""
        check_extends(self)
        empty = self.attention.initial_carry(batch_shape, dtype=dtype)
        held = self.hold(memory, batch_shape)
        return empty if held is None else (empty, held)

    def restart(self, carry: Carry, batch_shape: Shape) -> Carry:
        """The carry of a new sequence that reads the same memory."""
        empty = self.attention.initial_carry(batch_shape)
        return empty if self.cross is None else (empty, self._check_carry(carry, batch_shape)[1])

    def extend(
        self,
        carry: Carry,
        x: Float[Array, "*B T D"],
        *,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        fresh: bool = False,
        key: Key[Array, "..."] | None = None,
    ) -> Pair:
        """More tokens, any number of them: the carry afterwards, and their outputs; as `MultiHeadAttention.extend`."""
        check_extends(self)
        check_vectors(self, x, self.features)
        before, held = self._check_carry(carry, x.shape[:-2])
        places: Any
        x, places = place_tokens(self, x, mask, resets, before.count, features=1)
        kept, y = self.run(before, held, x, Shared(places, fresh=fresh), token_keys(self, key, x.shape[:-1]))
        y = cache.poison(y, before, places, window=self.attention.window)
        return (kept if held is None else (kept, held)), y

    def _check_carry(self, carry: Carry, batch: Shape) -> tuple[cache.Cache, Held | None]:
        heads = (self.attention.kv_heads, self.attention.head_features)
        kept, held = carry, None
        if self.cross is not None:
            check_kind(self, carry, (cache.Cache, Held))
            kept, held = carry
            check_held(self, held.value, batch, heads)
        check_cache(self, kept, batch, heads)
        return kept, held

    def hold(self, memory: Memory | Float[Array, "*B S D"] | None, batch: Shape | None = None) -> Held | None:
        """Keys and values of the memory, projected once, and which of it is real; of these batch axes."""
        if self.cross is None:
            if memory is not None:
                raise ArgumentError("TransformerBlock was given a memory, but reads none: make it with cross=True")
            return None
        memory = check_memory(self, memory, self.features, batch)
        k, v = self.cross.project(memory.values)
        return Held((cache.swap_heads(k), cache.swap_heads(v), memory.mask))

    def run(
        self, kept: cache.Cache | None, held: Held | None, x: jax.Array, shared: Shared, keys: Array | None
    ) -> tuple[cache.Cache | None, jax.Array]:
        """All parts; without a cache the sequence alone. What stacks of blocks call.

        Tokens for which a cache has no room get numbers: whoever began the call puts NaN there at the end. NaN in
        between would reach the tokens before them in the next layer, as 0 times NaN.
        """

        def attend(x: jax.Array) -> jax.Array:
            nonlocal kept
            with taps.scope("attention"):
                if kept is None:
                    return self.attention.attend_within(x, shared, fold_keys(keys, 0))
                kept, y = self.attention.extend_places(kept, x, shared, fold_keys(keys, 0))
                return y

        def attend_across(x: jax.Array) -> jax.Array:
            k, v, real = held.value  # type: ignore[union-attr]
            mask = None if real is None else mask_of_zeroed(real)
            q, k, v = self.cross.query(x), cache.swap_heads(k), cache.swap_heads(v)
            with taps.scope("cross"):
                return self.cross.attend(q, k, v, mask, keys=fold_keys(keys, 2))

        x = jnp.asarray(x, jnp.promote_types(x.dtype, self.attention.query.kernel.dtype))
        x = self._add(x, self.attention_norm, attend, fold_keys(keys, 1))
        if held is not None:
            x = self._add(x, self.cross_norm, attend_across, fold_keys(keys, 3))
        feed_forward = lambda x: self.feed_forward(x, key=fold_keys(keys, 4))
        return kept, self._add(x, self.feed_forward_norm, feed_forward, fold_keys(keys, 5))

    def _add(self, x: jax.Array, norm: Norm, part: Callable[[jax.Array], jax.Array], keys: Array | None) -> jax.Array:
        """x and what a part makes of it, the norm where the style has it."""
        if self.style.order == "pre":
            return x + drop(part(norm(x)), self.dropout, keys)
        return norm(x + drop(part(x), self.dropout, keys))
