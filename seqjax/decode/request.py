"""One call of `generate` as a value: static parts that hash, and trees of arrays."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Carry, Int, Key, Params
from seqjax._internal.validation import is_concrete
from seqjax.core.cell import Cell
from seqjax.decode.history import History, Processor
from seqjax.decode.strategy import Strategy

LEAST_ROOM = 32


class _Data:
    """Stands for an array among what is static."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Processors in order: arrays and numbers in them are data, all else (a user's functions) is static."""

    data: list[Any]
    structure: Any
    static: tuple[Any, ...]

    @classmethod
    def of(cls, processors: tuple[Processor, ...]) -> "Chain":
        """Taken apart."""
        leaves, structure = jax.tree.flatten(processors)
        is_data = [isinstance(leaf, (int, float, np.generic, np.ndarray, jax.Array)) for leaf in leaves]
        static = tuple(_Data if data else leaf for leaf, data in zip(leaves, is_data))
        return cls([leaf for leaf, data in zip(leaves, is_data) if data], structure, static)

    def __call__(self, logits: Array, history: History) -> jax.Array:
        data = iter(self.data)
        leaves = [next(data) if leaf is _Data else leaf for leaf in self.static]
        for processor in jax.tree.unflatten(self.structure, leaves):
            logits = processor(logits, history)
        return jnp.asarray(logits)


jax.tree_util.register_dataclass(Chain, data_fields=["data"], meta_fields=["structure", "static"])


@dataclass(frozen=True, eq=False)
class Request:
    """The arguments of `generate`, checked. Equal static parts and shapes share one compiled program.

    room: how many tokens there are buffers for, `steps` at least. prompt: int32 `[B, P]`.
    lengths: int32 `[B]`, or None where all P tokens of each row are real.
    """

    cell: Cell
    strategy: Strategy
    stop: tuple[int, ...]
    processors: Chain
    room: int
    params: Params
    prompt: Int[Array, "B P"]
    lengths: Int[Array, " B"] | None
    carry: Carry
    key: Key[Array, "..."] | None
    steps: Any

    @property
    def all_lengths(self) -> Int[jax.Array, " B"]:
        """The lengths of all rows, made of the prompt where none are given, as it may be sharded."""
        if self.lengths is None:
            return self.zeros + self.prompt.shape[1]
        return jnp.asarray(self.lengths).astype(jnp.int32)

    @property
    def zeros(self) -> Int[jax.Array, " B"]:
        """A zero for each row, sharded as the prompt is; `zeros_like` would not be, from jax 0.11 on."""
        return jnp.asarray(self.prompt)[:, 0] * 0

    def is_inline(self) -> bool:
        """Whether it becomes part of a program that is being traced."""
        leaves = jax.tree.leaves((self.params, self.prompt, self.lengths, self.carry, self.key, self.processors))
        # What is made from nothing is traced as well inside `jit`, where all arguments may be constants.
        return not all(map(is_concrete, [*leaves, jnp.zeros((), jnp.int32)]))

    def with_room(self) -> "Request":
        """Prompt and buffers padded to the next power of two, so that one program serves all lengths up to that."""
        padded = dataclasses.replace(self, steps=np.int32(self.steps), room=round_up(self.room))
        length = self.prompt.shape[1]
        if length == 1:
            return padded
        prompt = _pad(self.prompt, 1 + round_up(length - 1))
        return dataclasses.replace(padded, prompt=prompt, lengths=self.all_lengths)


jax.tree_util.register_dataclass(
    Request,
    data_fields=["params", "prompt", "lengths", "carry", "key", "processors", "steps"],
    meta_fields=["cell", "strategy", "stop", "room"],
)


def round_up(size: int) -> int:
    """The next power of two, `LEAST_ROOM` at least."""
    return max(LEAST_ROOM, 1 << (size - 1).bit_length())


def _pad(prompt: Array, size: int) -> jax.Array:
    """By NumPy, which compiles nothing; on the devices where the prompt was."""
    padded = np.pad(np.asarray(prompt), ((0, 0), (0, size - prompt.shape[1])))
    if isinstance(prompt, jax.Array) and len(prompt.sharding.device_set) > 1:
        return jax.device_put(padded, prompt.sharding)
    return jnp.asarray(padded)
