"""What has been written so far, as processors and strategies see it."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Int


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class History:
    """The tokens so far: those of the prompt, and those that were generated.

    prompt: int32 `[B, P]`, its first `lengths` tokens real. lengths: int32 `[B]`.
    generated: int32 `[B, K, L]`, its first `step` tokens real. step: int32, how many tokens have been generated.

        >>> import jax.numpy as jnp
        >>> from seqjax.decode import History
        >>> history = History(jnp.array([[5, 6, 0]]), jnp.array([2]), jnp.array([[[7, 0]]]), jnp.array(1))
        >>> history.count.tolist(), history.tokens.tolist()
        ([3], [[[5, 6, 7, 0, 0]]])
    """

    prompt: Int[Array, "B P"]
    lengths: Int[Array, " B"]
    generated: Int[Array, "B K L"]
    step: Int[Array, ""]

    @property
    def count(self) -> Int[jax.Array, " B"]:
        """How many tokens there are, those of the prompt included."""
        return jnp.asarray(self.lengths) + self.step

    @property
    def tokens(self) -> Int[jax.Array, "B K N"]:
        """Prompt and generated tokens without a gap, `[B, K, P + L]`; the first `count` are real, the rest is 0."""
        size = self.prompt.shape[1] + self.generated.shape[2]
        place = jnp.broadcast_to(jnp.arange(size, dtype=jnp.int32), (self.prompt.shape[0], size))
        lengths = self.lengths[:, None]
        rows = jnp.pad(self.prompt, ((0, 0), (0, self.generated.shape[2])))
        written = jnp.clip(place - lengths, 0, self.generated.shape[2] - 1)

        def join(row: Array, generated: Array, written: Array, new: Array) -> jax.Array:
            return jnp.where(new, generated[written], row)

        join = jax.vmap(jax.vmap(join, (None, 0, None, None)))
        tokens = join(rows, self.generated, written, place >= lengths)
        return jnp.where(self.is_real(size)[:, None], tokens, 0)

    def is_real(self, size: int) -> jax.Array:
        """Bool `[B, size]`: which of so many places hold a token."""
        return jnp.arange(size, dtype=jnp.int32)[None] < self.count[:, None]


Processor = Callable[[Array, History], Array]
"""What changes logits before a token is chosen: `(logits [B, K, V], history) -> logits`."""
