"""What is checked of the arguments of modules."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from seqjax._internal.types import Array, Bool, Shape
from seqjax._internal.validation import known, whole_number
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.nn.style import Style


def check_rngs(owner: str, rngs: object) -> None:
    """Refuse what draws no parameters."""
    if not isinstance(rngs, nnx.Rngs):
        raise ArgumentTypeError(f"{owner}: rngs must be nnx.Rngs, found {rngs!r}. Write rngs=nnx.Rngs(0)")
    if "params" not in rngs and "default" not in rngs:
        raise ArgumentError(
            f"{owner}: parameters are drawn from the stream params, found rngs with {', '.join(rngs) or 'none'} alone. "
            "Write rngs=nnx.Rngs(0)"
        )


def check_count(owner: str, name: str, value: object) -> int:
    """A whole number above 0."""
    return whole_number(f"{owner}: {name}", value, 1)


def head_sizes(owner: str, features: int, heads: int, style: Style) -> tuple[int, int, int]:
    """Number of query heads, number of key and value heads, width of a head.

    Raises:
        ArgumentError: they do not divide each other.
    """
    features, heads = check_count(owner, "features", features), check_count(owner, "heads", heads)
    kv_heads = heads if style.kv_heads is None else style.kv_heads
    if style.head_features is None and features % heads:
        raise ArgumentError(
            f"{owner}: heads must divide features, found heads={heads}, features={features}. "
            "Heads of another width are made with Style(head_features=...)"
        )
    if heads % kv_heads:
        raise ArgumentError(f"{owner}: kv_heads must divide heads, found kv_heads={kv_heads}, heads={heads}")
    return heads, kv_heads, style.head_features or features // heads


def check_vectors(module: Any, x: Any, features: int, name: str = "x", steps: int = 1) -> None:
    """Refuse what is not `[..., features]` in floating point."""
    owner = type(module).__name__
    if not isinstance(x, (jax.Array, np.ndarray)):
        raise ArgumentTypeError(f"{owner}: {name} must be an array, found {type(x).__name__}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ArgumentTypeError(
            f"{owner}: {name} must be floating point, found {x.dtype} {x.shape}. Token ids? Embed them first"
        )
    if x.ndim <= steps or x.shape[-1] != features:
        axes = "[..., T, " if steps else "[..., "
        raise ArgumentError(f"{owner}: {name} must be {axes}{features}], found shape {x.shape}")


def check_tokens(module: Any, ids: Any, vocabulary: int, mask: Any = None, name: str = "token ids") -> None:
    """Refuse what is not token ids `[..., T]`, whole numbers below the vocabulary where they are real and known."""
    owner = type(module).__name__
    if not isinstance(ids, (jax.Array, np.ndarray)) or not jnp.issubdtype(ids.dtype, jnp.integer):
        found = f"{ids.dtype} {ids.shape}" if hasattr(ids, "dtype") else type(ids).__name__
        raise ArgumentTypeError(f"{owner}: {name} must be an array of whole numbers, found {found}")
    if not ids.ndim:
        raise ArgumentError(f"{owner}: {name} must be [..., T], found one number; write ids[None]")
    if known(ids) and (mask is None or (known(mask) and np.shape(mask) == ids.shape)):
        real = np.asarray(ids) if mask is None else np.asarray(ids)[np.asarray(mask, bool)]
        check_below(owner, name, real, vocabulary)


def check_types(module: Any, types: Any, shape: Shape, number: int) -> None:
    """Refuse what is not types of tokens, `[*B, T]`."""
    owner = type(module).__name__
    if types is None:
        return
    if not number:
        raise ArgumentError(f"{owner}: types were given, but there is no table of them: make it with token_types=2")
    if not isinstance(types, (jax.Array, np.ndarray)) or not jnp.issubdtype(types.dtype, jnp.integer):
        raise ArgumentTypeError(f"{owner}: types must be an array of whole numbers, found {types!r:.80}")
    if types.shape != shape:
        raise ArgumentError(f"{owner}: types must have the shape of the tokens, {shape}, found {types.shape}")
    if known(types):
        check_below(owner, "types", np.asarray(types), number)


def check_below(owner: str, name: str, ids: np.ndarray, number: int) -> None:
    """Refuse ids that are not from 0 to number - 1."""
    if ids.size and not (ids.min() >= 0 and ids.max() < number):
        raise ArgumentError(f"{owner}: {name} must be from 0 to {number - 1}, found {ids.min()} to {ids.max()}")


def check_flags(module: Any, name: str, flags: Any, shape: Shape) -> Bool[Array, "*B T"] | None:
    """Flags `[*B, T]` or None as they are.

    Raises:
        ArgumentTypeError: they are not bool.
        ArgumentError: another shape.
    """
    if flags is None:
        return None
    owner = type(module).__name__
    meaning = {"mask": "True = a real token", "resets": "True = a new sequence begins here"}.get(name, "True = real")
    if not isinstance(flags, (jax.Array, np.ndarray)) or flags.dtype != bool:
        found = f"{flags.dtype} {flags.shape}" if hasattr(flags, "dtype") else repr(flags)
        raise ArgumentTypeError(f"{owner}: {name} must be bool, {meaning}; found {found}")
    if flags.shape != shape:
        raise ArgumentError(
            f"{owner}: {name} must have the shape of the tokens, {shape}, found {flags.shape}. Which pairs may attend "
            "is said to MultiHeadAttention alone"
        )
    return flags
