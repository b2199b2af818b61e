"""Embedding of token ids of every integer dtype, and ids out of range in and out of jit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

from seqjax import LSTM, Embed, scan, stack
from seqjax.errors import ArgumentError, ArgumentTypeError

NARROW = ["int8", "uint8", "int16", "uint16", "int32", "uint32"]
WIDE = ["int64", "uint64"]


def table_of(cell):
    return cell.init(jax.random.key(0))


def ids_of(dtype, vocabulary):
    """The smallest and largest ids that dtype and vocabulary have, and some between."""
    top = min(vocabulary - 1, int(jnp.iinfo(dtype).max))
    return np.array([0, 1, top // 2, top - 1, top])


def test_ids_of_4_bits():
    """Of `apply` alone: `scan` takes no such arrays."""
    cell = Embed(16, 2)
    params = table_of(cell)
    for dtype in ("int4", "uint4"):
        ids = ids_of(dtype, 16)
        for apply in (cell.apply, jax.jit(cell.apply)):
            np.testing.assert_array_equal(
                apply(params, jnp.asarray(ids).astype(dtype)), np.asarray(params["table"])[ids]
            )


def check_rows(dtype, vocabulary):
    cell = Embed(vocabulary, 2)
    params, ids = table_of(cell), ids_of(dtype, vocabulary)
    wanted, given = np.asarray(params["table"])[ids], jnp.asarray(ids).astype(dtype)
    for apply in (cell.apply, jax.jit(cell.apply)):
        np.testing.assert_array_equal(apply(params, given), wanted)
    np.testing.assert_array_equal(scan(cell, params, given)[1], wanted)
    np.testing.assert_array_equal(cell.step(params, (), given)[1], wanted)
    gradient = jax.grad(lambda p: jnp.sum(cell.apply(p, given)))(params)["table"]
    counts = np.bincount(ids, minlength=vocabulary).astype(np.float32)
    np.testing.assert_array_equal(gradient, np.stack([counts, counts], 1))


@pytest.mark.parametrize("vocabulary", [100, 128, 200, 256, 300, 70_000])
@pytest.mark.parametrize("dtype", NARROW)
def test_narrow_ids_do_not_wrap_around(dtype, vocabulary):
    """The vocabulary, written in the dtype of the ids, wrapped: 256 as uint8 is row 0."""
    check_rows(dtype, vocabulary)


@pytest.mark.parametrize("dtype", WIDE)
def test_ids_of_64_bits(dtype, x64):
    check_rows(dtype, 300)
    cell = Embed(300, 2)
    far = jnp.array([2**32, 2**32 + 1, 2**63 - 1, 5], dtype)  # JAX gathers the row of the lower 32 bits
    rows = jax.jit(cell.apply)(table_of(cell), far)
    np.testing.assert_array_equal(np.isnan(rows).all(-1), [True, True, True, False])
    assert "found 5 to" in checked_error(cell, far)[0]


@pytest.mark.parametrize(
    "dtype, ids, out",
    [
        ("uint8", [0, 99, 100, 255], [False, False, True, True]),
        ("int8", [-128, -1, 0, 127], [True, True, False, True]),
        ("int4", [-8, -1, 0, 7], [True, True, False, False]),
        ("uint16", [99, 100, 356, 65_535], [False, True, True, True]),
        ("uint32", [99, 100, 2**31, 2**32 - 1], [False, True, True, True]),
        ("int32", [-(2**31), -1, 99, 2**31 - 1], [True, True, False, True]),
    ],
)
def test_narrow_ids_out_of_range_are_nan_in_jit_and_an_error_outside(dtype, ids, out):
    cell = Embed(100, 2)
    params, given = table_of(cell), jnp.array(ids, dtype)
    rows = jax.jit(cell.apply)(params, given)
    np.testing.assert_array_equal(np.isnan(rows).all(-1), out)
    np.testing.assert_array_equal(np.isnan(rows).any(-1), out)
    wrong = np.array(ids)[out]
    with pytest.raises(ArgumentError, match=rf"xs has the token id ({'|'.join(map(str, wrong))}), but ids must be in"):
        cell.apply(params, given)


def message_of(call):
    with pytest.raises(ArgumentError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("wrong", [-1, 5, 300])
def test_an_eager_step_raises_what_scan_raises(wrong):
    """An eager step gave a row of NaN for it."""
    cell = Embed(5, 3)
    params, ids = table_of(cell), np.array([0, wrong])
    wanted = message_of(lambda: scan(cell, params, ids))
    assert wanted == message_of(lambda: cell.check_input(ids, None, values=True))
    for given in (ids, jnp.array(ids)):
        assert message_of(lambda given=given: cell.step(params, (), given)) == wanted
        assert message_of(lambda given=given: cell.apply(params, given)) == wanted
        assert message_of(lambda given=given: cell.sequence(params, (), given)) == wanted
    model = stack(Embed(5, 3), LSTM(2))
    begun = model.init(jax.random.key(0), 0)
    message_of(lambda: model.step(begun, model.initial_carry(begun, (2,)), jnp.array(ids)))
    with pytest.raises(ArgumentTypeError, match="integer dtype, found float32"):
        cell.step(params, (), jnp.zeros(2))


def test_an_eager_step_takes_a_single_number():
    cell = Embed(5, 3)
    params = table_of(cell)
    np.testing.assert_array_equal(cell.step(params, (), 4)[1], params["table"][4])
    with pytest.raises(ArgumentError, match="token id 5"):
        cell.apply(params, 5)


def test_ids_in_unreal_steps_may_still_be_anything():
    cell = Embed(5, 3)
    params = table_of(cell)
    ys = scan(cell, params, np.array([[0, 4, 99]], np.uint8), lengths=np.array([2]))[1]
    np.testing.assert_array_equal(ys[0], np.concatenate([np.asarray(params["table"])[[0, 4]], np.zeros((1, 3))]))


def checked_error(cell, ids):
    run = checkify.checkify(jax.jit(lambda p, t: scan(cell, p, t, checked=True)[1]))
    error, ys = run(table_of(cell), ids)
    return error.get(), ys


@pytest.mark.parametrize("vocabulary", [100, 128, 256, 300])
@pytest.mark.parametrize("dtype", NARROW)
def test_checked_ids_give_no_false_alarm(dtype, vocabulary):
    cell, ids = Embed(vocabulary, 2), ids_of(dtype, vocabulary)
    message, ys = checked_error(cell, jnp.asarray(ids).astype(dtype))
    assert message is None
    np.testing.assert_array_equal(ys, np.asarray(table_of(cell)["table"])[ids])


def test_checked_ids_out_of_range_are_named_in_narrow_dtypes():
    for dtype, ids, words in [
        ("uint8", [0, 200], "found 0 to 200"),
        ("int8", [-3, 7], "found -3 to 7"),
        ("uint16", [9, 60_000], "found 9 to 60000"),
    ]:
        assert words in checked_error(Embed(100, 2), jnp.array(ids, dtype))[0]


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (0, 0), (0,)])
def test_no_ids_at_all(shape):
    cell = Embed(5, 3)
    ids = jnp.zeros(shape, jnp.uint8)
    message, ys = checked_error(cell, ids)
    assert message is None and ys.shape == (*shape, 3)
    assert scan(cell, table_of(cell), ids)[1].shape == (*shape, 3)
    assert cell.apply(table_of(cell), ids).shape == (*shape, 3)
