"""What a decoder attended to while it wrote."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Carry, Float, Int, Params
from seqjax.core.cell import Cell
from seqjax.core.trace import trace
from seqjax.decode.checks import check_prompt
from seqjax.decode.generation import Generation
from seqjax.decode.history import History
from seqjax.errors import ArgumentError, closest


def alignments(
    cell: Cell,
    params: Params,
    prompt: Int[Array, "..."] | Sequence,
    generation: Generation,
    *,
    lengths: Int[Array, "..."] | Sequence | None = None,
    carry: Carry = None,
    name: str = "weights",
) -> Float[jax.Array, "..."]:
    """The attention weights with which each token was written, `[B, L, S]` (of beams, `[B, K, L, S]`).

    The tokens are read once more, all known, with `seqjax.trace`: exact, and the loop that wrote them keeps nothing.
    Weights after the end of a text are 0.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax import decode
        >>> block = sj.cell_from_text("as_cell(TransformerBlock, 8, 2, capacity=16)")
        >>> model = sj.stack(sj.Embed(10, 8), block, sj.Dense(10))
        >>> params = model.init(jax.random.key(0), 0)
        >>> found = decode.generate(model, params, [[1, 2, 3]], steps=4)
        >>> weights = decode.alignments(model, params, [[1, 2, 3]], found)
        >>> weights.shape[:2]
        (1, 4)

    Args:
        cell, params, prompt, lengths, carry: those of `generate`.
        generation: what it gave.
        name: the tap, by the last part of its path ("weights") or the whole path ("1/weights").

    Raises:
        ArgumentError: no tap of this name, or several.
    """
    prompt, lengths = check_prompt(cell, prompt, lengths)
    tokens = jnp.asarray(generation.tokens)
    beams = tokens.ndim == 3
    tokens = tokens if beams else tokens[:, None]
    batch, width, steps = tokens.shape
    counts = jnp.asarray(generation.lengths).reshape(batch, width)
    lengths = jnp.full(batch, prompt.shape[1], jnp.int32) if lengths is None else jnp.asarray(lengths)
    history = History(jnp.asarray(prompt), lengths, tokens, jnp.array(steps, jnp.int32))
    texts = history.tokens.reshape(batch * width, -1)[:, :-1]
    rows = lambda a: jnp.broadcast_to(a[:, None], (batch, width, *a.shape[1:])).reshape(-1, *a.shape[1:])
    before = rows(lengths - 1)
    real = before + counts.reshape(-1)
    _, _, seen = trace(cell, params, texts, jax.tree.map(rows, carry), lengths=real)
    weights = seen[_find(cell, seen, name)]
    index = before[:, None] + jnp.arange(steps, dtype=before.dtype)[None]
    weights = jax.vmap(lambda rows, index: rows[index])(weights, index)
    return weights.reshape(batch, width, *weights.shape[1:]) if beams else weights


def _find(cell: Cell, seen: dict[str, Any], name: str) -> str:
    if name in seen:
        return name
    paths = [path for path in seen if path.rpartition("/")[2] == name]
    if not paths:
        raise ArgumentError(f"alignments: {cell!r} has no tap {name!r}.{closest(name, seen)}")
    if len(paths) > 1:
        raise ArgumentError(f"alignments: several taps are called {name!r}; choose one of {', '.join(paths)}")
    return paths[0]
