"""Where a model with attention looks: its weights in every layer and head, and what follows from them."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Carry, Float, Int, Params, PyTree
from seqjax.combinators import Bidirectional, Stack
from seqjax.core.cell import Cell
from seqjax.core.trace import trace
from seqjax.core.wrapper import Wrapper
from seqjax.errors import ArgumentError

NAME = "weights"
"""What cells with attention call their weights where they tap them."""

Weights = Float[Array, "B T *N S"]
Layer = Float[Array, "B T ... T"]
Positions = tuple[Int[Array, "... T"], Int[Array, "... S"]]


def attention_weights(
    cell: Cell, params: Params, xs: PyTree, carry: Carry = None, **options: Any
) -> dict[str, Float[jax.Array, "B T *N S"]]:
    """The weights of every layer with attention, by path, from the first layer to the last.

    Args:
        cell, params, xs, carry: as in `seqjax.scan`. Without a carry position s of the weights is step s; with one
            the keys of a cell with a cache are its slots, and then the steps where there are several.
        options: those of `scan`.

    Returns:
        For each path as `seqjax.trace` has it, weights `[B, T, N, S]` of T queries, N heads and S keys, after the
        softmax and before dropout. The layers of `repeat` and of Flax modules with many share a path and have an axis
        before that of heads, `[B, T, L, N, S]`; a cell that looks at a memory without heads has `[B, T, S]`. Rows of
        unreal queries are zero.

    Raises:
        ArgumentError, ArgumentTypeError: no layer has attention; what `scan` refuses.

    Any cell that taps what it calls "weights" is seen; here one that looks at all steps alike:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.diagnostics import attention_entropy, attention_weights
        >>> class Mean(sj.Cell):
        ...     out_features, causal = 3, False
        ...     def init(self, key, in_features, dtype=jnp.float32):
        ...         return {}
        ...     def initial_carry(self, params, batch_shape=()):
        ...         return ()
        ...     def sequence(self, params, carry, xs, plan=sj.Plan()):
        ...         T, B, _ = xs.shape
        ...         weights = sj.tap("weights", jnp.full((T, B, 1, T), 1 / T))
        ...         return carry, jnp.einsum("tbns,sbd->tbd", weights, xs)
        >>> model = sj.stack(sj.LSTM(3), Mean())
        >>> params = model.init(jax.random.key(0), 2)
        >>> weights = attention_weights(model, params, jnp.ones((1, 4, 2)))
        >>> {path: value.shape for path, value in weights.items()}
        {'1/weights': (1, 4, 1, 4)}
        >>> print(attention_entropy(weights["1/weights"])[0, 0], jnp.log(4.0))
        [1.3862944] 1.3862944
    """
    for name in ("reverse", "checkpoint"):
        if options.get(name):
            raise ArgumentError(f"attention_weights: {name} is not for it, as keys would stand in another order")
    seen = trace(cell, params, xs, carry, **options)[2]
    found = {path: jnp.asarray(value) for path, value in seen.items() if path.rsplit("/", 1)[-1] == NAME}
    if not found:
        raise ArgumentError(
            f"attention_weights: {cell!r} has no layer with attention, as none taps {NAME!r}. It taps {', '.join(seen)}"
        )
    steps = {path: value[..., ::-1] if _is_read_backwards(cell, path) else value for path, value in found.items()}
    return {path: steps[path] for path in sorted(steps, key=lambda path: _place(cell, path))}


def _is_read_backwards(cell: Cell, path: str) -> bool:
    """Whether a path is of a layer that reads from the end: its keys then stand from the last step to the first."""
    backwards = False
    for part in path.split("/"):
        while isinstance(cell, Wrapper) and not isinstance(cell, Bidirectional):
            cell = cell.cell
        if isinstance(cell, (Stack, Bidirectional)) and part in cell.parts:
            backwards ^= isinstance(cell, Bidirectional) and part == "backward"
            cell = cell.parts[part]
    return backwards


def _place(cell: Cell, path: str) -> list[tuple[int, str]]:
    """What sorts paths as layers follow each other, where a trace has them by name."""
    places = []
    for part in path.split("/"):
        while isinstance(cell, Wrapper):
            cell = cell.cell
        if isinstance(cell, Stack) and part in cell.parts:
            places.append((list(cell.parts).index(part), part))
            cell = cell.parts[part]
        else:
            places.append((int(part) if part.isdigit() else -1, part))
    return places


def attention_entropy(weights: Float[Array, "*N S"]) -> Float[jax.Array, "*N"]:
    """How widely each query looks: H = - sum_s a_s log a_s in nats, 0 for one key and log S for all S alike.

    weights: `[..., S]`, as `attention_weights` gives them: a row sums to 1, and keys that may not be looked at count
        for nothing. NaN where a row is empty: a query that is not real, or that may look nowhere.

        >>> import jax.numpy as jnp
        >>> from seqjax.diagnostics import attention_entropy
        >>> print(attention_entropy(jnp.array([[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]])))
        [0.        0.6931472       nan]
    """
    weights = jnp.asarray(weights)
    logs = jnp.log(jnp.where(weights > 0, weights, 1))
    return _unless_empty(weights, 0 - jnp.sum(weights * logs, axis=-1))


def attention_distance(weights: Weights, positions: Positions | None = None) -> Float[jax.Array, "B T *N"]:
    """How far each query looks: sum_s a_s |t - s| in steps.

    Args:
        weights: `[B, T, ..., S]`, as `attention_weights` gives them.
        positions: of queries, `[T]` or `[B, T]`, and of keys, `[S]` or `[B, S]`; where None, there are as many keys as
            queries, and both are at 0 ... T - 1. Weights that were taken with a carry have the slots of a cache
            among their keys: `seqjax.attention.places` and `extend` say where each stands.

    Returns:
        `[B, T, ...]`; NaN where a row is empty.

    Raises:
        ArgumentError: positions of other shapes; none where there are not as many keys as queries.

        >>> import jax.numpy as jnp
        >>> from seqjax.diagnostics import attention_distance
        >>> causal = jnp.tril(jnp.ones((4, 4))) / jnp.arange(1, 5)[:, None]  # all steps so far alike
        >>> print(attention_distance(causal[None, :, None])[0, :, 0])
        [0.  0.5 1.  1.5]
    """
    weights = jnp.asarray(weights)
    if weights.ndim < 3:
        raise ArgumentError(f"attention_distance: weights must be [B, T, ..., S], found the shape {weights.shape}")
    steps, keys = weights.shape[1], weights.shape[-1]
    if positions is None and steps != keys:
        raise ArgumentError(
            f"attention_distance: weights {weights.shape} are of {steps} queries and {keys} keys: say where they "
            "stand, positions=(queries, keys). With a carry the keys are the slots of its cache, empty ones too, and "
            "then the new steps: those of seqjax.attention.places and of the keys of seqjax.attention.extend"
        )
    q, k = (jnp.arange(steps), jnp.arange(keys)) if positions is None else map(jnp.asarray, positions)
    for name, found, wanted in (("queries", q, weights.shape[:2]), ("keys", k, (weights.shape[0], keys))):
        if found.shape not in (wanted, wanted[1:]):
            raise ArgumentError(
                f"attention_distance: positions of {name} have shape {found.shape}, expected {wanted[1:]} or {wanted}"
            )
    q, k = (jnp.broadcast_to(p, (weights.shape[0], p.shape[-1])) for p in (q, k))
    far = jnp.abs(q[:, :, None] - k[:, None, :])
    far = far.reshape(*far.shape[:2], *(1,) * (weights.ndim - 3), keys)
    return _unless_empty(weights, jnp.sum(weights * far, axis=-1))


def attention_rollout(
    weights: Mapping[str, Layer] | Sequence[Layer], *, residual: float = 0.5
) -> Float[jax.Array, "B T T"]:
    """What part of each output position comes from which input, through all layers (Abnar and Zuidema 2020).

    R = A_L ... A_2 A_1 with A_l = (1 - r) (mean of layer l's weights over its heads) + r I, the rows of each sum to 1.
    What recurrent layers between them mix is not in it.

    Args:
        weights: of each layer, first to last, `[B, T, N, T]`, or `[B, T, L, N, T]` for L of them at once: what
            `attention_weights` gives, or a list of some of its values.
        residual: r, the share that goes around the attention; 1/2 in the paper.

    Returns:
        `[B, T, T]`: row t says where position t of the last layer comes from. Rows sum to 1; one that is not real is
        its own.

    Raises:
        ArgumentError: no weights, queries that are not the keys, or a residual outside of 0 ... 1.

        >>> import jax.numpy as jnp
        >>> from seqjax.diagnostics import attention_rollout
        >>> first = jnp.array([[1.0, 0.0], [1.0, 0.0]])[None, :, None]  # both look at the first step
        >>> print(attention_rollout([first, first])[0])
        [[1.   0.  ]
         [0.75 0.25]]
    """
    layers = list(weights.values()) if isinstance(weights, Mapping) else list(weights)
    if not layers or not 0 <= residual <= 1:
        raise ArgumentError(f"attention_rollout: give weights of a layer, and residual in 0 ... 1, found {residual}")
    found = None
    for layer in layers:
        if layer.ndim not in (4, 5) or layer.shape[1] != layer.shape[-1]:
            raise ArgumentError(
                f"attention_rollout: weights have shape {layer.shape}, expected [B, T, N, T] or [B, T, L, N, T], with "
                "queries that are the keys. A memory or a cache? Its keys are no positions of this sequence"
            )
        each = jnp.mean(jnp.asarray(layer), axis=-2)
        for one in jnp.moveaxis(each, 2, 0) if layer.ndim == 5 else [each]:
            mixed = (1 - residual) * one + residual * jnp.eye(one.shape[-1], dtype=one.dtype)[None]
            total = jnp.sum(mixed, axis=-1, keepdims=True)
            mixed = jnp.where(total > 0, mixed / jnp.where(total > 0, total, 1), 0)
            found = mixed if found is None else mixed @ found
    assert found is not None
    return found


def _unless_empty(weights: Float[jax.Array, "*N S"], value: Float[jax.Array, "*N"]) -> Float[jax.Array, "*N"]:
    """NaN where a row of weights is zero."""
    return jnp.where(jnp.any(weights > 0, axis=-1), value, jnp.nan)
