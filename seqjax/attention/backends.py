"""The ways to compute attention, by name, and the choice between them."""

import jax

from seqjax.attention.chunked import chunked
from seqjax.attention.plain import plain
from seqjax.attention.terms import Terms
from seqjax.core.explanation import add_line
from seqjax.errors import ArgumentError, closest

NAMES = ("auto", "plain", "chunked", "cudnn")


def run(name: str, terms: Terms, return_weights: bool) -> tuple[jax.Array, jax.Array | None]:
    """The outputs, and the weights or None.

    Raises:
        ArgumentError: no such backend, or one that cannot do what is asked.
    """
    if name not in NAMES:
        raise ArgumentError(f"there is no backend {name!r}.{closest(str(name), NAMES)}")
    add_line("attention: plain")
    if name == "chunked":
        return _chunked(terms), None
    outputs, weights = _plain(terms)
    return outputs, weights if return_weights else None


# Compiled once for equal shapes and options outside `jit` too: a loop would otherwise compile at each call.
_plain, _chunked = jax.jit(plain), jax.jit(chunked)
