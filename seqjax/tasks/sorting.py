"""Bucket sort."""

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Int, Key
from seqjax._internal.validation import check_counts
from seqjax.tasks.base import Example
from seqjax.tasks.strings import StringTask


class BucketSort(StringTask):
    """Bucket sort (Deletang et al. 2023): the answer to s_1 ... s_L is its symbols in rising order.  n = 2 L.

    Symbols are independent and uniform, 0 ... K - 1; K is the empty token. Counting to L for each symbol is enough.

    Baseline: symbol p of the answer is at most k where more than p of the L symbols are, with chance
    P(Binomial(L, (k + 1) / K) > p); the best blind answer takes the likeliest symbol of each p.

    Example: 2 3 4 3 sorted.

    >>> from seqjax import tasks
    >>> print(tasks.bucket_sort.as_text(8, seed=2))
    input   2 3 4 3 5 5 5 5
    target  . . . . 2 3 3 4

    Args:
        symbols: K; 5 in the paper.
    """

    name = "bucket_sort"
    per_token = 1
    extra = 0

    symbols: int = 5

    def __post_init__(self) -> None:
        check_counts(self, symbols=2)

    @property
    def vocabulary(self) -> int:
        return self.symbols + 1

    @property
    def out_features(self) -> int:
        return self.symbols

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        tokens = jax.random.randint(key, (length,), 0, self.symbols, jnp.int32)
        ordered = jnp.sort(jnp.where(jnp.arange(length) < size, tokens, self.symbols))
        return tokens, ordered, jnp.ones(length, bool)

    def string_baseline(self, size: int) -> float:
        from scipy.special import bdtrc

        at_most = [bdtrc(np.arange(size), size, (k + 1) / self.symbols) for k in range(self.symbols)]
        hits = np.diff(at_most, axis=0, prepend=0)
        return float(hits.max(axis=0).mean())
