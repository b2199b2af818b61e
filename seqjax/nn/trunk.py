"""Many blocks one after another: compiled once for sequences, each for itself for a token at a time."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from seqjax._internal.types import Array, DTypeLike, Pair, PyTree, Shape
from seqjax._internal.validation import true_or_false
from seqjax.attention.bias import Bias, relative
from seqjax.attention.cache import Cache
from seqjax.attention.memory import Memory
from seqjax.core.held import Held
from seqjax.core.layered import chain_layers, scan_layers
from seqjax.nn.block import TransformerBlock
from seqjax.nn.checks import check_count
from seqjax.nn.dropout import fold_keys
from seqjax.nn.parameters import Norm, draw_param
from seqjax.nn.shared import Shared
from seqjax.nn.style import Style

KINDS = {"encoder": (False, False), "decoder": (True, False), "reader": (True, True)}
"""Whether blocks are causal, and whether they read a memory."""


class Trunk(nnx.Module):
    """`layers` blocks and, where the style has it, a norm: parameters of blocks are `[L, ...]`, carries a tuple.

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

    def empty_cache(self, batch_shape: Shape, dtype: DTypeLike | None) -> tuple[Cache, ...]:
        """A cache for each layer."""
        block = jax.tree.map(lambda a: a[0], self.layers)
        return tuple(block.attention.initial_carry(batch_shape, dtype=dtype) for _ in range(self.number))

    def hold(self, memory: Memory) -> Held:
        """Keys, values and mask of a memory for each layer."""
        return Held(_split(jax.vmap(lambda block: block.hold(memory).value)(self.layers), self.number))

    def run(
        self, kept: tuple[Cache, ...] | None, held: Held | None, x: jax.Array, shared: Shared, keys: Array | None
    ) -> Pair:
        """Through all layers and the norm: the caches afterwards (None where there were none) and the output."""
        shared = shared._replace(bias=self.bias())
        x = jnp.asarray(x, jnp.promote_types(x.dtype, self.layers.attention.query.kernel.dtype))
        each = kept is not None and x.shape[-2] == 1
        memories = None if held is None else held.value
        kept, x = (self._run_token if each else self._run_sequence)(kept, memories, x, shared, keys)
        return kept, x if self.norm is None else self.norm(x)

    def _run_sequence(self, kept: Any, memories: Any, x: jax.Array, shared: Shared, keys: Array | None) -> Pair:
        def layer(x: jax.Array, inputs: Any) -> Pair:
            block, kept, memory, number = inputs
            held = None if memory is None else Held(memory)
            kept, x = block.run(kept, held, x, shared, fold_keys(keys, number + 1))
            return x, kept

        inputs = (self.layers, _join(kept), _join(memories), jnp.arange(self.number))
        x, kept = scan_layers(layer, x, inputs, self.number, x.ndim - 1, remat=self.remat)
        return None if kept is None else _split(kept, self.number), x

    def _run_token(self, kept: Any, memories: Any, x: jax.Array, shared: Shared, keys: Array | None) -> Pair:
        """One token, layer by layer: each writes into a cache of its own, and reads it where it lies.

        In a loop over the layers their caches would be one array, and to cut a layer out of it is more work than the
        token itself: half of the time of a step of GPT-2 with 32 rows. The price is a program that grows with L, and,
        in a loop over tokens, a second copy of the layers' weights.
        """
        # The barrier lets XLA cut the layers out before a loop over tokens: it never moves mere slices out of a loop.
        blocks = lax.optimization_barrier(_split(self.layers, self.number))

        def layer(x: jax.Array, inputs: Any) -> Pair:
            block, own, memory, number = inputs
            held = None if memory is None else Held(memory)
            own, x = block.run(own, held, x, shared, fold_keys(keys, number + 1))
            return x, own

        inputs = zip(blocks, kept, memories or (None,) * self.number, range(self.number))
        x, after = chain_layers(layer, x, tuple(inputs), x.ndim - 1, remat=self.remat)
        return tuple(after), x


def _join(layers: tuple[PyTree, ...] | None) -> PyTree:
    """What each layer has as one tree of arrays `[L, ...]`."""
    return None if layers is None else jax.tree.map(lambda *parts: jnp.stack(parts), *layers)


def _split(tree: PyTree, number: int) -> tuple[PyTree, ...]:
    """The same again for each layer. (The gradient of L indices would be L arrays `[L, ...]` to add.)"""
    leaves, structure = jax.tree.flatten(tree)
    parts = [jnp.unstack(leaf) for leaf in leaves]
    return tuple(jax.tree.unflatten(structure, [part[n] for part in parts]) for n in range(number))


def stack_modules(make: Any, keys: Array) -> Any:
    """The modules that `make` makes of each key, as one: parameters `[L, ...]`, whose first axis is named "layers"."""
    stacked = jax.vmap(make)(keys)
    for leaf in jax.tree.leaves(stacked, is_leaf=lambda node: isinstance(node, nnx.Variable)):
        leaf.set_metadata(out_sharding=("layers", *leaf.get_metadata("out_sharding")))
    return stacked
