"""What is refused of carries: none at all, that of another module, that of another batch."""

from typing import Any, Never

from flax import nnx

from seqjax._internal.types import Array, Shape
from seqjax.attention.cache import Cache
from seqjax.core.held import Held
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


def check_cache(module: Any, cache: Any, batch: Shape, heads: Shape, layers: Shape = ()) -> None:
    """Refuse a cache that is not `[*B, *layers, C, *heads]`, heads and their width.

    Raises:
        ArgumentError, ArgumentTypeError: so it is.
    """
    check_kind(module, cache, Cache)
    _check_shape(module, "the carry", cache.k.shape, batch, layers, heads)
    if cache.at.shape != cache.k.shape[:-2] or cache.count.shape != (*batch, *layers):
        raise ArgumentError(
            f"{type(module).__name__}: the parts of the carry do not fit each other, found k {cache.k.shape}, at "
            f"{cache.at.shape}, count {cache.count.shape}. Leaves of a carry have the batch axes first"
        )


def check_held(module: Any, held: Held, batch: Shape, heads: Shape, layers: Shape = ()) -> None:
    """Refuse keys and values of a memory that are not `[*B, *layers, S, *heads]`."""
    _check_shape(module, "the memory in the carry", held.value[0].shape, batch, layers, heads)


def _check_shape(module: Any, name: str, found: Shape, batch: Shape, layers: Shape, heads: Shape) -> None:
    inner = (*layers, *heads)
    own = (*found[len(found) - 3 - len(layers) : -3], *found[-2:])
    before = found[: max(0, len(found) - 3 - len(layers))]
    if len(found) == len(batch) + len(layers) + 3 and before == batch and own == inner:
        return
    text = lambda sizes: f"[{', '.join(map(str, sizes))}]"
    slip = "It is of another batch" if own == inner else "It is of another module"
    raise ArgumentError(
        f"{type(module).__name__}: {name} must have keys {text((*batch, *layers, '...', *heads))}, found {text(found)}."
        f" {slip}: for inputs of the batch {batch} make one by initial_carry({batch}) of this module"
    )
