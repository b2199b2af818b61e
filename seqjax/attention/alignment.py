"""Weights from scores, and means of values under them: softmax, and monotonic attention.

Axes: `B` batch (any number of axes, also none), `S` keys (the source), `E` features of a value.
"""

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Array, Bool, Float
from seqjax._internal.validation import true_or_false
from seqjax.attention._score_checks import check_flags
from seqjax.attention.plain import softmax
from seqjax.attention.terms import wide_dtype


def monotonic(
    scores: Float[Array, "*B S"],
    previous: Float[Array, "*B S"],
    real: Bool[Array, "*B S"] | None = None,
    *,
    hard: bool = False,
) -> Float[jax.Array, "*B S"]:
    """Monotonic attention, Raffel et al. 2017: where one is who goes on from the key of the step before, key by key.

    At key s one stops with probability p_s = sigmoid(scores_s), else goes on. With the weights a' of the step before,
    a_s = p_s q_s and q_s = (1 - p_{s-1}) q_{s-1} + a'_s (eq. 8 and 9). Computed by an associative scan over the keys:
    in parallel, and without the division of eq. 10, which needs p < 1. Weights may sum to less than 1: one
    may go past the end.

    Args:
        scores: of `additive` with the parameters of `init_score("monotonic", ...)`, for example. In training the paper
            adds Gaussian noise to them, so that p becomes 0 or 1.
        previous: weights of the step before; at the first step 1 at key 0, else 0.
        real: the keys that there are; one never stops at others.
        hard: stop wherever scores > 0, as at test time.

    Returns:
        Weights in float32 or wider; `context` takes them.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not fit.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> weights = attention.monotonic(jnp.zeros(3), jnp.array([1.0, 0.0, 0.0]))
        >>> weights.tolist()
        [0.5, 0.25, 0.125]
        >>> attention.monotonic(jnp.array([1.0, -1.0, 1.0]), jnp.array([0.0, 1.0, 0.0]), hard=True).tolist()
        [0.0, 0.0, 1.0]
    """
    check_flags("previous", previous, scores[..., None], jnp.floating)
    scores = jnp.asarray(scores).astype(wide_dtype(jnp.result_type(scores, previous)))
    # Of two sigmoids, as 1 - sigmoid is 0 from scores of 17 on in float32.
    stop, go_on = jax.nn.sigmoid(scores), jax.nn.sigmoid(-scores)
    if true_or_false("hard", hard):
        stop = (scores > 0).astype(scores.dtype)
        go_on = 1 - stop
    if real is not None:
        check_flags("real", real, scores[..., None], jnp.bool_)
        stop, go_on = jnp.where(real, stop, 0), jnp.where(real, go_on, 1)
    past = jnp.concatenate([jnp.zeros_like(go_on[..., :1]), go_on[..., :-1]], axis=-1)

    def join(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
        return first[0] * second[0], second[0] * first[1] + second[1]

    arriving = lax.associative_scan(join, (past, jnp.asarray(previous).astype(scores.dtype)), axis=scores.ndim - 1)[1]
    return stop * arriving


def attend(
    scores: Float[Array, "*B S"], values: Float[Array, "*B S E"], real: Bool[Array, "*B S"] | None = None
) -> tuple[Float[jax.Array, "*B E"], Float[jax.Array, "*B S"]]:
    """The mean of values under the softmax of scores, and its weights.

    Args:
        scores, values: `[*B, S]` and `[*B, S, E]`.
        real: bool `[*B, S]`, the keys that there are. A row without any gives zeros, with zero gradients.

    Returns:
        The context in the dtype of values, the weights in float32 or wider, which is how the softmax is computed.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not fit, flags that are not bool.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> context, weights = attention.attend(jnp.zeros(3), jnp.eye(3), jnp.array([True, True, False]))
        >>> context.tolist(), weights.tolist()
        ([0.5, 0.5, 0.0], [0.5, 0.5, 0.0])
    """
    check_flags("scores", scores, values, jnp.floating)
    scores = jnp.asarray(scores).astype(wide_dtype(jnp.result_type(scores)))
    if real is not None:
        check_flags("real", real, values, jnp.bool_)
        scores = jnp.where(real, scores, -jnp.inf)
        values = jnp.where(real[..., None], values, 0)  # 0 times NaN would be NaN
    weights = softmax(scores)
    return context(weights, values), weights


def context(weights: Float[Array, "*B S"], values: Float[Array, "*B S E"]) -> Float[jax.Array, "*B E"]:
    """The sum of values under weights, added up in float32 or wider, in the dtype of values.

    >>> import jax.numpy as jnp
    >>> from seqjax import attention
    >>> attention.context(jnp.array([0.5, 0.25]), jnp.array([[2.0], [4.0]])).tolist()
    [2.0]
    """
    check_flags("weights", weights, values, jnp.floating)
    values = jnp.asarray(values)
    return jnp.einsum("...s,...se->...e", weights, values.astype(weights.dtype)).astype(values.dtype)
