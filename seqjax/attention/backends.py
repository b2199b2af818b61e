"""The ways to compute attention, by name, and the choice between them."""

import jax

from seqjax.attention import cudnn
from seqjax.attention.chunked import block_sizes, chunked
from seqjax.attention.plain import plain
from seqjax.attention.terms import Terms
from seqjax.core.explanation import add_line
from seqjax.errors import ArgumentError, closest

NAMES = ("auto", "plain", "chunked", "cudnn")
FEWEST_PAIRS = 640 * 640  # from so many pairs a head on, "auto" takes blocks: below, all scores at once are as fast

# Compiled once for equal shapes and options outside `jit` too: a loop would otherwise compile at each call.
_plain, _chunked = jax.jit(plain), jax.jit(chunked, static_argnums=1)


def run(name: str, terms: Terms, places: bool, return_weights: bool) -> tuple[jax.Array, jax.Array | None]:
    """The outputs `[*B, N, T, H]`, and the weights or None.

    places: whether positions are the default ones.

    Raises:
        ArgumentError: no such backend, or one that cannot do what is asked.
    """
    if name not in NAMES:
        raise ArgumentError(f"there is no backend {name!r}.{closest(str(name), NAMES)}")
    obstacles = {
        "plain": [],
        "chunked": ["it never has all weights at once, which return_weights asks for"] if return_weights else [],
        "cudnn": cudnn.obstacles(terms, places, return_weights),
    }
    if name == "auto":
        name, why = _choose(terms, obstacles)
    elif obstacles[name]:
        raise ArgumentError(f"backend {name!r} cannot compute this: {'; '.join(obstacles[name])}")
    else:
        why = "as asked"
    queries, keys = terms.q.shape[-2], terms.k.shape[-2]
    add_line(f"attention, {queries} queries and {keys} keys: {name} ({why})")
    if name == "plain":
        outputs, weights = _plain(terms)
        return outputs, weights if return_weights else None
    return (cudnn.flash(terms) if name == "cudnn" else _chunked(terms, block_sizes(queries, keys))), None


def _choose(terms: Terms, obstacles: dict[str, list[str]]) -> tuple[str, str]:
    """A name, and why. Never cuDNN, which differentiates once, in reverse alone: it must be asked for by name."""
    queries, keys = terms.q.shape[-2], terms.k.shape[-2]
    flash = f"no cudnn: {obstacles['cudnn'][0]}" if obstacles["cudnn"] else "cudnn could, if asked for by name"
    if obstacles["chunked"]:
        return "plain", f"return_weights; {flash}"
    if queries == 1 or queries * keys < FEWEST_PAIRS:
        return "plain", f"one query; {flash}" if queries == 1 else f"short; {flash}"
    return "chunked", f"{FEWEST_PAIRS:,} pairs or more; {flash}"
