"""What a step reads and never changes: a part of the carry that drivers keep out of their loops."""

from dataclasses import dataclass

import jax

from seqjax._internal.types import Carry, PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Held:
    """A leaf or tree of the carry that every step reads and none changes, such as an encoder's memory.

    Drivers close over it, so that it is stacked over time neither forwards nor backwards, and masks and resets
    leave it alone; gradients reach it. To everything else (vmap, grad, beams) it is an ordinary part of the carry.

    value: arrays with the batch axes first.

    A cell that reads a memory `[B, S, D]` in each step, here by the dot product of its state with each slot:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> class Reader(sj.Cell):
        ...     asks = frozenset({"memory"})
        ...     out_features = 2
        ...     def init(self, key, in_features, dtype=jnp.float32):
        ...         return {"kernel": jnp.ones((in_features, 2), dtype)}
        ...     def initial_carry(self, params, batch_shape=(), *, memory):
        ...         return jnp.zeros((*batch_shape, 2)), sj.Held(memory)
        ...     def restart(self, params, carry, batch_shape):
        ...         return jnp.zeros((*batch_shape, 2)), carry[1]
        ...     def step(self, params, carry, x):
        ...         h, memory = carry
        ...         weights = jax.nn.softmax(jnp.einsum("...d,...sd->...s", h, memory.value))
        ...         h = x @ params["kernel"] + jnp.einsum("...s,...sd->...d", weights, memory.value)
        ...         return (h, memory), h
        >>> cell = Reader()
        >>> params = cell.init(jax.random.key(0), 1)
        >>> memory = jnp.array([[[1.0, 0.0], [0.0, 1.0]]])
        >>> carry = cell.initial_carry(params, (1,), memory=memory)
        >>> (h, held), ys = sj.scan(cell, params, jnp.array([[[0.0], [5.0]]]), carry)
        >>> print(ys)
        [[[0.5 0.5]
          [5.5 5.5]]]
        >>> bool((held.value == memory).all())
        True
    """

    value: PyTree


def _is_held(node: object) -> bool:
    return isinstance(node, Held)


def without_held(carry: Carry) -> Carry:
    """The carry with nothing in its `Held` parts: what a loop carries."""
    return jax.tree.map(lambda node: Held(None) if _is_held(node) else node, carry, is_leaf=_is_held)


def with_held(carry: Carry, held: list[Held]) -> Carry:
    """A carry from `without_held` with the parts that `held_parts` has kept put back."""
    parts = iter(held)
    return jax.tree.map(lambda node: next(parts) if _is_held(node) else node, carry, is_leaf=_is_held)


def held_parts(carry: Carry) -> list[Held]:
    """The `Held` parts of a carry, in order."""
    return [node for node in jax.tree.leaves(carry, is_leaf=_is_held) if _is_held(node)]
