"""What a framework on JAX gives, and the programs that are timed with it."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.peers.work import Data, Point, Tree, Weights, make_data, make_weights


@dataclasses.dataclass(frozen=True)
class Model:
    """A model of a framework.

    own: weights in its layout: they are moved, split and negated, and constants put beside them.
    apply: `(own, xs, lengths) -> outputs` `[B, T, F]`, batch first.
    lacks: the weights, all zero, that it has not.
    """

    own: Callable[[Weights], Tree]
    apply: Callable[[Tree, jax.Array, jax.Array | None], jax.Array]
    lacks: tuple[str, ...] = ()


class Stream(NamedTuple):
    """One step of a model: `(own, carry, x) -> carry, y` with x `[B, D]`, its weights and the first carry."""

    step: Callable[[Tree, Tree, jax.Array], tuple[Tree, jax.Array]]
    own: Tree
    carry: Tree


def regroup(a: jax.Array, order: str, given: str) -> jax.Array:
    """The gates of the last axis, which stand in the order `given`, in `order`; a "-" before one negates it."""
    parts = dict(zip(given, jnp.split(a, len(given), axis=-1)))
    return jnp.concatenate([parts[n[-1]] * (-1 if n[0] == "-" else 1) for n in order.split()], axis=-1)


def loss_of(model: Model, own: Tree, xs: jax.Array, targets: jax.Array | None, lengths: jax.Array | None) -> jax.Array:
    """The sum over real steps of squared outputs, or of the negative log-probability of targets."""
    ys = model.apply(own, xs, lengths)
    if targets is None:
        losses = jnp.sum(ys * ys, axis=-1)
    else:
        chosen = jnp.take_along_axis(ys, targets[..., None], axis=-1)[..., 0]
        losses = jax.nn.logsumexp(ys, axis=-1) - chosen
    if lengths is not None:
        losses = jnp.where(jnp.arange(losses.shape[1])[None] < lengths[:, None], losses, 0.0)
    return jnp.sum(losses)


class Program:
    """A compiled program with its arguments, and what its compilation took."""

    def __init__(self, model: Model, point: Point) -> None:
        data, weights = make_data(point), make_weights(point)
        self.model, self.point, self.weights = model, point, jax.tree.map(jnp.asarray, weights)
        args = (model.own(self.weights), *map(_put, (data.xs, data.targets, data.lengths)))
        self._compile(self._train(data) if point.call == "train" else self._forward, args)

    def _compile(self, function: Callable[..., Tree], args: Tree) -> None:
        self.args = jax.block_until_ready(args)
        start, cpu_start = time.perf_counter(), time.process_time()
        self.compiled = jax.jit(function).lower(*self.args).compile()
        self.compile_s, self.compile_cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
        memory: Any = self.compiled.memory_analysis()
        self.temporary_mib = memory.temp_size_in_bytes / 2**20

    def _train(self, data: Data) -> Callable[..., Tree]:
        argnums = (0, 1) if data.targets is None else (0,)
        return jax.value_and_grad(lambda *args: loss_of(self.model, *args), argnums)

    def _forward(self, own: Tree, xs: jax.Array, targets: jax.Array | None, lengths: jax.Array | None) -> jax.Array:
        return self.model.apply(own, xs, lengths)

    def run(self) -> Tree:
        """Run once, to the end."""
        return jax.block_until_ready(self.compiled(*self.args))

    def numbers(self) -> dict[str, np.ndarray]:
        """What the program gives, the gradients in the layout of `make_weights`."""
        if self.point.call == "forward":
            return {"outputs": np.asarray(self.run())}
        loss, (own, *rest) = self.run()
        # `own` moves weights about and no more, so its transpose moves their gradients back.
        gradients = jax.vjp(self.model.own, self.weights)[1](own)[0]
        found = named({"loss": loss, "weights": gradients, "inputs": rest})
        return {name: a for name, a in found.items() if name not in self.model.lacks}


def _put(a: np.ndarray | None) -> jax.Array | None:
    return None if a is None else jnp.asarray(a)


def named(tree: Tree) -> dict[str, np.ndarray]:
    """The arrays of a tree by the names that lead to them."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}
