"""What every task and every data set hands to a model."""

from typing import Any, NamedTuple


class Batch(NamedTuple):
    """Sequences side by side, padded to one length; a pytree.

    inputs: `[B, T, D]`, token ids `[B, T]`, or any other `[B, T, ...]`.
    targets: per step `[B, T]` or `[B, T, F]`; or one for each sequence, `[B]`.
    weights: the axes of `targets` without features; bool, True where a target counts, or numbers of at least 0.
    lengths: int32 `[B]`, real steps of each input; what `scan(..., lengths=)` takes.
    """

    inputs: Any
    targets: Any
    weights: Any
    lengths: Any
