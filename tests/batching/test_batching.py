"""Batches by number: every example once, nothing leaks from the padding, and any step can be had in any process."""

import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from seqjax import RNN, Embed, scan, stack
from seqjax.batching import (
    Buckets,
    RandomWindows,
    Scaler,
    Shuffled,
    Stream,
    Synthetic,
    Windows,
    grain_source,
    permutation,
    prefetch,
    shard,
    to_devices,
)
from seqjax.batching.batch import Batch
from seqjax.batching.ragged import Ragged
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError

ROOT = Path(__file__).parent.parent.parent
LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=24).filter(lambda lengths: max(lengths) > 1)
KINDS = ("labels", "steps", "other", "next")


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
    jax.tree.map(np.testing.assert_array_equal, one, other)
    assert [a.dtype for a in one] == [a.dtype for a in other]


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


# Order ----------------------------------------------------------------------------------------------------------------


def philox(seed, epoch, use, n):
    """Philox4x64-10 (Salmon et al. 2011) in Python's own numbers; the counter is raised before each block."""
    words, full = [], 2**64 - 1
    for block in range(1, n // 4 + 2):
        c, (k0, k1) = [block, 0, 0, use], (seed, epoch)
        for _ in range(10):
            p0, p1 = c[0] * 0xD2E7470EE14C6C93, c[2] * 0xCA5A826395121157
            c = [(p1 >> 64) ^ c[1] ^ k0, p1 & full, (p0 >> 64) ^ c[3] ^ k1, p0 & full]
            k0, k1 = (k0 + 0x9E3779B97F4A7C15) & full, (k1 + 0xBB67AE8584CAA73B) & full
        words += c
    return words[:n]


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.integers(0, 20))
def test_permutation_is_the_order_of_philox(seed, epoch, n):
    words = philox(seed, epoch, 0, n)
    assert permutation(seed, epoch, n).tolist() == sorted(range(n), key=words.__getitem__)


def test_permutations_differ_by_seed_and_epoch():
    orders = {tuple(permutation(seed, epoch, 20)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16 and all(sorted(order) == list(range(20)) for order in orders)


def test_other_random_choices_have_words_of_their_own():
    """The batches of all buckets by use 1, and random places by use 2."""
    made = Buckets(inputs_of(range(1, 11)), list(range(10)), 1, seed=7, buckets=10)
    epoch = [int(made.batch(step).targets[0]) for step in range(20, 30)]
    assert epoch == sorted(range(10), key=philox(7, 2, 1, 10).__getitem__)
    places = RandomWindows(np.arange(30), 6, 4, seed=7).batch(3).inputs[:, 0]
    assert places.tolist() == [word % 26 for word in philox(7, 3, 2, 6)]


# Whole examples -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", ["fixed", "multiple", "bucket"])
@given(lengths=LENGTHS, batch_size=st.integers(1, 6), epoch=st.integers(0, 3), shuffle=st.booleans())
def test_every_example_comes_once_an_epoch_and_the_padding_is_empty(source, kind, lengths, batch_size, epoch, shuffle):
    made = build(source, kind, lengths, batch_size=batch_size, seed=epoch, shuffle=shuffle)
    steps = made.steps_per_epoch
    batches = [made.batch(step) for step in range(epoch * steps, (epoch + 1) * steps)]
    empty = ([], 0 if kind == "labels" else [])
    found = [row for batch in batches for row in rows_of(batch)]
    wanted = examples_of(kind, lengths)
    assert sorted(map(str, found)) == sorted(map(str, wanted + [empty] * (len(found) - len(wanted))))
    assert all(len(batch.inputs) == batch_size for batch in batches)
    if source == "multiple":
        for batch in batches:
            assert batch.inputs.shape[1] == next(n for n in range(4, 99, 4) if n >= batch.lengths.max())
    if source != "bucket":
        assert steps == -(-len(lengths) // batch_size)
        if not shuffle:
            assert found[: len(wanted)] == wanted


@pytest.mark.parametrize("source", ["fixed", "bucket"])
@given(lengths=LENGTHS, batch_size=st.integers(1, 4))
def test_dropped_remainders_leave_full_batches(source, lengths, batch_size):
    if max(np.bincount(lengths)) < batch_size:  # then no bucket need be full
        return
    made = build(source, "labels", lengths, batch_size=batch_size, remainder="drop")
    labels = np.concatenate([made.batch(step).targets for step in range(made.steps_per_epoch)])
    assert all(made.batch(step).weights.all() for step in range(made.steps_per_epoch))
    assert len(set(labels.tolist())) == len(labels) and labels.min() > 0
    if source == "fixed":
        assert len(labels) == len(lengths) // batch_size * batch_size
    else:
        assert len(lengths) - len(labels) <= 3 * (batch_size - 1)


def test_shapes_and_dtypes_by_kind_of_target():
    lengths = [3, 5, 2]
    options = {"batch_size": 4}
    shapes = {kind: jax.tree.map(np.shape, build("fixed", kind, lengths, **options).batch(0)) for kind in KINDS}
    assert shapes == {
        "labels": Batch((4, 5), (4,), (4,), (4,)),
        "steps": Batch((4, 5), (4, 5), (4, 5), (4,)),
        "other": Batch((4, 5), (4, 4), (4, 4), (4,)),
        "next": Batch((4, 4), (4, 4), (4, 4), (4,)),
    }
    wide = Shuffled(inputs_of(lengths), targets_of("other", lengths), 4, pairs=True, length=8, target_length=6).batch(0)
    assert (wide.inputs.shape, wide.targets.shape, wide.weights.shape) == ((4, 8), (4, 6), (4, 6))
    assert Shuffled(inputs_of(lengths), targets_of("steps", lengths), 4, length=8).batch(0).weights.shape == (4, 8)
    many = build("multiple", "next", [2, 2, 10], batch_size=1, shuffle=False)
    assert [many.batch(step).inputs.shape for step in range(3)] == [(1, 4), (1, 4), (1, 12)]
    for dtype, wanted in (
        (np.uint8, np.int32),
        (np.int64, np.int32),
        (np.float64, np.float64),
        (np.float16, np.float16),
    ):
        batch = Shuffled(np.ones((3, 2, 5), dtype), np.ones(3, dtype), 2).batch(0)
        assert (batch.inputs.dtype, batch.targets.dtype) == (wanted, wanted)
        assert (batch.weights.dtype, batch.lengths.dtype) == (bool, np.int32)


def test_arrays_lists_ragged_and_jax_arrays_are_read_alike():
    array = np.arange(24).reshape(4, 3, 2)
    forms = [array, list(array), array.tolist(), Ragged.of(list(array)), jnp.asarray(array)]
    batches = [Shuffled(form, form, 3, seed=1).batch(1) for form in forms]
    for batch in batches[1:]:
        same(batches[0], batch)
    labels = [Shuffled(array, form, 3).batch(0) for form in (np.arange(4), [0, 1, 2, 3], jnp.arange(4))]
    same(labels[0], labels[1])
    same(labels[0], labels[2])


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40).filter(any), st.integers(1, 8), st.integers(1, 5))
def test_buckets_hold_close_lengths_in_few_shapes(lengths, buckets, batch_size):
    made = Buckets(inputs_of(lengths), list(range(len(lengths))), batch_size, buckets=buckets)
    batches = [made.batch(step) for step in range(2 * made.steps_per_epoch)]
    bounds = sorted({batch.inputs.shape[1] for batch in batches})
    assert len(bounds) <= buckets
    for batch in batches:
        lower = max((b for b in bounds if b < batch.inputs.shape[1]), default=-1)
        assert (batch.lengths[batch.weights] > lower).all()
        assert batch.weights.any()


def test_a_jitted_step_is_traced_once_for_each_bucket():
    traced = []

    @jax.jit
    def step(batch):
        traced.append(batch.inputs.shape)
        return batch.inputs.sum()

    made = Buckets(inputs_of(range(1, 41)), list(range(40)), 4, buckets=3)
    for i in range(3 * made.steps_per_epoch):
        step(made.batch(i))
    assert len(traced) == 3


def test_given_boundaries_are_the_padded_lengths():
    lengths = [1, 3, 4, 4, 5, 9]
    made = Buckets(inputs_of(lengths), targets_of("other", lengths), 2, pairs=True, buckets=(4, 7, 10), shuffle=False)
    assert [made.batch(step).inputs.shape for step in range(4)] == [(2, 4), (2, 4), (2, 7), (2, 10)]
    assert [made.batch(step).targets.shape[1] for step in range(4)] == [5, 5, 3, 1]  # the longest of each bucket
    assert [made.batch(step).lengths.tolist() for step in range(4)] == [[1, 3], [4, 4], [5, 0], [9, 0]]
    # 1 + 3 + 4 + 4 + 5 + 9 real steps of 2 * (4 + 4 + 7 + 10).
    assert made.padding_share() == pytest.approx(1 - 26 / 50)
    assert Shuffled(inputs_of(lengths), None, 4, length=10).padding_share() == pytest.approx(1 - 20 / 80)


@given(st.lists(st.integers(2, 60), min_size=20, max_size=60))
def test_buckets_pad_no_more_than_one_length_for_all(lengths):
    """Where no batch is filled up with empty rows, a boundary is never above the longest of all."""
    shares = [cls(inputs_of(lengths), None, 1).padding_share() for cls in (Shuffled, Buckets)]
    assert 0 <= shares[1] <= shares[0] < 1


# One long sequence ----------------------------------------------------------------------------------------------------


@given(st.integers(2, 200), st.integers(1, 5), st.integers(1, 9))
def test_streams_put_end_to_end_give_the_text_back(n, batch_size, length):
    ids = np.arange(n) + 7
    if n < batch_size * length + 1:
        with pytest.raises(ArgumentError, match="expected at least"):
            Stream(ids, batch_size, length)
        return
    stream = Stream(ids, batch_size, length)
    steps = stream.steps_per_epoch
    for epoch in range(2):
        batches = [stream.batch(step) for step in range(epoch * steps, (epoch + 1) * steps)]
        inputs = np.concatenate([batch.inputs for batch in batches], 1).ravel()
        targets = np.concatenate([batch.targets for batch in batches], 1).ravel()
        assert inputs.tolist() == ids[: len(inputs)].tolist()
        assert targets.tolist() == ids[1 : len(inputs) + 1].tolist()
        assert n - 1 - len(inputs) < batch_size * length
    assert [stream.starts(step) for step in range(2 * steps)] == [step in (0, steps) for step in range(2 * steps)]
    assert batches[0].weights.all() and batches[0].weights.shape == (batch_size, length)
    assert batches[0].lengths.tolist() == [length] * batch_size


def test_a_carry_handed_over_reads_the_text_in_one_go(x64):
    cell = stack(Embed(5, 3), RNN(4))
    params = cell.init(jax.random.key(0), 0, jnp.float64)
    stream = Stream(np.random.default_rng(0).integers(0, 5, 50), 3, 4)
    carry, outputs = None, []
    for step in range(stream.steps_per_epoch):
        assert stream.starts(step) == (carry is None)
        carry, ys = scan(cell, params, stream.batch(step).inputs, carry)
        outputs.append(ys)
    part = 4 * stream.steps_per_epoch
    _, whole = scan(cell, params, stream.ids[: 3 * part].reshape(3, part).astype(np.int32))
    np.testing.assert_allclose(np.concatenate(outputs, 1), whole, rtol=1e-12)


def test_streams_of_features():
    series = np.random.default_rng(0).normal(size=(21, 3))
    batch = Stream(series, 2, 5).batch(1)
    np.testing.assert_array_equal(batch.inputs, [series[5:10], series[15:20]])
    np.testing.assert_array_equal(batch.targets, [series[6:11], series[16:21]])
    assert batch.weights.shape == (2, 5)


def test_random_windows_are_pieces_of_the_text_from_everywhere():
    n, length = 23, 4
    source = RandomWindows(np.arange(n), 50, length, seed=3)
    batches = [source.batch(step) for step in range(40)]
    inputs = np.concatenate([batch.inputs for batch in batches])
    assert (np.diff(inputs, axis=1) == 1).all()
    assert all(np.array_equal(batch.targets, batch.inputs + 1) for batch in batches)
    counts = np.bincount(inputs[:, 0])
    places = n - length  # the last one leaves a token as target
    assert len(counts) == places
    expected = 2000 / places
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < places - 1 + 5 * np.sqrt(2 * (places - 1))  # mean and deviation of chi squared
    assert RandomWindows(np.arange(1001), 5, 10).steps_per_epoch == 20


# Time series ----------------------------------------------------------------------------------------------------------


def windows_by_hand(pieces, context, horizon, stride):
    found = []
    for piece in pieces:
        for start in range(0, len(piece), stride):
            window = piece[start : start + context + horizon]
            if len(window) == context + horizon and not np.isnan(window).any():
                found.append((window[:context].tolist(), window[context:].tolist()))
    return found


@given(
    st.lists(st.integers(1, 25), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sets(st.integers(0, 60), max_size=3),
    st.booleans(),
)
def test_windows_stay_within_a_series_and_keep_off_gaps(lengths, context, horizon, stride, missing, shuffle):
    values = np.arange(2.0 * sum(lengths)).reshape(-1, 2) + 1
    for place in missing & set(range(len(values))):
        values[place, place % 2] = np.nan
    pieces = np.split(values, np.cumsum(lengths)[:-1])
    wanted = windows_by_hand(pieces, context, horizon, stride)
    make = lambda: Windows(pieces, context, horizon, batch_size=3, stride=stride, gaps="skip", shuffle=shuffle)
    if not wanted:
        with pytest.raises(ArgumentError, match="no batch: 0 windows"):
            make()
        return
    source = make()
    found = [row for step in range(source.steps_per_epoch) for row in rows_of(source.batch(step))]
    assert len(found) == -(-len(wanted) // 3) * 3
    found, empty = [row for row in found if row[0]], [row for row in found if not row[0]]
    assert (sorted(found) if shuffle else found) == wanted
    assert all(row == ([], []) for row in empty)


def test_windows_of_one_series_with_columns():
    series = np.arange(30.0).reshape(10, 3)
    source = Windows(series, 4, 2, batch_size=5, columns=[2, 0], shuffle=False)
    batch = source.batch(0)
    np.testing.assert_array_equal(batch.inputs[1], series[1:5])
    np.testing.assert_array_equal(batch.targets[1], series[5:7][:, [2, 0]])
    assert batch.weights.shape == (5, 2) and batch.lengths.tolist() == [4] * 5
    single = Windows(np.arange(10), 4, 2, batch_size=5, remainder="drop").batch(0)
    assert (single.inputs.shape, single.targets.shape, single.inputs.dtype) == ((5, 4, 1), (5, 2, 1), np.int32)
    train, test = series[:6], series[6:]
    assert Windows(train, 2, 1, batch_size=9).batch(0).inputs.max() < test.min()


@given(st.integers(0, 2**32 - 1), st.floats(-1e6, 1e6), st.floats(1e-2, 1e4))
def test_scaled_columns_have_mean_0_and_deviation_1(seed, shift, spread):
    rng = np.random.default_rng(seed)
    train = rng.normal(size=(200, 3)) * spread + shift
    train[:, 1] = 0.1  # whose computed mean is not 0.1
    holes = rng.random(200) < 0.2
    train[holes, 2] = np.nan
    scaler = Scaler.fit(train)
    scaled = scaler(train)
    column, kept = train[:, 0], train[~holes, 2]
    slack = 1e-9 * (1 + abs(shift) / spread)  # what rounding of the shift does in float64
    np.testing.assert_allclose(scaled[:, 0], (column - column.mean()) / column.std(), atol=slack)
    np.testing.assert_allclose(scaled[~holes, 2], (kept - kept.mean()) / kept.std(), atol=slack)
    assert np.isnan(scaled[holes, 2]).all() and (scaled[:, 1] == 0).all()
    np.testing.assert_allclose(scaler.inverse(scaled), train, rtol=1e-12, atol=1e-9 * spread)
    again = scaler(train[:100])  # a part of it is scaled alike
    np.testing.assert_array_equal(again, scaled[:100])


def test_scalers_take_arrays_of_both_kinds_and_keep_their_dtype():
    train = np.array([[1.0, 10.0, 5.0], [3.0, 30.0, 5.0]])
    scaler = Scaler.fit(train)
    assert (scaler.mean.tolist(), scaler.scale.tolist()) == ([2, 20, 5], [1, 10, 1])
    x = np.ones((2, 4, 3))
    for array, dtype in ((x, np.float64), (x.astype(np.float32), np.float32), (x.astype(int), np.float32),
                         (jnp.asarray(x), np.float32), (jnp.asarray(x, jnp.bfloat16), jnp.bfloat16)):  # fmt: skip
        scaled = scaler(array)
        assert scaled.dtype == dtype and scaled.shape == x.shape
        np.testing.assert_allclose(np.asarray(scaled[1, 2], float), [-1, -1.9, -4], rtol=1e-2)
    assert scaler([[2.0, 20.0, 6.0]]).tolist() == [[0, 0, 1]]
    assert scaler.columns([2, 0]).inverse(np.array([[1.0, 1.0]])).tolist() == [[6, 3]]
    many = Scaler.fit(np.stack([train, train]))
    np.testing.assert_array_equal(many.mean, scaler.mean)


# Resuming and sharing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", every_source())
def test_any_step_can_be_had_at_once_and_again(name):
    source, fresh = every_source()[name], pickle.loads(pickle.dumps(every_source()[name]))
    steps = 3 * source.steps_per_epoch + 1
    run = [source.batch(step) for step in range(steps)]
    for step in np.random.default_rng(0).permutation(steps):
        same(fresh.batch(int(step)), run[step])
        same(fresh.batch(np.int32(step)), run[step])
    assert len(pickle.dumps(fresh)) == len(pickle.dumps(every_source()[name]))  # without the order of an epoch
    if name != "stream":
        assert any(not np.array_equal(a.inputs, b.inputs) for a, b in zip(run, run[source.steps_per_epoch :]))


@pytest.mark.parametrize("name", every_source())
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_shares_of_processes_make_the_whole(name, count):
    source = every_source()[name]
    for step in range(source.steps_per_epoch + 1):
        whole = source.batch(step)
        shares = [source.batch(step, index, count) for index in range(count)]
        same(jax.tree.map(lambda *leaves: np.concatenate(leaves), *shares), whole)
        for index, part in enumerate(shares):
            assert len(part.inputs) == 4 // count
            same(part, shard(whole, index, count))


def test_batches_go_to_devices():
    batch = every_source(8)["shuffled"].batch(0)
    mesh = jax.make_mesh((8,), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    for where, sharding in ((mesh, rows), (rows, rows), (jax.devices()[3], None), (None, None)):
        if where is jax.devices()[3]:
            where = jax.sharding.SingleDeviceSharding(where)
        there = to_devices(batch, where)
        same(jax.tree.map(np.asarray, there), batch)
        assert isinstance(there, Batch) and all(isinstance(leaf, jax.Array) for leaf in there)
        assert sharding is None or all(leaf.sharding == sharding for leaf in there)
    assert to_devices(batch).inputs.devices() == {jax.devices()[0]}
    with pytest.raises(ArgumentError, match=r"\(4,.*cannot be divided"):
        to_devices(every_source(4)["shuffled"].batch(0), mesh)
    with pytest.raises(ArgumentTypeError, match="found str"):
        to_devices(batch, "data")
    with pytest.raises(ArgumentTypeError, match="found 3"):
        to_devices({"x": 3}, mesh)
    with pytest.raises(ArgumentTypeError, match="found 3"):
        shard({"x": 3}, 0, 1)


TWO_PROCESSES = """
import sys, jax, numpy as np
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", num_processes=2, process_id=int(sys.argv[2]))
from jax.experimental.multihost_utils import process_allgather
from seqjax.batching import Shuffled, to_devices
source = Shuffled(np.arange(60).reshape(20, 3), np.arange(20), 4, seed=5)
mesh = jax.make_mesh((4,), ("data",))
for step in range(4):
    batch = to_devices(source.batch(step, jax.process_index(), jax.process_count()), mesh)
    assert batch.inputs.shape == (4, 3), batch.inputs.shape  # 2 rows from each process
    whole = process_allgather(batch, tiled=True)
    jax.tree.map(np.testing.assert_array_equal, whole, source.batch(step))
print("same")
"""


def test_two_processes_make_one_global_batch():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", TWO_PROCESSES, port]
    both = [
        subprocess.Popen([*command, str(i)], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for i in range(2)
    ]  # fmt: skip
    try:
        for process in both:
            out, err = process.communicate(timeout=120)
            assert out.endswith("same\n"), err[-2000:]
    finally:
        for process in both:
            process.kill()
            process.wait()


# Ahead of time --------------------------------------------------------------------------------------------------------


class Counting:
    """A source that records which steps were made."""

    def __init__(self, fails_at=None):
        self.made, self.fails_at = [], fails_at

    def batch(self, step):
        self.made.append(step)
        if step == self.fails_at:
            raise KeyError(f"step {step}")
        return step * 10


def threads():
    return [thread for thread in threading.enumerate() if "prefetch" in thread.name]


@pytest.mark.parametrize("name", every_source())
def test_prefetched_batches_are_the_same(name):
    source = every_source()[name]
    start, stop = 2, 2 * source.steps_per_epoch + 3
    for depth in (1, 3):
        for step, batch in zip(range(start, stop), prefetch(source, start, stop, depth=depth), strict=True):
            same(batch, source.batch(step))
    assert threads() == []
    assert list(prefetch(source, 3, 3)) == []


def test_no_more_is_made_than_asked_for():
    source = Counting()
    batches = prefetch(source, 5, 20, depth=3)
    assert source.made == [] and threads() == []
    assert next(batches) == 50
    assert len(threads()) == 1
    deadline = time.monotonic() + 20
    while len(source.made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)  # long enough for a batch too many
    assert source.made == [5, 6, 7, 8]  # the one in use and three ahead
    batches.close()
    assert threads() == [] and source.made == [5, 6, 7, 8] and list(batches) == []


def test_the_thread_ends_when_the_loop_is_left():
    def leave_by_break():
        for batch in prefetch(Counting(), 0, 100):
            assert batch == 0
            break

    def leave_by_error():
        for batch in prefetch(Counting(), 0, 100):
            raise RuntimeError(batch)

    leave_by_break()
    assert threads() == []
    with pytest.raises(RuntimeError, match="0"):
        leave_by_error()
    assert threads() == []


def test_errors_arrive_at_their_batch_with_their_traceback():
    source, found = Counting(fails_at=3), []
    batches = prefetch(source, 0, 10)
    with pytest.raises(KeyError, match="step 3") as caught:
        found += batches
    assert found == [0, 10, 20] and threads() == [] and list(batches) == []
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "batch" and max(source.made) <= 5


def test_transfer_runs_in_the_thread_at_the_width_of_the_loop(x64):
    where = []

    def transfer(batch):
        where.append(threading.current_thread().name)
        return to_devices(batch)

    source = Shuffled(np.ones((4, 3, 2)), np.ones(4), 2)
    batches = list(prefetch(source, 0, 2, transfer=transfer))
    assert all(isinstance(batch.inputs, jax.Array) and batch.inputs.dtype == np.float64 for batch in batches)
    assert len(where) == 2 and all("prefetch" in name for name in where)


def test_an_iterator_left_open_does_not_keep_the_program_alive():
    code = """
from seqjax.batching import Stream, prefetch
import numpy as np
batches = prefetch(Stream(np.arange(1000), 2, 5), 0, 10**9)
print(next(batches).inputs[0, 0])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "0", "")


# Grain ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["buckets", "stream"])
def test_grain_gives_the_same_batches_and_resumes(name):
    pytest.importorskip("grain", reason="grain, of seqjax[grain], is not installed")
    source = every_source()[name]
    stop = 2 * source.steps_per_epoch
    data = grain_source(source, stop)
    assert len(data) == stop
    iterator = iter(data.to_iter_dataset())
    found, state = [], None
    for step in range(stop):
        if step == 3:
            state = iterator.get_state()
        found.append(next(iterator))
        assert isinstance(found[-1], Batch)
        same(found[-1], source.batch(step))
    assert list(iterator) == []
    again = iter(data.to_iter_dataset())
    again.set_state(state)
    rest = list(again)
    assert len(rest) == stop - 3
    for batch, wanted in zip(rest, found[3:]):
        same(batch, wanted)


def test_a_missing_grain_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(DataError, match=r"pip install 'seqjax\[grain\]'"):
        grain_source(Counting(), 3)


# Wrong calls ----------------------------------------------------------------------------------------------------------

X = inputs_of([2, 3, 4])
Y = [1, 2, 3]
SERIES = np.ones((20, 2))
GOOD = Shuffled(X, Y, 2)
SEVERAL = Ragged.of(X)
HOLED = np.where(np.arange(40).reshape(20, 2) == 13, np.nan, 1.0)
ENDLESS = np.where(np.arange(40).reshape(20, 2) == 13, np.inf, 1.0)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: GOOD.batch(-1), ArgumentError, "step must be a whole number of at least 0, found -1"),
        (lambda: GOOD.batch(1.0), ArgumentTypeError, "step must be a whole number, found 1.0"),
        (lambda: GOOD.batch(True), ArgumentTypeError, "found True"),
        (lambda: GOOD.batch(0, 2, 2), ArgumentError, "process 2 of 2. They count from 0"),
        (lambda: GOOD.batch(0, 0, 3), ArgumentError, "2 rows cannot be shared by 3"),
        (lambda: GOOD.batch(0, 0, 0), ArgumentError, "count must be"),
        (lambda: GOOD.padding_share(-1), ArgumentError, "epoch"),
        (lambda: shard(GOOD.batch(0), 0, 3), ArgumentError, "cannot be shared"),
        (lambda: permutation(-1, 0, 3), ArgumentError, "seed"),
        (lambda: permutation(2**63, 0, 3), ArgumentError, "seed"),
        (lambda: permutation(0, 0, None), ArgumentTypeError, "n must be a whole number"),
        (lambda: Shuffled(X, Y, 0), ArgumentError, "batch_size .* found 0"),
        (lambda: Shuffled(X, Y, 2.5), ArgumentTypeError, "batch_size"),
        (lambda: Shuffled(X, Y, 2, seed=-3), ArgumentError, "seed"),
        (lambda: Shuffled(X, Y, 2, seed=jax.random.key(0)), ArgumentTypeError, "seed"),
        (lambda: Shuffled([], [], 2), ArgumentError, "inputs holds no sequence"),
        (lambda: Shuffled(np.zeros((0, 4)), None, 2), ArgumentError, "inputs holds no sequence"),
        (lambda: Shuffled([[], []], Y[:2], 2), ArgumentError, "no example has a step"),
        (lambda: Shuffled([[1], [2]], None, 2), ArgumentError, "needs two"),
        (lambda: Shuffled(X, Y[:2], 2), ArgumentError, "targets has 2 entries, expected one for each of 3"),
        (lambda: Shuffled(X, X[:2], 2), ArgumentError, "targets has 2 entries"),
        (lambda: Shuffled(X, ["a", "b", "c"], 2), ArgumentTypeError, "targets.*Encode it"),
        (lambda: Shuffled(["ab", "c"], Y[:2], 2), ArgumentTypeError, r"inputs\[0\] .*Encode it"),
        (lambda: Shuffled("abc", Y, 2), ArgumentTypeError, "found str"),
        (lambda: Shuffled(3, Y, 2), ArgumentTypeError, "found int"),
        (lambda: Shuffled(np.arange(3), Y, 2), ArgumentError, r"shape \(3,\), expected sequences"),
        (lambda: Shuffled([1, 2, 3], Y, 2), ArgumentError, r"inputs\[0\] has shape \(\)"),
        (lambda: Shuffled([np.ones((2, 3)), np.ones((2, 4))], [0, 1], 2), ArgumentError, r"inputs\[1\] has shape"),
        (lambda: Shuffled([np.ones(2), np.ones(2, int)], [0, 1], 2), ArgumentTypeError, r"inputs\[1\] is int64"),
        (lambda: Shuffled([[[1, 2], [3]]], [0], 2), ArgumentTypeError, r"inputs\[0\] must be one array"),
        (lambda: Shuffled([[2**31]], [0], 2), ArgumentError, "2147483648, which int32 does not hold"),
        (lambda: Shuffled(X, [0, 1, -(2**40)], 2), ArgumentError, "targets holds -1099511627776"),
        (lambda: Shuffled(X, Y, 2, length=3), ArgumentError, "example 2 has 4 steps; nothing is cut"),
        (lambda: Shuffled(X, [X[0], X[2], X[2]], 2), ArgumentError, r"targets\[1\] has 4 steps, but .*3.*pairs=True"),
        (lambda: Buckets(X, X[::-1], 2), ArgumentError, r"targets\[0\] has 4 steps, but inputs\[0\] has 2"),
        (lambda: Shuffled(X, Y, 2, pairs=True), ArgumentError, "pairs=True is for targets that are sequences"),
        (lambda: Shuffled(X, None, 2, pairs=True), ArgumentError, "pairs=True is for targets that are sequences"),
        (lambda: Shuffled(X, X, 2, pairs="yes"), ArgumentTypeError, "pairs must be True or False"),
        (lambda: Shuffled(X, [[], [], []], 2, pairs=True), ArgumentError, "no example has a step"),
        (lambda: Shuffled(X, X, 2, pairs=True, target_length=2), ArgumentError, "target_length is 2, but example 2"),
        (lambda: Shuffled(X, X, 2, target_length=4), ArgumentError, "target_length is for pairs=True"),
        (lambda: Shuffled(X, Y, 2, length=8, multiple=4), ArgumentError, "multiple and length"),
        (lambda: Shuffled(X, Y, 2, multiple=0), ArgumentError, "multiple"),
        (lambda: Shuffled(X, Y, 2, remainder="keep"), ArgumentError, 'remainder must be "pad" or "drop"'),
        (lambda: Shuffled(X, Y, 4, remainder="drop"), ArgumentError, "3 examples do not fill one batch of 4"),
        (lambda: Shuffled(X, Y, 2, shuffle="no"), ArgumentTypeError, "shuffle must be True or False"),
        (lambda: Buckets(X, Y, 2, buckets=0), ArgumentError, "buckets"),
        (lambda: Buckets(X, Y, 2, buckets=()), ArgumentError, "rising"),
        (lambda: Buckets(X, Y, 2, buckets=(4, 4)), ArgumentError, "rising"),
        (lambda: Buckets(X, Y, 2, buckets=(2, 3)), ArgumentError, "example 2 has 4 steps, beyond the last"),
        (lambda: Buckets(X, Y, 2, buckets="many"), ArgumentTypeError, "found 'many'"),
        (lambda: Buckets(X, Y, 2, buckets=2.0), ArgumentTypeError, "found 2.0"),
        (lambda: Buckets(X, Y, 2, buckets=(2, 4), remainder="drop", shuffle=1), ArgumentTypeError, "shuffle"),
        (lambda: Buckets(X, Y, 3, remainder="drop"), ArgumentError, "do not fill one batch"),
        (lambda: Stream(np.arange(10), 2, 5), ArgumentError, r"ids has 10 steps .* = 11"),
        (lambda: Stream(np.arange(10), 0, 5), ArgumentError, "batch_size"),
        (lambda: Stream(np.arange(10), 2, 0), ArgumentError, "length"),
        (lambda: Stream("to be or not to be", 1, 5), ArgumentTypeError, "Encode it"),
        (lambda: Stream(5, 1, 5), ArgumentError, "single number"),
        (lambda: Stream(X, 1, 5), ArgumentTypeError, "ids must be one array"),
        (lambda: Stream(np.arange(10), 2, 2).starts(-1), ArgumentError, "step"),
        (lambda: RandomWindows(np.arange(5), 2, 5), ArgumentError, "length \\+ 1 = 6"),
        (lambda: RandomWindows(np.arange(9), 2, 5, seed=None), ArgumentTypeError, "seed"),
        (lambda: Windows(SERIES, 18, 3, batch_size=2), ArgumentError, "0 windows of 18 \\+ 3 steps"),
        (lambda: Windows(SERIES, 4, 1, batch_size=99, remainder="drop"), ArgumentError, "16 windows.*batch_size 99"),
        (lambda: Windows(SERIES, 0, 3, batch_size=2), ArgumentError, "context"),
        (lambda: Windows(SERIES, 3, 0, batch_size=2), ArgumentError, "horizon"),
        (lambda: Windows(SERIES, 3, 1, batch_size=2, stride=0), ArgumentError, "stride"),
        (lambda: Windows(SERIES, 3, 1, batch_size=2, columns=[2]), ArgumentError, r"some of 0 ... 1, found \[2\]"),
        (lambda: Windows(SERIES, 3, 1, batch_size=2, columns=1), ArgumentTypeError, "columns must be a list"),
        (lambda: Windows(SERIES, 3, 1, batch_size=2, columns=[]), ArgumentError, "columns"),
        (lambda: Windows(SERIES[None], 3, 1, batch_size=2), ArgumentError, "Several series. Pass a list"),
        (lambda: Windows([SERIES[None]], 3, 1, batch_size=2), ArgumentError, "2 feature axes"),
        (lambda: Windows(HOLED, 3, 1, batch_size=2), ArgumentError, 'nan at step 6, column 1.*gaps="skip"'),
        (lambda: Windows(ENDLESS, 3, 1, batch_size=2, gaps="skip"), ArgumentError, "inf at step 6, column 1$"),
        (lambda: Windows(SERIES, 3, 1, batch_size=2, gaps="fill"), ArgumentError, 'gaps must be "error" or "skip"'),
        (lambda: Scaler.fit(np.ones(5)), ArgumentError, "train.:, None"),
        (lambda: Scaler.fit(np.ones((0, 5))), ArgumentError, "some values"),
        (lambda: Scaler.fit(np.full((3, 2), np.nan)), ArgumentError, "column 0: all are NaN"),
        (lambda: Scaler.fit(ENDLESS), ArgumentError, "infinite value in column 1"),
        (lambda: Scaler.fit([["a"]]), ArgumentTypeError, "Encode it"),
        (lambda: Scaler.fit(SERIES)(np.ones((4, 3))), ArgumentError, "expected 2 columns last"),
        (lambda: Scaler.fit(SERIES).inverse(np.ones((4, 1))), ArgumentError, "scaler.columns"),
        (lambda: Scaler.fit(SERIES).columns([-1]), ArgumentError, "columns"),
        (lambda: prefetch(GOOD, 0, 2, depth=0), ArgumentError, "depth"),
        (lambda: prefetch(GOOD, -1, 2), ArgumentError, "start"),
        (lambda: prefetch(GOOD, 3, 2), ArgumentError, "steps 3 to 2"),
        (lambda: prefetch(GOOD, 0, 2, transfer=3), ArgumentTypeError, "transfer"),
        (lambda: prefetch([1, 2], 0, 2), ArgumentTypeError, "source must have a method batch"),
    ],
)  # fmt: skip
def test_wrong_calls_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_ragged_series_are_scaled_and_streamed_like_their_values():
    runs = Ragged.of([np.arange(6.0).reshape(3, 2), np.array([[8.0, 1.0]])])
    scaler = Scaler.fit(runs)
    np.testing.assert_array_equal(scaler.mean, Scaler.fit(runs.values).mean)
    scaled = scaler(runs)
    assert scaled.lengths.tolist() == [3, 1]
    np.testing.assert_array_equal(scaled.values, scaler(runs.values))
    np.testing.assert_allclose(scaler.inverse(scaled).values, runs.values)
    lines = Ragged.of([np.arange(5), np.arange(5, 9)])
    np.testing.assert_array_equal(Stream(lines, 2, 2).batch(0).inputs, Stream(lines.values, 2, 2).batch(0).inputs)


def test_drawn_batches_are_functions_of_seed_and_step():
    def draw(key):
        return {"x": jax.random.normal(key, (6, 2))}

    source = Synthetic(draw, seed=3)
    expected = draw(jax.random.fold_in(jax.random.key(3), 5))["x"]
    np.testing.assert_allclose(source.batch(5)["x"], expected, rtol=1e-6)
    seen = [source.batch(step)["x"] for step in (5, 0, 5, 1)] + [Synthetic(draw, seed=4).batch(5)["x"]]
    np.testing.assert_array_equal(seen[0], seen[2])
    assert len({x.tobytes() for x in map(np.asarray, seen)}) == 4
    parts = [source.batch(5, index, 3)["x"] for index in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), seen[0])
    with pytest.raises(ArgumentError, match="6 rows cannot be shared by 4"):
        source.batch(0, 0, 4)
    with pytest.raises(ArgumentTypeError, match="draw must be a function of a key, found int"):
        Synthetic(3)
    with pytest.raises(ArgumentError, match="seed"):
        Synthetic(draw, seed=-1)
    with pytest.raises(ArgumentError, match="step must be below"):
        source.batch(2**32)
    with pytest.raises(ArgumentError, match="step"):
        source.batch(-1)


LARGE = (0, 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1)


def test_large_seeds_and_steps_of_drawn_batches_are_told_apart():
    """`jax.random.key(2**32)` is `jax.random.key(0)` without x64."""
    draw = lambda key: jax.random.bits(key, (2,))
    drawn = [Synthetic(draw, seed).batch(step) for seed in LARGE[:4] for step in LARGE[:4]]
    assert len({tuple(bits.tolist()) for bits in drawn}) == 16
    for seed in LARGE[4:]:
        with pytest.raises(ArgumentError, match=rf"seed must be below 2\*\*32, .* found {seed}"):
            Synthetic(draw, seed)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: Shuffled(np.arange(60).reshape(30, 2), None, 30, seed),
        lambda seed: Buckets(np.arange(60).reshape(30, 2), None, 30, seed, buckets=1),
        lambda seed: RandomWindows(np.arange(1000), 30, 1, seed),
        lambda seed: Windows(np.arange(31.0), 1, 1, batch_size=30, seed=seed),
    ],
    ids=["Shuffled", "Buckets", "RandomWindows", "Windows"],
)
def test_large_seeds_of_orders_are_told_apart(make):
    assert len({make(seed).batch(0).inputs.tobytes() for seed in LARGE}) == len(LARGE)
