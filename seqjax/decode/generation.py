"""What decoding gives back."""

from typing import NamedTuple

from seqjax._internal.types import Array, Float, Int


class Generation(NamedTuple):
    """Generated tokens, for each row of the batch; beams have an axis K more, the best first.

    tokens: int32 `[B, L]` or `[B, K, L]`, the prompt apart. After a stop token come more of the (first) stop token.
    lengths: int32 `[B]` or `[B, K]`, how many tokens were generated, the stop token included.
    scores: `[B]` or `[B, K]`, what the strategy ranks by; the sum of `log_probs` for `greedy` and `sample`.
    log_probs: `[B, L]` or `[B, K, L]`, the log-probability that the model itself gives each token, before processors
        and temperature; 0 after the stop token.
    """

    tokens: Int[Array, "*B L"]
    lengths: Int[Array, "*B"]
    scores: Float[Array, "*B"]
    log_probs: Float[Array, "*B L"]
