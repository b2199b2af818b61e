"""All norms of a gradient flow, as a user of each framework on JAX gets them.

The loss is the sum of the last output over all features, of each row by itself. Ours is `gradient_flow`, in logarithms.
In the others zeros are added to the carry before every step: the gradient in them is that in the carry.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.peers.model import Program, Stream
from experiments.benchmarks.peers.work import NotOffered, Point, Tree, make_data, make_weights


class Flow(Program):
    """The norms of dL/d carry before every step, `[B, T]`, first step first."""

    def __init__(self, module: Any, point: Point) -> None:
        if point.work != "lstm" or point.lengths:
            raise NotOffered("flows are measured for an LSTM, without lengths")
        own = jax.tree.map(jnp.asarray, make_weights(point))
        self.point, xs = point, jnp.asarray(make_data(point).xs)
        if hasattr(module, "flow"):
            self._compile(lambda w, xs: module.flow(point, w, xs), (own, xs))
        else:
            stream = module.stream(point, own)
            self._compile(lambda own, xs: norms(stream._replace(own=own), xs), (stream.own, xs))

    def numbers(self) -> dict[str, np.ndarray]:
        """The norms."""
        return {"norms": np.asarray(self.run())}


def norms(stream: Stream, xs: jax.Array) -> jax.Array:
    """Those of all steps, `[B, T]`, by one backward pass of float32."""
    batch, steps, _ = xs.shape
    zeros = jax.tree.map(lambda a: jnp.zeros((steps, *a.shape), a.dtype), stream.carry)

    def loss(added: Tree) -> jax.Array:
        def step(carry: Tree, inputs: Tree) -> tuple[Tree, jax.Array]:
            x, more = inputs
            return stream.step(stream.own, jax.tree.map(jnp.add, carry, more), x)

        return jnp.sum(jax.lax.scan(step, stream.carry, (jnp.moveaxis(xs, 1, 0), added))[1][-1])

    squares = jax.tree.map(lambda g: jnp.sum((g * g).reshape(steps, batch, -1), -1), jax.grad(loss)(zeros))
    return jnp.sqrt(sum(jax.tree.leaves(squares))).T
