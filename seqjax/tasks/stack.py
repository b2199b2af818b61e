"""Stack manipulation."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax._internal.types import Array, Int, Key
from seqjax.tasks.base import Example
from seqjax.tasks.strings import StringTask

_POP, _PUSH = 2, 3  # PUSH 0 is 3, PUSH 1 is 4


class StackManipulation(StringTask):
    """Stack manipulation (Deletang et al. 2023).  |answer| = L + 1, n = 2 L + 1.

    The string is a stack of s fair bits from bottom to top, s uniform in 1 ... L - 1, then L - s instructions, uniform
    among POP, PUSH 0 and PUSH 1; POP does nothing to an empty stack. The answer is the final stack from top to bottom
    and the end token 2. What comes after the end token does not count, as in the paper's accuracy. Ids: bits 0
    and 1, POP 2, PUSH 0 3, PUSH 1 4, empty token 5.

    Baseline: at step p of the answer there is a fair bit where the final size S > p, the end where S = p, and
    nothing that counts where S < p. The best blind answer hits sum_p max(P(S > p) / 2, P(S = p)) of E[S] + 1 steps.
    P(S) follows from one walk over the string: each start s has chance 1 / (L - 1), each instruction moves the size
    by +1 with chance 2/3, and by -1, not below 0, with chance 1/3.

    Example: the stack 1 1 0, POP (2) takes the 0, PUSH 0 (3) brings one back: 0 1 1 from the top, then the end (2).

    >>> from seqjax import tasks
    >>> print(tasks.stack_manipulation.as_text(11, seed=0))
    input   1 1 0 2 3 5 5 5 5 5 5
    target  . . . . . 0 1 1 2 . .
    """

    name = "stack_manipulation"
    vocabulary = 6
    out_features = 3
    per_token = 1
    extra = 1
    min_string_length = 2

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        keys = jax.random.split(key, 3)
        bits = jax.random.randint(keys[0], (length,), 0, 2, jnp.int32)
        instructions = jax.random.randint(keys[1], (length,), _POP, _PUSH + 2, jnp.int32)
        start = jax.random.randint(keys[2], (), 1, size, jnp.int32)
        t = jnp.arange(length)
        tokens = jnp.where(t < start, bits, instructions)
        # A bit of the first stack is a PUSH of it.
        pushes = jnp.where(t < start, bits + _PUSH, instructions)
        stack, height = _execute(jnp.where(t < size, pushes, -1))
        answer = jnp.where(t < height, stack[jnp.clip(height - 1 - t, 0, length - 1)], 2)
        return tokens, answer, t <= height

    def string_baseline(self, size: int) -> float:
        chances = np.zeros(size + 1)
        for start in range(1, size):
            chances[start] += 1 / (size - 1)
            moved = np.zeros(size + 1)
            moved[1:] += chances[:-1] * 2 / 3
            moved[:-1] += chances[1:] / 3
            moved[0] += chances[0] / 3
            chances = moved
        above = 1 - np.cumsum(chances)
        return float(np.maximum(above / 2, chances).sum() / (1 + chances @ np.arange(size + 1)))


def _execute(instructions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The stack `[T]` from bottom to top, and its height; instructions below POP do nothing."""

    def step(
        carry: tuple[jax.Array, jax.Array], instruction: Int[jax.Array, ""]
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
        stack, height = carry
        push = instruction >= _PUSH
        stack = stack.at[height].set(jnp.where(push, instruction - _PUSH, stack[height]))
        height = jnp.where(push, height + 1, jnp.where(instruction == _POP, jnp.maximum(height - 1, 0), height))
        return (stack, height), None

    return lax.scan(step, (jnp.zeros(instructions.shape[0] + 1, jnp.int32), jnp.int32(0)), instructions)[0]
