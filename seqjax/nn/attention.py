"""Multi-head attention as a module."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from seqjax._internal.types import Array, Bool, DTypeLike, Float, Key, Shape
from seqjax._internal.validation import check_batch_shape, true_or_false
from seqjax.attention import cache, masks
from seqjax.attention.bias import Bias
from seqjax.attention.dot_product import dot_product
from seqjax.attention.mask import Mask, as_mask
from seqjax.attention.placement import Places
from seqjax.attention.shapes import fit
from seqjax.core import taps
from seqjax.errors import ArgumentError
from seqjax.nn.carries import check_cache, check_extends
from seqjax.nn.checks import check_count, check_rngs, check_vectors, head_sizes
from seqjax.nn.dropout import check_rate, is_random, token_keys
from seqjax.nn.parameters import Linear
from seqjax.nn.places import place_tokens
from seqjax.nn.positions import PairPositions
from seqjax.nn.shared import Shared, mask_of_zeroed
from seqjax.nn.style import Style, check_style


class MultiHeadAttention(nnx.Module):
    """Every query attends to all keys that it may see, in N heads (Vaswani et al. 2017).

        q_n = x W_n + b_n,  k_n and v_n likewise from x, or from `memory`
        y = sum over n of softmax(q_n k_n^T * scale + bias) v_n O_n + o

    Parameters have the names and shapes of `nnx.MultiHeadAttention`: query `[D, N, H]`, key and value `[D, K, H]`
    (K < N: grouped heads, Ainslie et al. 2023), out `[N, H, D]`, each with a bias where the style has them.

    Args:
        features: D, of inputs and outputs.
        heads: N.
        causal: whether a token sees itself and those before it alone. Then `extend` goes on from a cache.
        window: None, or n where a token sees those less than n away alone.
        positions: None, "rotary", "alibi" or "relative" (with a table of its own); none with a memory.
        capacity: for how many tokens `initial_carry` makes room; with a window, its n tokens are enough.
        dropout: rate at which weights are dropped.
        style: gives biases, K, H, scale, and the constants of positions.
        rngs: draws the parameters.

        >>> import jax, jax.numpy as jnp
        >>> from flax import nnx
        >>> from seqjax.nn import MultiHeadAttention
        >>> module = MultiHeadAttention(8, 2, causal=True, capacity=16, rngs=nnx.Rngs(0))
        >>> x = jax.random.normal(jax.random.key(1), (3, 5, 8))
        >>> ys = module(x)
        >>> carry, first = module.extend(module.initial_carry((3,)), x[:, :4])  # four tokens at once, then one
        >>> carry, last = module.extend(carry, x[:, 4:])
        >>> bool(jnp.allclose(ys, jnp.concatenate([first, last], axis=1), atol=1e-5))
        True

    Raises:
        ArgumentError, ArgumentTypeError: numbers that do not divide, unknown names, inputs of another width, a mask
            that is not bool, dropout without a key.
    """

    feature_axes = 1
    asks: frozenset[str] = frozenset()

    def __init__(
        self,
        features: int,
        heads: int,
        *,
        causal: bool = False,
        window: int | None = None,
        positions: str | None = None,
        capacity: int = 1024,
        dropout: float = 0.0,
        style: Style = Style(),
        rngs: nnx.Rngs,
    ) -> None:
        name = "MultiHeadAttention"
        check_rngs(name, rngs)
        check_style(name, style)
        self.features, self.style = features, style
        self.heads, self.kv_heads, self.head_features = head_sizes(name, features, heads, style)
        self.causal = true_or_false(f"{name}: causal", causal)
        self.window = None if window is None else check_count(name, "window", window)
        self.capacity = check_count(name, "capacity", capacity)
        self.dropout, self.deterministic = check_rate(name, dropout), False
        self.positions = PairPositions(positions, self.heads, self.head_features, causal=causal, style=style, rngs=rngs)
        vectors, width = {"features": features}, self.head_features
        queries, keys = {"heads": self.heads, "head": width}, {"kv_heads": self.kv_heads, "head": width}
        # Scores begin with the same spread under any scale: with that of T5, 1, queries have deviation (D H)^-1/2.
        gain = 1.0 if style.scale is None else width**-0.5 / style.scale
        self.query = Linear(vectors, queries, bias=style.bias, gain=gain, rngs=rngs)
        self.key = Linear(vectors, keys, bias=style.bias, rngs=rngs)
        self.value = Linear(vectors, keys, bias=style.bias, rngs=rngs)
        self.out = Linear(queries, vectors, bias=style.bias, rngs=rngs)

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
        x: Float[Array, "*B T D"],
        memory: Float[Array, "*B S D"] | None = None,
        *,
        mask: Mask | Bool[Array, "..."] | None = None,
        bias: Bias | Float[Array, "..."] | None = None,
        key: Key[Array, "..."] | None = None,
    ) -> Float[jax.Array, "*B T D"]:
        """Attention within x, or from x to `memory`.

        Args:
            x: `[*B, T, D]`, the queries, and keys where there is no memory.
            memory: `[*B, S, D]`.
            mask: which pairs may attend (True), as in `seqjax.attention.dot_product`; besides what `causal` and
                `window` allow. For keys `[*B, S]` that are real write `padding(real)`: what others hold, NaN
                too, is not read; as a query each token is computed (`sequence` leaves it out).
            bias: added to the scores.
            key: one key, or one for each query `[*B, T]`, where weights are dropped.
        """
        check_vectors(self, x, self.features)
        keys = token_keys(self, key, x.shape[:-1])
        if memory is None:
            return self.attend_within(x, Shared(bias=bias), keys, mask=mask)
        check_vectors(self, memory, self.features, "memory")
        if memory.shape[:-2] != x.shape[:-2]:
            raise ArgumentError(f"MultiHeadAttention: memory {memory.shape} is of another batch than x {x.shape}")
        memory = zero_padding(memory, mask)
        if self.causal or self.window or self.positions.kind:
            raise ArgumentError(
                "MultiHeadAttention: a memory has no order with the queries; attend to it with a module that is not "
                "causal, and has neither a window nor positions"
            )
        return self.attend(self.query(x), *self.project(memory), mask, bias=bias, keys=keys)

    def sequence(
        self,
        x: Float[Array, "*B T D"],
        *,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        key: Key[Array, "..."] | None = None,
    ) -> Float[jax.Array, "*B T D"]:
        """A whole sequence, with the options of `extend`: mask is the real tokens, not pairs; `as_cell` calls it.

        Args:
            x: `[*B, T, D]`.
            mask: bool `[*B, T]`, real tokens; no other token is attended to.
            resets: bool `[*B, T]`: a new sequence begins before this token.
            key: one key, or one for each token.
        """
        check_vectors(self, x, self.features)
        x, places = place_tokens(self, x, mask, resets, features=1)
        return self.attend_within(x, Shared(places), token_keys(self, key, x.shape[:-1]))

    def initial_carry(self, batch_shape: Shape = (), *, dtype: DTypeLike | None = None) -> cache.Cache:
        """A cache with room for `capacity` tokens, or for those of the window.

        Raises:
            NotCausalError: a module that is not causal has none.
        """
        check_extends(self)
        check_batch_shape("MultiHeadAttention", batch_shape)
        slots = self.capacity if self.window is None else self.window
        dtype = self.key.kernel.dtype if dtype is None else dtype
        return cache.empty(batch_shape, slots, self.kv_heads, self.head_features, dtype)

    def extend(
        self,
        carry: cache.Cache,
        x: Float[Array, "*B T D"],
        *,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        fresh: bool = False,
        key: Key[Array, "..."] | None = None,
    ) -> tuple[cache.Cache, Float[jax.Array, "*B T D"]]:
        """More tokens, any number of them: the cache afterwards, and their outputs.

        Args:
            carry: the cache so far.
            x: `[*B, T, D]`.
            mask: bool `[*B, T]`, real tokens.
            resets: bool `[*B, T]`: a new sequence begins before this token.
            fresh: the cache is empty, and need not be read.
            key: one key, or one for each token.

        Raises:
            NotCausalError: the module is not causal.
            ArgumentError: more tokens than there is room for, where that is known; else their outputs are NaN.
        """
        check_extends(self)
        check_vectors(self, x, self.features)
        check_cache(self, carry, x.shape[:-2], (self.kv_heads, self.head_features))
        places: Any
        x, places = place_tokens(self, x, mask, resets, carry.count, features=1)
        after, y = self.extend_places(carry, x, Shared(places, fresh=fresh), token_keys(self, key, x.shape[:-1]))
        return after, cache.poison(y, carry, places, window=self.window)

    def attend_within(self, x: Array, shared: Shared, keys: Array | None, *, mask: Any = None) -> jax.Array:
        """A whole sequence: what blocks call."""
        places = shared.places
        position = None if places is None else places.position
        q, (k, v) = self.query(x), self.project(zero_padding(x, mask))
        if self.causal:  # as a cache would keep them
            k, v = k.astype(self.key.kernel.dtype), v.astype(self.key.kernel.dtype)
        q, k = self.positions.rotate(q, position), self.positions.rotate(k, position)
        if places is not None:
            mask = join_masks(mask, mask_of(places, places.segment, places.real))
        positions = None if places is None else (position, position)
        return self.attend(q, k, v, mask, bias=shared.bias, positions=positions, keys=keys)

    def extend_places(
        self, carry: cache.Cache, x: Array, shared: Shared, keys: Array | None
    ) -> tuple[cache.Cache, jax.Array]:
        """More tokens, whose places are known: what blocks call. Where there is no room the outputs are any numbers."""
        places: Any = shared.places
        q, (k, v) = self.query(x), self.project(x)
        q, k = self.positions.rotate(q, places.position), self.positions.rotate(k, places.position)
        after, seen = cache.extend(carry, k, v, places, window=self.window, fresh=shared.fresh)
        mask = mask_of(places, seen.segment, seen.real)
        positions = (places.position, seen.position)
        y = self.attend(q, seen.k, seen.v, mask, bias=shared.bias, positions=positions, keys=keys)
        return after, y

    def project(self, source: Float[Array, "*B S D"]) -> tuple[jax.Array, jax.Array]:
        """Keys and values `[*B, S, K, H]` of a memory: once for all queries."""
        return self.key(source), self.value(source)

    def attend(
        self, q: Array, k: Array, v: Array, mask: Any, *, bias: Any = None, positions: Any = None, keys: Any = None
    ) -> jax.Array:
        """The output for queries, keys and values; a trace sees "weights" `[*B, T, N, S]`."""
        mask = join_masks(mask, masks.causal() if self.causal else None)
        mask = join_masks(mask, None if self.window is None else masks.window(self.window))
        dropout = None if keys is None else (self.dropout, keys)
        options = {"bias": self.positions.bias(bias), "scale": self.style.scale, "positions": positions}
        if not taps.is_tracing():
            y: Any = dot_product(q, k, v, mask, dropout=dropout, **options)
        else:
            y = self._attend_traced(q, k, v, mask, dropout, options)
        return self.out(y)

    def _attend_traced(self, q: Array, k: Array, v: Array, mask: Any, dropout: Any, options: dict) -> jax.Array:
        y, weights = dot_product(q, k, v, mask, dropout=dropout, backend="plain", return_weights=True, **options)
        weights = jnp.swapaxes(weights, -3, -2)
        tapped = taps.tap("weights", weights)
        groups = (self.kv_heads, self.heads // self.kv_heads)
        change = (tapped - weights).reshape(*weights.shape[:-2], *groups, weights.shape[-1])
        return y + jnp.einsum("...tkgs,...skh->...tkgh", change, v).reshape(y.shape).astype(y.dtype)


def mask_of(places: Places, segment: Array, real: Array) -> Mask | None:
    """Keys that are real, of the query's own segment; without what holds for all, so that no backend looks at it."""
    one = isinstance(places.segment, np.ndarray) and not places.segment.any()  # no resets were given
    whole = isinstance(real, np.ndarray) and bool(real.all())
    within = None if one else masks.segments(places.segment, segment)
    return join_masks(within, None if whole else mask_of_zeroed(real))


def zero_padding(x: Float[Array, "*B S D"], mask: Mask | Array | None) -> Array:
    """x with zeros where the mask says that its tokens are not real: 0 times NaN would be NaN, in gradients too."""
    real = None if mask is None else as_mask(mask).real
    if real is None:
        return x
    return jnp.where(fit("padding", real, x.shape[:-2], x.shape[-2:-1])[..., None], x, 0)


def join_masks(a: Mask | Array | None, b: Mask | None) -> Any:
    """Both; None says nothing."""
    return b if a is None else a if b is None else b & a
