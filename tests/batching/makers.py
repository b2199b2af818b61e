"""Examples whose values tell where they are from, and every source over them."""

import chex
import numpy as np

from seqjax.batching import Buckets, RandomWindows, Shuffled, Stream, Windows


def inputs_of(lengths, features=()):
    """Example i holds 100 (i + 1) + t at step t: no value is 0, and each tells where it is from."""
    shape = (-1, *(1,) * len(features))
    return [100 * (i + 1) + np.arange(n).reshape(shape) + np.zeros(features, int) for i, n in enumerate(lengths)]


def targets_of(kind, lengths):
    return {
        "labels": [i + 1 for i in range(len(lengths))],
        "steps": [-x for x in inputs_of(lengths)],
        "other": [-np.arange(1, 2 + (3 * i) % 5) - 10 * i for i in range(len(lengths))],
        "next": None,
    }[kind]


def examples_of(kind, lengths):
    """Pairs of lists, as a batch row should hold them."""
    inputs, targets = inputs_of(lengths), targets_of(kind, lengths)
    if kind == "next":
        return [(x[:-1].tolist(), x[1:].tolist()) for x in inputs]
    return [(x.tolist(), np.asarray(y).tolist()) for x, y in zip(inputs, targets)]


def rows_of(batch):
    """The real part of each row of a batch, where everything else must be 0 and False."""
    rows = []
    for x, y, mask, length in zip(*batch):
        assert not x[length:].any() and not y[~mask].any()
        if mask.ndim:  # True first, then False
            assert mask.tolist() == sorted(mask.tolist(), reverse=True)
            rows.append((x[:length].tolist(), y[mask].tolist()))
        else:
            rows.append((x[:length].tolist(), y.tolist()))
    return rows


def same(one, other):
    chex.assert_trees_all_equal(one, other, strict=True)


def build(source, kind, lengths, **options):
    cls = {"fixed": Shuffled, "multiple": Shuffled, "bucket": Buckets}[source]
    options |= {"pairs": kind == "other"} | {"multiple": {"multiple": 4}, "bucket": {"buckets": 3}}.get(source, {})
    return cls(inputs_of(lengths), targets_of(kind, lengths), **options)


def every_source(batch_size=4):
    lengths = [3, 0, 5, 7, 2, 9, 4]
    series = np.arange(90, dtype=np.float32).reshape(30, 3)
    return {
        "shuffled": build("fixed", "steps", lengths, batch_size=batch_size),
        "multiple": build("multiple", "other", lengths, batch_size=batch_size),
        "next": build("fixed", "next", lengths, batch_size=batch_size),
        "buckets": build("bucket", "other", lengths, batch_size=batch_size),
        "stream": Stream(np.arange(100), batch_size, 5),
        "random windows": RandomWindows(np.arange(100), batch_size, 5),
        "windows": Windows(series, 4, 2, batch_size=batch_size, columns=[2, 0]),
    }
