"""What every task and every data set hands to a model."""

from typing import NamedTuple

from seqjax._internal.types import Array, Bool, Int, Num


class Batch(NamedTuple):
    """Sequences side by side, padded to one length; a pytree.

    inputs: `[B, T, D]`, token ids `[B, T]`, or any other `[B, T, ...]`.
    targets: per step `[B, T]` or `[B, T, F]`; or one for each sequence, `[B]`.
    weights: the axes of `targets` without features; bool, True where a target counts, or numbers of at least 0.
    lengths: int32 `[B]`, real steps of each input; what `scan(..., lengths=)` takes.

    >>> import numpy as np
    >>> tokens, labels = np.array([[5, 3, 8], [2, 9, 0]]), np.array([1, 0])
    >>> batch = Batch(tokens, labels, weights=np.ones(2, bool), lengths=np.array([3, 2]))
    >>> inputs, targets, weights, lengths = batch
    """

    inputs: Num[Array, "B T ..."]
    targets: Num[Array, "B ..."]
    weights: Bool[Array, "B ..."] | Num[Array, "B ..."]
    lengths: Int[Array, " B"]
