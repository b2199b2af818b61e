"""The driver's options, one by one and against each other."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.experimental import checkify

import seqjax as sj
from seqjax import GRU, LSTM, RNN, Dense, Dropout, Embed, bidirectional, explain, residual, scan, stack
from seqjax.core.chunks import CHUNK_ROWS, LONGEST_CHUNK, SHORTEST_CHUNK, chunk_length
from tests.own_cells import TreeCell, mixed_tree

D, B, T = 3, 3, 7
CELL = stack(LSTM(3), GRU(2))
PARAMS = CELL.init(jax.random.key(0), D)
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))
run = jax.jit(lambda carry, xs, mask, resets: scan(CELL, PARAMS, xs, carry, mask=mask, resets=resets))
run_back = jax.jit(lambda xs, mask, resets: scan(CELL, PARAMS, xs, mask=mask, resets=resets, reverse=True))
START = CELL.initial_carry(PARAMS, (B,))
flags = st.lists(st.booleans(), min_size=B * T, max_size=B * T).map(lambda v: np.array(v).reshape(B, T))


def close(a, b, tolerance=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


def by_hand(xs, mask, resets, reverse=False):
    """One row at a time in Python: skip unreal steps, start anew at resets (read from their own side)."""
    carries, outputs = [], []
    step = jax.jit(CELL.step)
    for row, real, reset in zip(xs, mask, resets):
        carry, ys = CELL.initial_carry(PARAMS), np.zeros((T, 2), np.float32)
        order = [t for t in range(T) if real[t]]
        for k, t in enumerate(order[::-1] if reverse else order):
            before = order[::-1][k - 1] if reverse else t
            if (k > 0 or not reverse) and reset[before]:
                carry = CELL.initial_carry(PARAMS)
            carry, ys[t] = step(PARAMS, carry, row[t])
        carries.append(carry)
        outputs.append(ys)
    return jax.tree.map(lambda *c: np.stack(c), *carries), np.stack(outputs)


@given(mask=flags, resets=flags)
def test_any_mask_and_resets(mask, resets):
    close(run(START, XS, mask, resets), by_hand(XS, mask, resets))


@given(mask=flags, resets=flags)
def test_any_mask_and_resets_in_reverse(mask, resets):
    close(run_back(XS, mask, resets), by_hand(XS, mask, resets, reverse=True))


@given(mask=flags, resets=flags, cut=st.integers(0, T))
def test_any_cut_into_chunks(mask, resets, cut):
    whole = run(START, XS, mask, resets)
    order = np.arange(T)
    carry, parts = START, []
    for piece in (order < cut, order >= cut):  # as masks, so that one compiled program serves every cut
        carry, ys = run(carry, XS, mask & piece, resets)
        parts.append(ys)
    close((carry, sum(parts)), whole)


@given(lengths=st.lists(st.integers(0, T), min_size=B, max_size=B).map(np.array))
def test_lengths_are_a_mask(lengths):
    mask = np.arange(T) < lengths[:, None]
    close(scan(CELL, PARAMS, XS, lengths=lengths), run(START, XS, mask, np.zeros((B, T), bool)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_narrow_lengths_of_long_sequences(dtype):
    """300 steps counted in int8 or uint8 would wrap around and make padding real."""
    cell = RNN(1, activation="identity", recurrent_init=sj.initializers.identity())
    params = jax.tree.map(jnp.ones_like, cell.init(jax.random.key(0), 1)) | {
        "project": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}
    }
    lengths = jnp.array([100, 7], dtype)
    last, _ = jax.jit(lambda n: scan(cell, params, jnp.ones((2, 300, 1)), lengths=n))(lengths)
    np.testing.assert_array_equal(last[:, 0], [100, 7])


def test_time_major_is_the_transpose():
    mask = np.random.default_rng(0).random((B, T)) < 0.7
    carry, ys = scan(CELL, PARAMS, XS, mask=mask, resets=~mask)
    turned = scan(CELL, PARAMS, XS.swapaxes(0, 1), mask=mask.T, resets=~mask.T, time_major=True)
    close(turned, (carry, ys.swapaxes(0, 1)))


@pytest.mark.parametrize("batch", [(), (2,), (2, 1, 3)], ids=str)
def test_any_batch_rank(batch):
    cell = stack(Embed(5, 3), bidirectional(LSTM(2)), Dense(2))
    params = cell.init(jax.random.key(0), 0)
    tokens = np.random.default_rng(0).integers(0, 5, (*batch, T))
    lengths = np.random.default_rng(1).integers(0, T + 1, batch)
    carry, ys = scan(cell, params, tokens, lengths=lengths)
    assert ys.shape == (*batch, T, 2)
    flat = scan(cell, params, tokens.reshape(-1, T), lengths=lengths.reshape(-1))
    close(ys.reshape(-1, T, 2), flat[1])
    assert carry[1].forward.c.shape == (*batch, 2)


def test_pytree_inputs():
    cell = TreeCell(3)
    params = cell.init(jax.random.key(0), 2)
    xs = mixed_tree(jax.random.key(1), (B, T))
    carry, ys = scan(cell, params, xs, lengths=np.array([0, 3, T]))
    np.testing.assert_array_equal(carry["t"], [0, 3, T])
    turned = jax.tree.map(lambda a: a.swapaxes(0, 1), xs)
    close(scan(cell, params, turned, lengths=np.array([0, 3, T]), time_major=True)[1], ys.swapaxes(0, 1))


LONG = np.asarray(jax.random.normal(jax.random.key(2), (2, 2 * LONGEST_CHUNK + 3, D)))
LONG_MASK = np.random.default_rng(0).random(LONG.shape[:2]) < 0.8


def gradient_of(cell, params, **options):
    def score(params, xs):
        carry, ys = scan(cell, params, xs, mask=LONG_MASK, **options)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves((carry, ys)))

    return jax.jit(jax.value_and_grad(score, argnums=(0, 1)))(params, LONG)


@pytest.mark.parametrize("reverse", [False, True])
def test_options_of_speed_and_memory_change_nothing(x64, reverse):
    """The cube of gradient x checkpoint x unroll against plain autodiff."""
    cell = LSTM(3)
    params = cell.init(jax.random.key(0), D, "float64")
    want = gradient_of(cell, params, gradient="autodiff", reverse=reverse)
    for gradient, checkpoint, unroll in itertools.product(("deferred", "autodiff"), (None, 10, "sqrt"), (1, 3)):
        got = gradient_of(cell, params, gradient=gradient, checkpoint=checkpoint, unroll=unroll, reverse=reverse)
        close(got, want, 1e-12)


@pytest.mark.parametrize("rows", [0, 1, 3, 16, 64, 1000])
@pytest.mark.parametrize("length", [1, 16, 65, 97, 1000, 1009])
def test_chunks_have_about_as_many_rows_as_wanted(length, rows):
    size = chunk_length(length, rows)
    wanted = min(max(CHUNK_ROWS / max(rows, 1), SHORTEST_CHUNK), LONGEST_CHUNK)
    assert size == length <= 2 * wanted or wanted // 2 <= size <= 2 * wanted


def loops_of(hlo):
    """The text of all computations that run inside a while loop."""
    blocks = dict(re.findall(r"^(?:ENTRY )?(%[\w.\-]+) [^\n]*\{\n(.*?)^\}", hlo, re.M | re.S))
    inside, todo = set(), re.findall(r"body=(%[\w.\-]+)", hlo)
    while todo:
        name = todo.pop()
        if name in blocks and name not in inside:
            inside.add(name)
            todo += re.findall(r"(?:calls|to_apply|body)=(%[\w.\-]+)", blocks[name])
    return [blocks[name] for name in inside]


@pytest.mark.parametrize("cell", [LSTM(16), GRU(16), RNN(16)], ids=repr)
def test_two_matrix_products_in_the_innermost_loops_and_no_more(cell):
    """One forwards, one backwards; autodiff has six (the input's product, its gradient and those of both weights besides)."""
    params = cell.init(jax.random.key(0), 16)
    xs = jnp.ones((8, 32, 16))

    def products(gradient):
        def score(params, xs):
            return jnp.sum(scan(cell, params, xs, gradient=gradient)[1] ** 2)

        hlo = jax.jit(jax.grad(score, argnums=(0, 1))).lower(params, xs).compile().as_text()
        return sum(body.count(" dot(") for body in loops_of(hlo))

    assert products("deferred") == 2
    assert products("autodiff") == 6


def temp_bytes(length, checkpoint):
    cell = LSTM(8)
    params = cell.init(jax.random.key(0), 8)
    xs = jax.ShapeDtypeStruct((4, length, 8), jnp.float32)
    f = jax.grad(lambda p, x: jnp.sum(scan(cell, p, x, checkpoint=checkpoint)[0].h))
    return jax.jit(f).lower(params, xs).compile().memory_analysis().temp_size_in_bytes


def test_sqrt_checkpoint_keeps_memory_of_the_root():
    """From 4,096 steps to four times as many: temporary memory beyond a copy of the input doubles at most."""
    copy = 4 * 4 * 8
    small, large = (temp_bytes(t, "sqrt") - t * copy for t in (4096, 16384))
    assert large < 2.5 * small
    assert temp_bytes(16384, "sqrt") < 0.6 * temp_bytes(16384, None)


def test_hessian_over_several_chunks(x64):
    cell = stack(GRU(2), RNN(2))
    params = cell.init(jax.random.key(0), D, "float64")
    way = jax.tree.map(lambda p: jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), params)

    def along(a, gradient):
        moved = jax.tree.map(lambda p, w: p + a[0] * w, params, way)
        return jnp.mean(scan(cell, moved, LONG * (1 + a[1]), mask=LONG_MASK, gradient=gradient)[1] ** 2)

    got, want = (jax.jit(jax.hessian(lambda a, g=g: along(a, g)))(jnp.zeros(2)) for g in ("deferred", "autodiff"))
    close(got, want, 1e-11)


@pytest.mark.parametrize("merge", ["concat", "sum", "mean", "product", "pair"])
def test_bidirectional_is_two_scans(merge):
    cell = bidirectional(LSTM(2), merge=merge)
    params = cell.init(jax.random.key(0), D)
    lengths = np.array([0, 4, T])
    f, ahead = scan(LSTM(2), params["forward"], XS, lengths=lengths)
    b, behind = np.zeros((B, 2)), np.zeros((B, T, 2), np.float32)
    for i, n in enumerate(lengths):  # the real steps alone, turned round by hand
        last, ys = scan(LSTM(2), params["backward"], XS[i, :n][::-1])
        b[i], behind[i, :n] = last.h, ys[::-1]
    want = {
        "concat": np.concatenate([ahead, behind], -1),
        "sum": ahead + behind,
        "mean": (ahead + behind) / 2,
        "product": ahead * behind,
        "pair": (ahead, behind),
    }[merge]
    carry, ys = scan(cell, params, XS, lengths=lengths)
    close(ys, want)
    close((carry.forward, carry.backward.h), (f, b))


def test_packed_sequences_are_the_separate_ones():
    """Three sequences laid end to end with resets, through both directions and dropout per sequence."""
    cell = stack(bidirectional(GRU(2)), LSTM(2))
    params = cell.init(jax.random.key(0), D)
    pieces = [XS[0, :3], XS[1, :2], XS[2, :4]]
    resets = np.zeros(9, bool)
    resets[[0, 3, 5]] = True
    _, ys = scan(cell, params, np.concatenate(pieces), resets=resets)
    close(ys, np.concatenate([scan(cell, params, piece)[1] for piece in pieces]))


class TestDropout:
    CELL = stack(Dropout(0.5), Dense(4), Dropout(0.5, per="sequence"))
    PARAMS = CELL.init(jax.random.key(0), D)

    def carry(self, seed=0):
        return self.CELL.initial_carry(self.PARAMS, (B,), key=jax.random.key(seed))

    def test_rate_and_scale(self):
        cell = Dropout(0.25)
        xs = jnp.ones((4, 500, 8))
        _, ys = scan(cell, {}, xs, cell.initial_carry({}, (4,), key=jax.random.key(0)))
        kept = np.asarray(ys) != 0
        assert abs(kept.mean() - 0.75) < 0.015  # 16,000 draws: standard error 0.0034
        np.testing.assert_allclose(np.asarray(ys)[kept], 1 / 0.75, rtol=1e-6)

    def test_one_mask_lasts_the_sequence_and_changes_at_a_reset(self):
        cell = Dropout(0.5, per="sequence")
        resets = np.zeros((1, 40), bool)
        resets[:, 20] = True
        carry = cell.initial_carry({}, (1,), key=jax.random.key(1))
        ys = np.asarray(scan(cell, {}, jnp.ones((1, 40, 64)), carry, resets=resets)[1])[0]
        assert np.all(ys[:20] == ys[0])
        assert np.all(ys[20:] == ys[20])
        assert np.any(ys[0] != ys[20])

    def test_rows_and_steps_differ(self):
        cell = Dropout(0.5)
        carry = cell.initial_carry({}, (2,), key=jax.random.key(1))
        ys = np.asarray(scan(cell, {}, jnp.ones((2, 2, 64)), carry)[1])
        assert len({ys[b, t].tobytes() for b in range(2) for t in range(2)}) == 4

    def test_padding_does_not_change_the_masks_of_real_steps(self):
        mask = np.array([[1, 0, 1, 0, 0, 1, 1]] * B, bool)
        _, ys = scan(self.CELL, self.PARAMS, XS, self.carry(), mask=mask)
        _, cut = scan(self.CELL, self.PARAMS, XS[:, mask[0]], self.carry())
        close(ys[:, mask[0]], cut)

    def test_evaluation_is_another_value_with_the_same_parameters(self):
        quiet = self.CELL.evaluation()
        assert quiet == stack(Dropout(0.0), Dense(4), Dropout(0.0, per="sequence"))
        close(scan(quiet, self.PARAMS, XS)[1], scan(Dense(4), self.PARAMS["1"], XS)[1])
        nested = residual(stack(bidirectional(Dropout(0.3), merge="sum"), LSTM(D)))
        assert not nested.evaluation().asks


def test_explain_tells_what_runs():
    cell = stack(Embed(5, 3), LSTM(4), bidirectional(GRU(2, reset_after=False)), Dense(2))
    params = cell.init(jax.random.key(0), 0)
    tokens = jnp.zeros((2, 640), jnp.int32)
    text = explain(cell, params, tokens)
    assert "Embed(5, 3): all steps at once" in text
    assert "LSTM(4): loop over time, deferred gradient in chunks of 128" in text
    assert "GRU(2, reset_after=False): loop over time, deferred gradient" in text
    text = explain(cell, params, tokens, gradient="autodiff", checkpoint="sqrt")
    assert "LSTM(4): loop over time, autodiff gradient (asked for)" in text
    assert "kept every 25 steps" in text
    text = explain(TreeCell(2), TreeCell(2).init(jax.random.key(0), 2), mixed_tree(jax.random.key(1), (2, 3)))
    assert "not floating point" in text


class TestChecked:
    """Values inside jit, through checkify."""

    cell = stack(Embed(5, 3), LSTM(2))
    params = cell.init(jax.random.key(0), 0)

    def error_of(self, tokens, lengths):
        def f(tokens, lengths):
            return scan(self.cell, self.params, tokens, lengths=lengths, checked=True)

        return jax.jit(checkify.checkify(f))(np.asarray(tokens), np.asarray(lengths))[0].get()

    def test_good_values_pass(self):
        assert self.error_of([[0, 4, 99]], [2]) is None  # the 99 lies in padding

    def test_lengths(self):
        assert "lengths must be in [0, 3], found 4 to 4" in self.error_of([[0, 1, 2]], [4])
        assert "found -1 to -1" in self.error_of([[0, 1, 2]], [-1])

    @pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
    def test_narrow_lengths_and_ids_give_no_false_alarm(self, dtype):
        """300 steps, compared with a uint8, were 44."""
        tokens = np.zeros((1, 300), dtype)
        assert self.error_of(tokens, np.array([100], dtype)) is None
        assert "found 100 to 100" in self.error_of(tokens[:, :50], np.array([100], dtype))

    def test_no_steps_and_no_rows(self):
        assert self.error_of(np.zeros((2, 0), int), [0, 0]) is None
        assert self.error_of(np.zeros((0, 3), int), np.zeros(0, int)) is None

    def test_tokens(self):
        assert "token ids must be in [0, 5), found 0 to 7" in self.error_of([[0, 7, 2]], [3])

    def test_unchecked_tokens_out_of_range_are_nan_and_no_other_row(self):
        ys = jax.jit(lambda t: scan(Embed(5, 3), self.params["0"], t)[1])(np.array([[0, 5, -1, 4]]))
        np.testing.assert_array_equal(np.isnan(ys).all(-1), [[False, True, True, False]])


def test_vmap_over_data_is_the_batch():
    together = scan(CELL, PARAMS, XS)
    close(jax.vmap(lambda x: scan(CELL, PARAMS, x))(XS), together)


def test_a_carry_keeps_its_dtype_and_outputs_promote():
    cell = LSTM(2)
    params = jax.tree.map(lambda a: a.astype(jnp.bfloat16), cell.init(jax.random.key(0), D))
    xs = XS.astype(jnp.bfloat16)
    carry, ys = scan(cell, params, xs)
    assert (carry.c.dtype, ys.dtype) == (jnp.float32, jnp.bfloat16)
    wide, _ = scan(cell, cell.init(jax.random.key(0), D), XS)
    np.testing.assert_allclose(carry.c, wide.c, atol=0.03)


def test_no_mask_is_not_paid_for():
    """Without mask and resets no selection is in the program."""
    params = LSTM(2).init(jax.random.key(0), D)
    text = str(jax.make_jaxpr(lambda x: scan(LSTM(2), params, x))(XS))
    assert "select_n" not in text
    assert "select_n" in str(jax.make_jaxpr(lambda x: scan(LSTM(2), params, x, lengths=np.array([1, 2, 3])))(XS))


def test_nested_stacks_and_own_names():
    inner = stack(RNN(2), LSTM(2))
    cell = stack(inner, residual(inner))
    params = cell.init(jax.random.key(0), D)
    assert set(params) == {"0", "1"}
    assert scan(cell, params, XS)[1].shape == (B, T, 2)
    assert eval(repr(cell), {"stack": stack, "RNN": RNN, "LSTM": LSTM, "residual": residual}) == cell


def test_a_cell_from_text_is_the_cell_that_prints_it():
    for text in ("LSTM(64)", "stack(RNN(32), bidirectional(GRU(8), merge='sum'), Norm(kind='rms'))",
                 "RNN(4, activation='relu', recurrent_init=identity(scale=0.5))"):  # fmt: skip
        assert repr(sj.cell_from_text(text)) == text
