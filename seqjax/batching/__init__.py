"""Batches by number: batch `step` of a seed is a pure function, so the data position is one integer.

A source of batches is a value; `source.batch(step)` gives a `seqjax.Batch` of NumPy arrays for any step, in any
order, in any process. To resume, go on with the next number. A source of one's own is any object with `batch(step)`.
"""

from seqjax.batching.batch import Batch
from seqjax.batching.buckets import Buckets
from seqjax.batching.devices import shard, to_devices
from seqjax.batching.examples import Shuffled
from seqjax.batching.grain import grain_source
from seqjax.batching.order import permutation
from seqjax.batching.prefetching import prefetch
from seqjax.batching.ragged import Ragged
from seqjax.batching.scaler import Scaler
from seqjax.batching.source import Source
from seqjax.batching.stream import RandomWindows, Stream
from seqjax.batching.synthetic import Synthetic
from seqjax.batching.windows import Windows

__all__ = [
    "Batch",
    "Buckets",
    "Ragged",
    "RandomWindows",
    "Scaler",
    "Shuffled",
    "Source",
    "Stream",
    "Synthetic",
    "Windows",
    "grain_source",
    "permutation",
    "prefetch",
    "shard",
    "to_devices",
]
