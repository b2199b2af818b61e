"""Layers of torch: `MultiheadAttention`, `TransformerEncoderLayer`, `TransformerDecoderLayer`.

Weights go in and out as dicts from the names of a `state_dict` to arrays, so that torch itself is not needed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.interop.weights.pairs import Pair, linear, norm, packed, parameters, read, shapes_of, with_parameters, write
from seqjax.nn import MultiHeadAttention, TransformerBlock

Layer = MultiHeadAttention | TransformerBlock


def from_torch(state: Mapping[str, Any], module: Any) -> Any:
    """A module like `module` with the weights of a layer of torch.

    | torch | here |
    |---|---|
    | `MultiheadAttention(D, N)` | `MultiHeadAttention(D, N)` |
    | `TransformerEncoderLayer(D, N, M, activation=..., norm_first=...)` | `TransformerBlock(D, N, causal=False)` |
    | `TransformerDecoderLayer(D, N, M, ...)` | `TransformerBlock(D, N, causal=True, cross=True)` |

    A `state_dict` does not say how many heads there are, which activation, where the norms stand, nor their epsilon:
    `module` says it. With torch's defaults it is built with `Style(order="post", activation="relu", hidden=2048)`;
    `norm_first=True` is `order="pre"`. Take `batch_first=True` of torch for axes `[B, T, D]`.

    Masks differ: torch's `key_padding_mask` and its bool `attn_mask` say True where a token may *not* be seen, `mask`
    here says True where it may. So `mask=~src_key_padding_mask`. A causal block needs no mask, torch needs one.

    Args:
        state: arrays by name, as `{name: tensor.numpy() for name, tensor in layer.state_dict().items()}`.
        module: of the same sizes; its own parameters are not used.

    Raises:
        ArgumentTypeError: `module` is none of the above.
        ArgumentError: a weight is missing, has no place here (`bias_k` and others), has another shape, or is no array
            of floats.

        >>> import numpy as np
        >>> from flax import nnx
        >>> from seqjax.interop import from_torch, to_torch
        >>> from seqjax.nn import MultiHeadAttention
        >>> attention = MultiHeadAttention(8, 2, rngs=nnx.Rngs(0))
        >>> state = to_torch(attention)
        >>> {name: array.shape for name, array in state.items()}  # doctest: +NORMALIZE_WHITESPACE
        {'in_proj_weight': (24, 8), 'in_proj_bias': (24,), 'out_proj.weight': (8, 8), 'out_proj.bias': (8,)}
        >>> again = from_torch(state, attention)
        >>> bool(np.array_equal(again.query.kernel, attention.query.kernel))
        True
    """
    pairs = _pairs(module)
    if not isinstance(state, Mapping):
        raise ArgumentTypeError(f"state must be a dict of arrays by name, found {type(state).__name__}")
    for name, array in state.items():
        if not isinstance(array, np.ndarray):
            raise ArgumentTypeError(
                f"state[{name!r}] must be a NumPy array, found {type(array).__name__}. "
                "Write {name: tensor.numpy() for name, tensor in layer.state_dict().items()}"
            )
    return with_parameters(module, read("state", pairs, shapes_of(module), state))


def to_torch(module: Any) -> dict[str, np.ndarray]:
    """The weights of a module as a `state_dict` of torch, of NumPy arrays; `from_torch` says which layers there are.

        layer.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch(module).items()})

    Raises:
        ArgumentTypeError: no such module.
        ArgumentError: it has what torch's layers have not, such as a gated activation or grouped heads.

        >>> from flax import nnx
        >>> from seqjax.interop import to_torch
        >>> from seqjax.nn import Style, TransformerBlock
        >>> style = Style(order="post", activation="relu", hidden=16)
        >>> state = to_torch(TransformerBlock(8, 2, causal=False, style=style, rngs=nnx.Rngs(0)))
        >>> state["linear1.weight"].shape  # [out, in]
        (16, 8)
    """
    return write(_pairs(module), parameters(module))


def _pairs(module: Any) -> list[Pair]:
    if not isinstance(module, Layer):
        raise ArgumentTypeError(
            f"module must be a MultiHeadAttention or a TransformerBlock, found {type(module).__name__}"
        )
    _check_options(module)
    if isinstance(module, MultiHeadAttention):
        return _attention("", "", module.style.bias)
    bias, pairs = module.style.bias, _attention("attention/", "self_attn.", module.style.bias)
    names = ["attention", "feed_forward"]
    if module.cross is not None:
        names.insert(1, "cross")
        pairs += _attention("cross/", "multihead_attn.", bias)
    pairs += linear("feed_forward/up", "linear1", bias=bias) + linear("feed_forward/down", "linear2", bias=bias)
    for i, name in enumerate(names, 1):
        pairs += norm(f"{name}_norm", f"norm{i}", bias=bias)
    return pairs


def _attention(ours: str, theirs: str, bias: bool) -> list[Pair]:
    """Queries, keys and values lie below each other in one matrix."""
    names = ("query", "key", "value")
    pairs = packed([f"{ours}{name}/kernel" for name in names], f"{theirs}in_proj_weight", 1, transposed=True)
    if bias:
        pairs += packed([f"{ours}{name}/bias" for name in names], f"{theirs}in_proj_bias", 0)
    return pairs + linear(f"{ours}out", f"{theirs}out_proj", bias=bias, inputs=2)


def _check_options(module: Any) -> None:
    """Refuse modules with parts that these layers of torch have not."""
    style, attention = module.style, getattr(module, "attention", module)
    found = {
        "grouped heads": attention.kv_heads != attention.heads,
        "heads whose widths do not add up to the features": attention.heads * attention.head_features
        != module.features,
        "a scale of its own": style.scale not in (None, attention.head_features**-0.5),
        f"positions {attention.positions.kind!r}": attention.positions.kind is not None,
        "a window": attention.window is not None,
    }
    if isinstance(module, TransformerBlock):
        found |= {
            f"activation {style.activation!r}": style.activation not in ("relu", "gelu"),
            "RMS norms": style.norm != "layer",
        }
    if names := [name for name, there in found.items() if there]:
        raise ArgumentError(f"{type(module).__name__}: the layers of torch have no {', no '.join(names)}")
