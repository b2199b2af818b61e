"""Many layers of one kind one after another: in a loop over their stacked parameters, or each for itself."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Pair, PyTree
from seqjax.core import taps


def scan_layers(
    layer: Callable[[Any, PyTree], Pair], x: PyTree, inputs: PyTree, number: int, leading: int, *, remat: bool = False
) -> Pair:
    """x through all layers, `x, outputs = scan_layers(layer, x, inputs, number, leading)`.

    What is tapped in a layer gets the path "layer/" and one axis for the layers, `[B, T, L, ...]`.

    Args:
        layer: `(x, inputs of this layer) -> (x, outputs of this layer)`; x keeps its shape and dtype.
        x: what goes into the first layer.
        inputs: a tree of arrays with the layers first, `[L, ...]`: parameters, caches, keys.
        number: of layers, L.
        leading: number of axes of batch and time that values in a layer begin with, after which that of layers goes.
        remat: compute each layer again in the backward pass instead of keeping what is in it.

    Returns:
        What comes out of the last layer, and the outputs of all, `[L, ...]`.

        >>> import jax.numpy as jnp
        >>> from seqjax.core.layered import scan_layers
        >>> y, seen = scan_layers(lambda x, w: (w * x, x), jnp.array(1.0), jnp.array([2.0, 3.0, 4.0]), 3, 0)
        >>> float(y), seen.tolist()
        (24.0, [1.0, 2.0, 6.0])
    """
    body = _make_body(layer, remat, in_loop=True)
    with taps.scope("layer"):
        probes = move_axis(taps.current_probes(), leading, 0)
        x, (outputs, values) = lax.scan(body, x, (inputs, probes), number)
        taps.add_values(move_axis(values, 0, leading))
    return x, outputs


def chain_layers(
    layer: Callable[[Any, PyTree], Pair], x: PyTree, inputs: Sequence[PyTree], leading: int, *, remat: bool = False
) -> Pair:
    """What `scan_layers` computes, without a loop: a program that grows with the layers, but stacks nothing of theirs.

    Args:
        layer, x, leading, remat: as there.
        inputs: a tree for each layer.

    Returns:
        What comes out of the last layer, and a list of the outputs of each.

        >>> import jax.numpy as jnp
        >>> from seqjax.core.layered import chain_layers
        >>> y, seen = chain_layers(lambda x, w: (w * x, x), jnp.array(1.0), [2.0, 3.0, 4.0], 0)
        >>> float(y), list(map(float, seen))
        (24.0, [1.0, 2.0, 6.0])
    """
    body, outputs, values = _make_body(layer, remat, in_loop=False), [], []
    with taps.scope("layer"):
        probes = move_axis(taps.current_probes(), leading, 0)
        for number, own in enumerate(inputs):
            x, (output, seen) = body(x, (own, jax.tree.map(lambda probe: probe[number], probes)))
            outputs.append(output)
            values.append(seen)
        taps.add_values(jax.tree.map(lambda *parts: jnp.stack(parts, leading), *values))
    return x, outputs


def _make_body(layer: Callable[[Any, PyTree], Pair], remat: bool, in_loop: bool) -> Callable[[Any, PyTree], Pair]:
    """One layer, with what is tapped in it among its outputs."""

    def run(x: PyTree, inputs: PyTree) -> Pair:
        own, probes = inputs
        (x, output), values = taps.run_recorded(layer, probes, x, own)
        return x, (output, values)

    return jax.checkpoint(run, prevent_cse=not in_loop) if remat else run


def move_axis(tree: PyTree, source: int, destination: int) -> PyTree:
    """`jnp.moveaxis` of every array of a tree."""
    return jax.tree.map(lambda a: jnp.moveaxis(a, source, destination), tree)
