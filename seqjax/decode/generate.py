"""The public face of decoding: one function for every causal cell and every strategy."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Carry, Int, Key, Params
from seqjax.core.cell import Cell
from seqjax.decode import loop
from seqjax.decode.checks import check_failure, make_request
from seqjax.decode.generation import Generation
from seqjax.decode.history import Processor
from seqjax.decode.strategy import Greedy, Strategy

_compiled = jax.jit(loop.run)


def generate(
    cell: Cell,
    params: Params,
    prompt: Int[Array, "..."] | Sequence,
    *,
    steps: int,
    strategy: Strategy = Greedy(),
    stop: int | Sequence[int] | None = None,
    lengths: Int[Array, "..."] | Sequence | None = None,
    carry: Carry = None,
    key: Key[Array, "..."] | None = None,
    processors: Sequence[Processor] = (),
) -> Generation:
    """Let a cell write: `generate(cell, params, prompt, steps=50)`.

    Each token is chosen by `strategy` from the logits `[B, V]` that the cell gives after the one before:
    p(y_t | y_1 ... y_{t-1}, prompt) = softmax(logits_t). Any causal cell from token ids to logits will do: a recurrent
    network, a transformer (its cache is its carry), a hybrid, a decoder that attends to a memory (in its carry).

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax import decode
        >>> model = sj.stack(sj.Embed(10, 8), sj.LSTM(16), sj.Dense(10))
        >>> params = model.init(jax.random.key(0), 0)
        >>> result = decode.generate(model, params, jnp.array([[1, 2, 3], [4, 5, 0]]), steps=6, lengths=[3, 2])
        >>> result.tokens.shape, result.lengths.tolist()
        ((2, 6), [6, 6])
        >>> alone = decode.generate(model, params, jnp.array([[4, 5]]), steps=6)
        >>> bool(jnp.all(alone.tokens == result.tokens[1:]))
        True

    Outside `jit` prompts and buffers are padded to a power of two, and a program is compiled once for all prompts
    and steps up to that; inside, it becomes a part of the program. There is no gradient: a loop of unknown length
    has no reverse mode.

    Args:
        cell, params: as in `scan`. Parts that draw, such as dropout, are switched off by `cell.evaluation()`.
        prompt: first tokens `[B]`, or the beginnings of the texts `[B, P]`; its rows may lie on several devices.
        steps: L, how many tokens at most.
        strategy: `greedy()`, `sample(...)`, `beam(...)`, ...
        stop: a token that ends a text, or several.
        lengths: whole numbers `[B]`, 1 ... P: the first so many tokens of each prompt are real.
        carry: the carry to start from, for a decoder whose carry holds a memory, or to go on.
        key: one key, or one for each row, where the strategy draws.
        processors: functions `(logits [..., V], history) -> logits`, applied in order.

    Returns:
        Tokens, lengths, scores and log-probabilities. Within `jit`, a row whose logits were NaN ends with the score
        NaN.

    Raises:
        ArgumentError, ArgumentTypeError: as `scan`; prompts that are no token ids or out of range; more tokens than a
            cache of the cell holds; no key though the strategy draws; logits that are NaN, by row and step, and
            processors that leave no token (outside `jit`).
        NotCausalError: the cell reads in both directions.
    """
    request = make_request(cell, params, prompt, steps, strategy, stop, lengths, carry, key, processors)
    if request.is_inline():
        generation, _ = loop.run(request)
        return _cut(generation, steps)
    generation, failure = _compiled(request.with_room())
    check_failure(failure)
    # By NumPy, which compiles nothing for another number of steps.
    return jax.tree.map(jnp.asarray, _cut(jax.tree.map(np.asarray, generation), steps))


def _cut(generation: Generation, steps: int) -> Generation:
    return generation._replace(tokens=generation.tokens[..., :steps], log_probs=generation.log_probs[..., :steps])
