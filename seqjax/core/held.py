"""What a step reads and never changes: a part of the carry that drivers keep out of their loops."""

from dataclasses import dataclass
from typing import Any

import jax


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Held:
    """A leaf or tree of the carry that every step reads and none changes, such as an encoder's memory.

    Drivers close over it, so that it is stacked over time neither forwards nor backwards, and masks and resets
    leave it alone; gradients reach it. To everything else (vmap, grad, beams) it is an ordinary part of the carry.

        def initial_carry(self, params, batch_shape=(), *, memory):
            return self.cell.initial_carry(params["cell"], batch_shape), Held(memory)

        def step(self, params, carry, x):
            state, memory = carry
            ... memory.value ...
            return (state, memory), y

    value: arrays with the batch axes first.
    """

    value: Any


def _is_held(node: Any) -> bool:
    return isinstance(node, Held)


def moving(carry: Any) -> Any:
    """The carry with nothing in its `Held` parts: what a loop carries."""
    return jax.tree.map(lambda node: Held(None) if _is_held(node) else node, carry, is_leaf=_is_held)


def whole(moving: Any, held: Any) -> Any:
    """`moving` with the `Held` parts that `held` (from `held_of`) has kept."""
    parts = iter(held)
    return jax.tree.map(lambda node: next(parts) if _is_held(node) else node, moving, is_leaf=_is_held)


def held_of(carry: Any) -> list[Held]:
    """The `Held` parts of a carry, in order."""
    return [node for node in jax.tree.leaves(carry, is_leaf=_is_held) if _is_held(node)]
