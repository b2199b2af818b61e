"""From one sequence of tokens to another."""

from typing import Any

import jax
from flax import nnx

from seqjax._internal.types import Array, Bool, DTypeLike, Float, Int, Key, Shape
from seqjax.attention.memory import Memory
from seqjax.core.held import Held
from seqjax.errors import ArgumentError
from seqjax.nn.carries import check_held, check_kind, check_layers
from seqjax.nn.checks import check_count, check_flags, check_rngs, check_tokens
from seqjax.nn.decoder import DecoderCarry, check_decoder_carry, empty_carry, poison
from seqjax.nn.dropout import fold_keys, is_random, token_keys
from seqjax.nn.embedding import Embedding, make_head
from seqjax.nn.places import place_tokens
from seqjax.nn.shared import Shared, check_memory
from seqjax.nn.style import T5, Style, check_style
from seqjax.nn.trunk import Trunk


class EncoderDecoder(nnx.Module):
    """An encoder of a source, and a causal decoder that attends to it (Vaswani et al. 2017, Raffel et al. 2020).

    Parts: source and target (embeddings), encoder and decoder (layers, relative, norm), and head where logits are not
    tied to the embedding of the target. Source and target share one table of tokens, `source.tokens`, where they have
    one vocabulary.

    Args:
        vocabulary: V, number of tokens; or a pair, of the source and of the target, which then have a table each.
        features, heads: D, N.
        layers: L of the encoder and of the decoder, or a pair.
        positions: "learned", "sinusoidal", "rotary", "alibi", "relative" (a table for each side), or None.
        capacity: for how many tokens there are learned positions, and room in a carry.
        dropout: rate, at the embeddings and in the blocks.
        style: how blocks are built, whether logits are tied. The original has
            `Style(order="post", activation="relu")` with positions="sinusoidal".
        remat: whether the backward pass computes each layer again instead of keeping what is in it.
        rngs: draws the parameters.

    As a sequence model it is the decoder, which asks for a memory: `encode` makes it, and keys and values of it are
    projected once, in `initial_carry`.

        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from seqjax.nn import EncoderDecoder
        >>> model = EncoderDecoder(11, 8, 2, 2, capacity=8, rngs=nnx.Rngs(0))
        >>> source, target = jnp.array([[3, 1, 4, 1]]), jnp.array([[0, 2, 7]])
        >>> logits = model(source, target)
        >>> carry = model.initial_carry((1,), memory=model.encode(source))
        >>> for t in range(3):
        ...     carry, step = model.extend(carry, target[:, t : t + 1])
        >>> bool(jnp.allclose(step[:, 0], logits[:, 2], atol=1e-5))
        True

    Raises:
        ArgumentError, ArgumentTypeError: as `TransformerDecoder`; a memory that is missing.
    """

    causal = True
    feature_axes = 0
    asks = frozenset({"memory"})

    def __init__(
        self,
        vocabulary: int | tuple[int, int],
        features: int,
        heads: int,
        layers: int | tuple[int, int],
        *,
        positions: str | None = "relative",
        capacity: int = 512,
        dropout: float = 0.0,
        style: Style = T5,
        remat: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        name = "EncoderDecoder"
        check_rngs(name, rngs)
        check_style(name, style)
        self.vocabularies = check_pair(name, "vocabulary", vocabulary)
        self.shared = not isinstance(vocabulary, tuple)
        encoder_layers, decoder_layers = check_pair(name, "layers", layers)
        self.features, self.capacity = features, check_count(name, "capacity", capacity)
        options: dict[str, Any] = {"positions": positions, "capacity": capacity, "dropout": dropout}
        options |= {"style": style, "rngs": rngs}
        self.encoder = Trunk(features, heads, encoder_layers, kind="encoder", remat=remat, **options)
        self.decoder = Trunk(features, heads, decoder_layers, kind="reader", remat=remat, **options)
        self.source = Embedding(self.vocabularies[0], features, **options)
        self.target = Embedding(None if self.shared else self.vocabularies[1], features, **options)
        outputs = self.vocabularies[1]
        self.head = None if style.tied else make_head(features, outputs, "vocabulary", bias=False, rngs=rngs)
        self.scaled_logits = style.scaled_logits
        self.dropout, self.deterministic = self.source.dropout, False

    @property
    def out_features(self) -> int:
        """V of the target."""
        return self.vocabularies[1]

    @property
    def random(self) -> bool:
        """Whether a call needs a key."""
        return is_random(self)

    def __call__(
        self,
        source: Int[Array, "*B S"],
        target: Int[Array, "*B T"],
        *,
        source_mask: Bool[Array, "*B S"] | None = None,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        key: Key[Array, ""] | None = None,
    ) -> Float[jax.Array, "*B T V"]:
        """The logits of the token after each of the target, as in training.

        Args:
            source, target: ids `[*B, S]` and `[*B, T]`; the target begins with a token that means "begin".
            source_mask, mask: bool, real tokens of each.
            resets: of the target, as in `TransformerDecoder`.
            key: one key, where something is dropped.
        """
        check_tokens(self, source, self.vocabularies[0], source_mask, "token ids of the source")
        check_tokens(self, target, self.vocabularies[1], mask, "token ids of the target")
        check_flags(self, "source_mask", source_mask, source.shape)
        if source.shape[:-1] != target.shape[:-1]:
            raise ArgumentError(
                f"EncoderDecoder: source and target must be of one batch, found {source.shape} and {target.shape}"
            )
        keys = (None, None) if key is None else jax.random.split(key)
        memory = self.encode(source, source_mask, key=keys[0])
        return self._decode(None, self._hold(memory), target, mask, resets, False, keys[1])[1]

    def encode(
        self,
        source: Int[Array, "*B S"],
        mask: Bool[Array, "*B S"] | None = None,
        *,
        key: Key[Array, "..."] | None = None,
    ) -> Memory:
        """The memory of a source: vectors `[*B, S, D]`, and which of them are real."""
        check_tokens(self, source, self.vocabularies[0], mask)
        source, places = place_tokens(self, source, mask, None)
        keys = token_keys(self, key, source.shape)
        x = self.source(source, places, fold_keys(keys, 0))
        x = self.encoder.run(None, None, x, Shared(places), keys)[1]
        return Memory(self.source.poison(x, places, rows=True), mask)

    def initial_carry(
        self,
        batch_shape: Shape = (),
        *,
        dtype: DTypeLike | None = None,
        memory: Memory | Float[Array, "*B S D"] | None = None,
    ) -> tuple[DecoderCarry, Held]:
        """Empty caches, and keys and values of the memory, projected once, for each layer."""
        empty = empty_carry(self, self.decoder, batch_shape, dtype)
        return empty, self._hold(memory, batch_shape)

    def restart(self, carry: tuple[DecoderCarry, Held], batch_shape: Shape) -> tuple[DecoderCarry, Held]:
        """The carry of a new target of the same source."""
        check_kind(self, carry, (DecoderCarry, Held))
        return empty_carry(self, self.decoder, batch_shape, None), carry[1]

    def extend(
        self,
        carry: tuple[DecoderCarry, Held],
        target: Int[Array, "*B T"],
        *,
        mask: Bool[Array, "*B T"] | None = None,
        resets: Bool[Array, "*B T"] | None = None,
        fresh: bool = False,
        key: Key[Array, "..."] | None = None,
    ) -> tuple[tuple[DecoderCarry, Held], Float[jax.Array, "*B T V"]]:
        """More tokens of the target: the carry afterwards, and their logits; as `TransformerDecoder.extend`."""
        check_tokens(self, target, self.out_features, mask)
        check_kind(self, carry, (DecoderCarry, Held))
        kept, held = carry
        check_decoder_carry(self, self.decoder, kept, target.shape[:-1])
        check_layers(self, "the memory in the carry", held.value, self.decoder.number)
        for value in held.value:
            check_held(self, value, target.shape[:-1], self.decoder.kv_sizes)
        kept, logits = self._decode(kept, held, target, mask, resets, fresh, key)
        return (kept, held), logits

    def _hold(self, memory: Memory | Array | None, batch: Shape | None = None) -> Held:
        return self.decoder.hold(check_memory(self, memory, self.features, batch))

    def _decode(
        self,
        carry: Any,
        held: Held,
        target: Array,
        mask: Array | None,
        resets: Array | None,
        fresh: bool,
        key: Array | None,
    ) -> tuple[Any, jax.Array]:
        places: Any
        target, places = place_tokens(self, target, mask, resets, None if carry is None else carry.count)
        keys = token_keys(self, key, target.shape)
        table = self.source if self.shared else self.target
        x = self.target(table.look_up(target) if self.shared else target, places, fold_keys(keys, 0))
        kept = None if carry is None else carry.layers
        kept, x = self.decoder.run(kept, held, x, Shared(places, fresh=fresh), keys)
        logits = table.logits(x, self.scaled_logits) if self.head is None else self.head(x)
        logits = poison(logits, self.target, self.decoder, carry, places)
        return (None if carry is None else DecoderCarry(places.count, kept)), logits


def check_pair(owner: str, name: str, value: object) -> tuple[int, int]:
    """Two whole numbers above 0, or one twice."""
    pair = value if isinstance(value, tuple) else (value, value)
    if len(pair) != 2:
        raise ArgumentError(f"{owner}: {name} must be a number or a pair of them, found {value!r}")
    return check_count(owner, name, pair[0]), check_count(owner, name, pair[1])
