"""What is refused of carries: none at all, that of another module, that of another batch."""

from typing import Any, Never

from flax import nnx

from seqjax._internal.types import Array, Shape
from seqjax.attention.cache import Cache
from seqjax.errors import ArgumentError, ArgumentTypeError, NotCausalError


def check_extends(module: Any) -> None:
    """Refuse to go on with what sees both directions."""
    if not module.causal:
        name = type(module).__name__
        raise NotCausalError(
            f"{name} is not causal, so that it cannot go on from a carry: call it with the whole sequence, or make it "
            f"with causal=True"
        )


class WholeSequences(nnx.Module):
    """A module that sees both directions: it has no carry, and says so."""

    def initial_carry(self, batch_shape: Shape = (), **given: Any) -> Never:
        """There is none.

        Raises:
            NotCausalError: always.
        """
        self._refuse()

    def extend(self, carry: Any, x: Array, **options: Any) -> Never:
        """There is no going on.

        Raises:
            NotCausalError: always.
        """
        self._refuse()

    def _refuse(self) -> Never:
        raise NotCausalError(
            f"{type(self).__name__} sees both directions, so that it cannot go on from a carry: call it with the whole "
            "sequence. TransformerDecoder, and the decoder of EncoderDecoder, go on"
        )


def check_kind(module: Any, carry: Any, kind: type | tuple[type, ...]) -> None:
    """Refuse what is not of a type, or not a pair of things of two types."""
    pair = isinstance(kind, tuple)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    parts = (carry,) if not pair else carry if type(carry) is tuple and len(carry) == len(kinds) else ()
    if len(parts) != len(kinds) or not all(map(isinstance, parts, kinds)):
        wanted = " and ".join(k.__name__ for k in kinds)
        raise ArgumentTypeError(
            f"{type(module).__name__}: carry must be what its initial_carry returns, {'a pair of ' * pair}{wanted}, "
            f"found {_described(carry)}"
        )


def _described(carry: Any) -> str:
    if type(carry) is tuple:
        return f"a tuple of {', '.join(type(part).__name__ for part in carry)}"
    return type(carry).__name__


def check_layers(module: Any, name: str, layers: Any, number: int) -> None:
    """Refuse what is no tuple of so many layers."""
    if type(layers) is not tuple:
        raise ArgumentTypeError(f"{type(module).__name__}: {name} must be a tuple, found {type(layers).__name__}")
    if len(layers) != number:
        raise ArgumentError(
            f"{type(module).__name__}: {name} must be of {number} layers, found {len(layers)}. It is of another module"
        )


def check_cache(module: Any, cache: Any, batch: Shape, heads: Shape) -> None:
    """Refuse a cache whose keys are not `[*B, K, C, H]`, with K and H in `heads`.

    Raises:
        ArgumentError, ArgumentTypeError: so it is.
    """
    check_kind(module, cache, Cache)
    _check_shape(module, "the carry", cache.k.shape, batch, heads)
    if cache.at.shape != (*batch, cache.k.shape[-2]) or cache.count.shape != batch:
        raise ArgumentError(
            f"{type(module).__name__}: the parts of the carry do not fit each other, found k {cache.k.shape}, at "
            f"{cache.at.shape}, count {cache.count.shape}. Leaves of a carry have the batch axes first"
        )


def check_held(module: Any, value: Any, batch: Shape, heads: Shape) -> None:
    """Refuse what is no triple of keys, values and mask of a memory, keys `[*B, K, S, H]` with K and H in `heads`."""
    if type(value) is not tuple or len(value) != 3 or not hasattr(value[0], "shape"):
        raise ArgumentTypeError(
            f"{type(module).__name__}: the memory in the carry must be keys, values and mask, as initial_carry of this "
            f"module makes them, found {_described(value)}"
        )
    _check_shape(module, "the memory in the carry", value[0].shape, batch, heads)


def _check_shape(module: Any, name: str, found: Shape, batch: Shape, heads: Shape) -> None:
    own = (found[-3:-2], found[-1:])
    if found[:-3] == batch and own == (heads[:1], heads[1:]):
        return
    text = lambda sizes: f"[{', '.join(map(str, sizes))}]"
    wanted = text((*batch, heads[0], "...", heads[1]))
    slip = "It is of another batch" if own == (heads[:1], heads[1:]) else "It is of another module"
    raise ArgumentError(
        f"{type(module).__name__}: {name} must have keys {wanted}, found {text(found)}."
        f" {slip}: for inputs of the batch {batch} make one by initial_carry({batch}) of this module"
    )
