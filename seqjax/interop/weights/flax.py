"""Attention of Flax, NNX's and Linen's: parameters with the same names and layouts as here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx

from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.interop.weights.pairs import Pair, parameters, read, with_parameters
from seqjax.nn import MultiHeadAttention


def from_flax(weights: Any, module: MultiHeadAttention) -> MultiHeadAttention:
    """A module like `module` with the weights of Flax's `MultiHeadAttention`.

    Args:
        weights: an `nnx.MultiHeadAttention`, or the dict of parameters of one of NNX or Linen, such as
            `variables["params"]`.
        module: of the same sizes, `MultiHeadAttention(D, N, rngs=...)`; its own parameters are not used.

    Both scale by 1 / sqrt(H), and True in a mask says that a pair may attend in both. In a row where nothing may be
    seen Flax gives the mean of all values, and seqjax gives zeros.

    Raises:
        ArgumentTypeError: other things than these.
        ArgumentError: a parameter is missing, unexpected (`normalize_qk=True` has more), or of another shape.

        >>> import jax, jax.numpy as jnp
        >>> from flax import nnx
        >>> from seqjax.interop import from_flax
        >>> from seqjax.nn import MultiHeadAttention
        >>> theirs = nnx.MultiHeadAttention(2, 8, decode=False, rngs=nnx.Rngs(0))
        >>> ours = from_flax(theirs, MultiHeadAttention(8, 2, rngs=nnx.Rngs(1)))
        >>> x = jax.random.normal(jax.random.key(2), (3, 5, 8))
        >>> bool(jnp.allclose(ours(x), theirs(x), atol=1e-5))
        True
    """
    shapes = {name: tuple(value.shape) for name, value in _arrays(module).items()}
    if isinstance(weights, nnx.Module):
        found = parameters(weights)
    elif isinstance(weights, Mapping):
        found = _flat(weights)
    else:
        raise ArgumentTypeError(
            f"weights must be an nnx.MultiHeadAttention or its dict of parameters, found {type(weights).__name__}"
        )
    return with_parameters(module, read("weights", [Pair(name, name) for name in shapes], shapes, found))


def to_flax(module: MultiHeadAttention) -> dict[str, dict[str, np.ndarray]]:
    """The weights as a nested dict, for Linen or NNX.

    Linen takes `{"params": to_flax(module)}`, and `nnx.update(theirs, to_flax(module))` fills a module of NNX.

    Raises:
        ArgumentTypeError: no `MultiHeadAttention` of `seqjax.nn`.
        ArgumentError: it has what Flax's has not, such as grouped heads or a scale of its own.

        >>> import jax, jax.numpy as jnp
        >>> from flax import linen, nnx
        >>> from seqjax.interop import to_flax
        >>> from seqjax.nn import MultiHeadAttention
        >>> ours = MultiHeadAttention(8, 2, rngs=nnx.Rngs(0))
        >>> x = jax.random.normal(jax.random.key(2), (3, 5, 8))
        >>> theirs = linen.MultiHeadDotProductAttention(num_heads=2).apply({"params": to_flax(ours)}, x)
        >>> bool(jnp.allclose(ours(x), theirs, atol=1e-5))
        True
    """
    nested: dict[str, dict[str, np.ndarray]] = {}
    for name, array in _arrays(module).items():
        part, _, kind = name.partition("/")
        nested.setdefault(part, {})[kind] = np.array(array)
    return nested


def _arrays(module: Any) -> dict[str, Any]:
    if not isinstance(module, MultiHeadAttention):
        raise ArgumentTypeError(f"module must be a MultiHeadAttention of seqjax.nn, found {type(module).__name__}")
    found = {
        "grouped heads": module.kv_heads != module.heads,
        "a scale of its own": module.style.scale not in (None, module.head_features**-0.5),
        f"positions {module.positions.kind!r}": module.positions.kind is not None,
        "a window": module.window is not None,
    }
    if names := [name for name, there in found.items() if there]:
        raise ArgumentError(f"MultiHeadAttention: Flax's has no {', no '.join(names)}")
    return parameters(module)


def _flat(weights: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Arrays by path, from a nested dict."""
    flat: dict[str, Any] = {}
    for name, value in weights.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{path}{name}/")
        elif hasattr(value, "shape"):
            flat[f"{path}{name}"] = value
        else:
            raise ArgumentTypeError(f"weights[{path + str(name)!r}] must be an array, found {type(value).__name__}")
    return flat
