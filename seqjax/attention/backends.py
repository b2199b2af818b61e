"""The ways to compute attention, by name, and the choice between them."""

from functools import partial

import jax

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
    outputs, weights = _plain(terms)
    return outputs, weights if return_weights else None


@partial(jax.jit)
def _plain(terms: Terms) -> tuple[jax.Array, jax.Array]:
    return plain(terms)
