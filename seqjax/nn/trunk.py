"""Many blocks one after another, compiled once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from seqjax._internal.types import Array, DTypeLike, Pair, Shape
from seqjax._internal.validation import true_or_false
from seqjax.attention.bias import Bias, relative
from seqjax.attention.cache import Cache, put_token
from seqjax.attention.memory import Memory
from seqjax.core.held import Held
from seqjax.core.layered import move_axis, scan_layers
from seqjax.nn.block import TransformerBlock
from seqjax.nn.checks import check_count
from seqjax.nn.dropout import fold_keys
from seqjax.nn.parameters import Norm, draw_param
from seqjax.nn.shared import Shared
from seqjax.nn.style import Style

KINDS = {"encoder": (False, False), "decoder": (True, False), "reader": (True, True)}
"""Whether blocks are causal, and whether they read a memory."""


class Trunk(nnx.Module):
    """`layers` blocks and, where the style has it, a norm: parameters of blocks are `[L, ...]`, carries `[*B, L, ...]`.

    A table of relative positions is there once, for all layers.
    """

    def __init__(
        self,
        features: int,
        heads: int,
        layers: int,
        *,
        kind: str,
        positions: str | None,
        capacity: int,
        dropout: float,
        style: Style,
        remat: bool,
        rngs: nnx.Rngs,
    ) -> None:
        self.number, self.remat = check_count("Transformer", "layers", layers), true_or_false("remat", remat)
        self.causal, cross = KINDS[kind]
        self.positions, self.style = positions, style

        def make(key: jax.Array) -> TransformerBlock:
            own = positions if positions in ("rotary", "alibi") else None
            return TransformerBlock(
                features, heads, causal=self.causal, cross=cross, window=style.window, positions=own,
                capacity=capacity, dropout=dropout, style=style, rngs=nnx.Rngs(key),
            )  # fmt: skip

        self.layers = stack_modules(make, jax.random.split(rngs.params(), layers))
        shape, names = (style.buckets, heads), ("buckets", "heads")
        self.relative = draw_param(rngs, shape, 0.02, names) if positions == "relative" else None
        self.norm = Norm(features, style=style) if style.ends_with_norm else None

    @property
    def kv_sizes(self) -> tuple[int, int]:
        """Heads of keys and values, and their width."""
        return self.layers.attention.kv_heads, self.layers.attention.head_features

    def bias(self) -> Bias | None:
        """That of relative positions, the same in all layers."""
        if self.relative is None:
            return None
        return relative(self.relative[...], bidirectional=not self.causal, max_distance=self.style.max_distance)

    def empty_cache(self, batch_shape: Shape, dtype: DTypeLike | None) -> Cache:
        """A cache for each layer, `[*B, L, ...]`."""
        axis = len(batch_shape)
        one = lambda block: block.attention.initial_carry(batch_shape, dtype=dtype)
        return jax.vmap(one, out_axes=axis)(self.layers)

    def hold(self, memory: Memory) -> Held:
        """Keys and values of a memory for each layer, `[*B, L, ...]`."""
        return jax.vmap(lambda block: block.hold(memory), out_axes=memory.values.ndim - 2)(self.layers)

    def run(self, kept: Cache | None, held: Held | None, x: jax.Array, shared: Shared, keys: Array | None) -> Pair:
        """Through all layers and the norm: the caches afterwards (None where there were none) and the output."""
        shared = shared._replace(bias=self.bias())
        x = jnp.asarray(x, jnp.promote_types(x.dtype, self.layers.attention.query.kernel.dtype))
        run = self._run_sequence if kept is None or x.shape[-2] != 1 else self._run_token
        kept, x = run(kept, held, x, shared, keys)
        return kept, x if self.norm is None else self.norm(x)

    def _run_sequence(self, kept: Any, held: Any, x: jax.Array, shared: Shared, keys: Array | None) -> Pair:
        axis = x.ndim - 2

        def layer(x: jax.Array, inputs: Any) -> Pair:
            block, kept, held, number = inputs
            kept, x = block.run(kept, held, x, shared, fold_keys(keys, number + 1))
            return x, kept

        inputs = (self.layers, move_axis(kept, axis, 0), move_axis(held, axis, 0), jnp.arange(self.number))
        x, kept = scan_layers(layer, x, inputs, self.number, axis + 1, remat=self.remat)
        return move_axis(kept, 0, axis), x

    def _run_token(self, kept: Any, held: Any, x: jax.Array, shared: Shared, keys: Array | None) -> Pair:
        """One token: each layer looks at its part of the caches, and all write their key and value at the end.

        To move the axis of layers to the front and back takes two copies of all caches, and to give each layer's cache
        back two more, which is more work than the token itself.
        """
        axis = x.ndim - 2

        def layer(x: jax.Array, inputs: Any) -> Pair:
            block, number = inputs
            own = jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, number, axis, keepdims=False), (kept, held))
            after, x = block.run(*own, x, shared, fold_keys(keys, number + 1))
            return x, _newest(after, shared.places)

        x, new = scan_layers(layer, x, (self.layers, jnp.arange(self.number)), self.number, axis + 1, remat=self.remat)
        k, v = move_axis(new, 0, axis)
        return put_token(kept, k, v, _for_layers(shared.places, axis, self.number), self.style.window), x


def _newest(kept: Cache, places: Any) -> Pair:
    """Key and value `[*B, 1, K, H]` in the slot of a token; of one that found no room any, as nobody writes them."""
    slot = (places.position % kept.at.shape[-1])[..., None, None]
    return jnp.take_along_axis(kept.k, slot, axis=-3), jnp.take_along_axis(kept.v, slot, axis=-3)


def _for_layers(places: Any, axis: int, number: int) -> Any:
    """Places `[*B, ...]` as those of each layer, `[*B, L, ...]`; what is NumPy's stays so, and known."""

    def widen(a: Array) -> Array:
        library: Any = np if isinstance(a, np.ndarray) else jnp
        return library.broadcast_to(library.expand_dims(a, axis), a.shape[:axis] + (number,) + a.shape[axis:])

    return jax.tree.map(widen, places)


def stack_modules(make: Any, keys: Array) -> Any:
    """The modules that `make` makes of each key, as one: parameters `[L, ...]`, whose first axis is named "layers"."""
    stacked = jax.vmap(make)(keys)
    for leaf in jax.tree.leaves(stacked, is_leaf=lambda node: isinstance(node, nnx.Variable)):
        leaf.set_metadata(out_sharding=("layers", *leaf.get_metadata("out_sharding")))
    return stacked
