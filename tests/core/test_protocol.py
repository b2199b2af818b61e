"""What a cell is made of: members and who passes them on, what a carry asks for and holds, one program a call."""

import dataclasses
import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import (
    GRU,
    LSTM,
    RNN,
    Cell,
    Dense,
    Dropout,
    Embed,
    Held,
    Norm,
    Wrapper,
    bidirectional,
    repeat,
    replace,
    residual,
    scan,
    stack,
)  # fmt: skip
from seqjax._internal.trees import select
from seqjax.core.start import start_carry
from tests.own_cells import AttendingLSTM, DelayLine, Skip, WindowAttention

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


def close(a, b, tolerance=1e-6):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


class Scaled(Wrapper):
    """A user's wrapper with nothing but a step."""

    def step(self, params, carry, x):
        carry, y = self.cell.step(params, carry, x)
        return carry, 2 * y


class TestMembersArePassedOn:
    """All wrappers over all members of `Cell`."""

    class Odd(Cell):
        """Every member is unusual."""

        feature_axes = 1
        causal = True
        asks = frozenset({"key", "memory", "in_features", "mood"})
        narrow = True
        out_features = None

        def size(self, in_features):
            return in_features

        def init(self, key, in_features, dtype=jnp.float32):
            return {"w": jnp.full((in_features,), 3, dtype)}

        def initial_carry(self, params, batch_shape=(), *, key, memory, in_features, mood):
            return {
                "key": jax.random.split(key, batch_shape),
                "memory": Held(memory),
                "mood": mood,
                "t": jnp.zeros((*batch_shape, in_features)),
            }

        def restart(self, params, carry, batch_shape):
            return carry | {"t": carry["t"] - 1}

        def step(self, params, carry, x):
            return carry | {"t": carry["t"] + 1}, x * jnp.broadcast_to(params["w"], x.shape)

        def check_input(self, xs, mask, values):
            if xs.shape[-1] == 5:
                raise sj.ArgumentError("five is not odd enough")

        def evaluation(self):
            return Dense(D)

    WRAPPERS = [
        lambda c: stack(c),
        lambda c: stack(only=c),
        lambda c: stack(Dense(D), c, Dense(D)),
        residual,
        bidirectional,
        lambda c: repeat(c, 2),
        Scaled,
        Skip,
        Wrapper,
    ]
    IDS = ["stack", "named", "inside", "residual", "bidirectional", "repeat", "Scaled", "Skip", "Wrapper"]
    over = pytest.mark.parametrize("wrap", WRAPPERS, ids=IDS)

    def test_no_member_is_forgotten(self):
        """Each public member of Cell is defined by Wrapper and by stacks, or means the same for every cell."""
        derived = {"evaluation", "separable"}  # of the parts that are options; of whether step is made of three
        members = {name for name in vars(Cell) if not name.startswith("_")}
        for cls in (Wrapper, sj.combinators.Stack, sj.combinators.Bidirectional):
            bases = [base for base in cls.__mro__ if issubclass(base, Cell) and base is not Cell]
            defined = {name for base in bases for name in vars(base)}
            assert members - derived <= defined, members - derived - defined

    @over
    def test_what_is_said_of_the_cell(self, wrap):
        cell = wrap(self.Odd())
        assert cell.asks >= self.Odd.asks
        assert cell.narrow
        assert cell.causal == (not isinstance(cell, sj.combinators.Bidirectional))
        assert cell.feature_axes == 1
        assert cell.evaluation() == wrap(Dense(D))
        assert cell.size(D) in (D, 2 * D)

    @over
    def test_what_a_carry_asks_for_arrives(self, wrap):
        cell = wrap(self.Odd())
        params = cell.init(jax.random.key(0), D)
        given = {"key": jax.random.key(1), "memory": jnp.ones((B, 2)), "in_features": D, "mood": jnp.ones((B, 1))}
        carry = cell.initial_carry(params, (B,), **given)
        for leaf in jax.tree.leaves(carry):
            assert leaf.shape[0] == B
        _, ys = scan(cell, params, XS, carry, resets=np.ones((B, T), bool))
        assert ys.shape == (B, T, cell.size(D))
        clocks = [
            leaf
            for path, leaf in jax.tree_util.tree_leaves_with_path(cell.restart(params, carry, (B,)))
            if "'t'" in str(path[-1:])
        ]
        assert clocks
        assert all(np.all(leaf == -1) for leaf in clocks)
        with pytest.raises(sj.ArgumentError, match="needs 'mood'"):
            start_carry(cell, params, (B,), **given | {"mood": None})

    @over
    def test_inputs_are_checked_by_the_cell_within(self, wrap):
        cell = wrap(self.Odd())
        if len(getattr(cell, "cells", "1")) > 1:
            return  # the first of several cells answers for the input
        with pytest.raises(sj.ArgumentError, match="five is not odd enough"):
            cell.check_input(np.ones((B, T, 5)), None, True)


TOKENS = [bidirectional(stack(Embed(10, 4), LSTM(3))), Scaled(Embed(10, 4)), stack(e=bidirectional(Embed(10, 4)))]


@pytest.mark.parametrize("cell", TOKENS, ids=repr)
def test_token_ids_out_of_range_are_seen_through_wrappers(cell):
    """`bidirectional(stack(Embed(10, 4), LSTM(3)))` let them pass and gave NaN."""
    params = cell.init(jax.random.key(0), 1)
    with pytest.raises(sj.ArgumentError, match="token id 10"):
        scan(cell, params, np.array([[1, 10]]))


class TestOverriddenStep:
    """A subclass that overrides `step` alone was ignored by scan: its base's sequence ran."""

    def check(self, cell, in_features=D):
        params = cell.init(jax.random.key(0), in_features)
        xs = XS
        carry = cell.initial_carry(params, (B,))
        want = []
        for t in range(T):
            carry, y = cell.step(params, carry, xs[:, t])
            want.append(y)
        close(scan(cell, params, xs)[1], np.stack(want, 1))
        assert not np.allclose(
            scan(cell, params, xs)[1],
            scan(inspect.getmro(type(cell))[1](*dataclasses.astuple(cell)[:1]), params, xs)[1],
        )

    @pytest.mark.parametrize("base, option", [(GRU, D), (RNN, D), (LSTM, D), (Dense, D), (Norm, "rms")])
    def test_of_a_cell_or_layer(self, base, option):
        class Doubled(base):
            def step(self, params, carry, x):
                carry, y = super().step(params, carry, x)
                return carry, 2 * y

        self.check(Doubled(option))

    def test_by_a_mixin(self):
        class Doubling:
            def step(self, params, carry, x):
                carry, y = super().step(params, carry, x)
                return carry, 2 * y

        class Mixed(Doubling, GRU):
            pass

        params = GRU(3).init(jax.random.key(0), D)
        close(scan(Mixed(3), params, XS)[1], 2 * scan(GRU(3), params, XS)[1])

    def test_whoever_overrides_both_is_taken_at_his_word(self):
        class Both(GRU):
            def step(self, params, carry, x):
                return super().step(params, carry, x)

            def sequence(self, params, carry, xs, plan=sj.Plan()):
                return carry, jnp.zeros((*xs.shape[:-1], self.features))

        cell = Both(3)
        assert not np.any(scan(cell, cell.init(jax.random.key(0), D), XS)[1])


class TestHeld:
    CELL = AttendingLSTM(128)
    SHAPE = {"B": 16, "T": 64, "S": 64}

    def temp(self, closed_over, **options):
        """Temporary bytes of a gradient that reaches params, memory and xs."""
        b, t, s = self.SHAPE.values()
        params = jax.eval_shape(lambda: self.CELL.init(jax.random.key(0), 128))
        memory, xs = (jax.ShapeDtypeStruct((b, n, 128), jnp.float32) for n in (s, t))

        def score(params, memory, xs):
            if closed_over:

                class Closed(Cell):
                    out_features = 128

                    def initial_carry(self, params, batch_shape=()):
                        return LSTM(128).initial_carry(params, batch_shape)

                    def init(self, key, in_features, dtype=jnp.float32):
                        return AttendingLSTM(128).init(key, in_features, dtype)

                    def step(self, params, carry, x):
                        (carry, _), y = AttendingLSTM(128).step(params, (carry, Held(memory)), x)
                        return carry, y

                return jnp.sum(scan(Closed(), params, xs, gradient="autodiff", **options)[1] ** 2)
            carry = self.CELL.initial_carry(params, (b,), memory=memory)
            return jnp.sum(scan(self.CELL, params, xs, carry, gradient="autodiff", **options)[1] ** 2)

        compiled = jax.jit(jax.grad(score, argnums=(0, 1, 2))).lower(params, memory, xs).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    def test_memory_is_that_of_closing_over_it(self):
        """Lengths and resets: within 1.1 (as an ordinary leaf it was 8 times as much)."""
        b, t, _ = self.SHAPE.values()
        options = {"lengths": np.arange(b) * 4, "resets": np.arange(b * t).reshape(b, t) % 9 == 0}
        assert self.temp(False, **options) <= 1.1 * self.temp(True, **options)

    def test_gradients_reach_what_is_held(self):
        cell = stack(Dense(3), AttendingLSTM(3), residual(AttendingLSTM(3)), Dropout(0.3))
        params = cell.init(jax.random.key(0), D)
        memory = jax.random.normal(jax.random.key(2), (B, 5, 3))

        def score(memory):
            carry = cell.initial_carry(params, (B,), memory=memory, key=jax.random.key(0))
            return jnp.sum(scan(cell, params, XS, carry, lengths=np.array([0, 3, T]))[1] ** 2)

        grads = jax.grad(score)(memory)
        assert not np.any(grads[0])  # this row has no step
        assert np.all(np.any(np.asarray(grads[1:]) != 0, axis=(1, 2)))

    def test_selection_leaves_identical_leaves_alone(self):
        a, b, flag = jnp.ones((2, 3)), jnp.zeros((2, 3)), jnp.array([True, False])
        same, other = select(flag, (a, a), (a, b))
        assert same is a
        np.testing.assert_array_equal(other, [[1] * 3, [0] * 3])


class TestSizes:
    def test_a_skip_and_a_delay_in_a_stack(self):
        cell = stack(Skip(DelayLine(2)), Skip(RNN(3)), Dense(2))
        assert (cell.size(D), cell.out_features) == (2, 2)
        params = cell.init(jax.random.key(0), D)
        assert params["1"]["project"]["kernel"].shape == (2 * D, 3)
        assert params["2"]["kernel"].shape == (2 * D + 3, 2)
        _, ys = scan(stack(cell.cells[0]), {"0": {}}, XS)
        np.testing.assert_array_equal(ys[:, 2:, D:], XS[:, :-2])

    def test_out_features_of_a_stack_whose_end_depends_on_its_beginning(self):
        assert stack(Dense(3), Skip(Dense(2))).out_features == 5
        assert stack(Skip(Dense(2))).out_features is None
        assert bidirectional(Norm()).size(D) == 2 * D


class TestReplace:
    MODEL = stack(
        Dense(2),
        residual(stack(Dropout(0.5), bidirectional(Dropout(0.1), merge="sum"))),
        repeat(residual(Dropout(0.2)), 2),
    )

    def test_every_cell_within(self):
        half = replace(self.MODEL, lambda c: dataclasses.replace(c, rate=c.rate / 2) if isinstance(c, Dropout) else c)
        assert repr(half) == repr(self.MODEL).replace("0.5", "0.25").replace("0.1)", "0.05)").replace("0.2)", "0.1)")

    def test_the_cell_itself_and_what_is_no_cell(self):
        assert replace(LSTM(3), lambda c: GRU(c.features)) == GRU(3)
        with pytest.raises(sj.ArgumentTypeError, match="replace: expected a cell"):
            replace(stack(LSTM(3)), lambda c: None)

    def test_capacity_of_a_cache_within_a_stack(self):
        cell = stack(Dense(3), WindowAttention(3, 2))
        params = cell.init(jax.random.key(0), D)
        wide = replace(cell, lambda c: dataclasses.replace(c, window=9) if isinstance(c, WindowAttention) else c)
        assert wide.initial_carry(params, (B,))[1].k.shape == (B, 9, 3)
        scan(wide, params, XS)


class TestNamedStack:
    CELL = stack(embed=Embed(5, 3), rnn=LSTM(3), out=Dense(2))

    def test_parameters_carry_and_print_have_the_names(self):
        params = self.CELL.init(jax.random.key(0), 1)
        assert list(params) == ["embed", "rnn", "out"]
        carry, ys = scan(self.CELL, params, np.ones((B, T), int))
        assert carry["rnn"].h.shape == (B, 3)
        assert repr(self.CELL) == "stack(embed=Embed(5, 3), rnn=LSTM(3), out=Dense(2))"
        assert sj.cell_from_text(repr(self.CELL)) == self.CELL
        plain = stack(*self.CELL.cells)
        assert plain != self.CELL
        close(scan(plain, dict(zip("012", params.values())), np.ones((B, T), int))[1], ys)

    def test_a_cell_put_in_between_leaves_the_names(self):
        params = self.CELL.init(jax.random.key(0), 1)
        quiet = stack(embed=Embed(5, 3), drop=Dropout(0.0), rnn=LSTM(3), out=Dense(2))
        close(
            scan(quiet, params | {"drop": {}}, np.ones((B, T), int))[1],
            scan(self.CELL, params, np.ones((B, T), int))[1],
        )

    def test_half_named_is_refused(self):
        with pytest.raises(sj.ArgumentError, match="to all cells, or to none"):
            stack(Embed(5, 3), rnn=LSTM(3))


class TestRepeat:
    def test_is_the_stack_of_as_many(self):
        cell, apart = repeat(GRU(D), 3), stack(*[GRU(D)] * 3)
        params = cell.init(jax.random.key(0), D)
        layers = {str(i): jax.tree.map(lambda p, i=i: p[i], params) for i in range(3)}
        carry, ys = scan(cell, params, XS, lengths=np.array([0, 3, T]))
        want_carry, want = scan(apart, layers, XS, lengths=np.array([0, 3, T]))
        close((ys, carry), (want, np.stack(want_carry, axis=1)))

    def test_one_layer_is_compiled_for_all(self):
        size = lambda n: len(
            str(
                jax.make_jaxpr(lambda p, x: scan(repeat(LSTM(D), n), p, x))(
                    repeat(LSTM(D), n).init(jax.random.key(0), D), XS
                )
            )
        )
        assert abs(size(24) - size(2)) < 100

    @pytest.mark.parametrize(
        "make, message",
        [
            (lambda: repeat(LSTM(3), 0), "layers must be a whole number above 0"),
            (lambda: repeat(Embed(5, 3), 2), "does not take the vectors that it gives"),
            (lambda: repeat(LSTM(3), 2).init(jax.random.key(0), D), "gives 3 features but gets 4"),
            (lambda: repeat(LSTM, 2), "Write LSTM"),
        ],
        ids=["layers", "tokens", "width", "class"],
    )
    def test_wrong_calls(self, make, message):
        with pytest.raises(sj.SeqjaxError, match=message):
            make()


class TestOneProgram:
    """Outside jit a call is compiled once for equal cells, options and shapes; it was compiled anew each time."""

    def test_scan(self):
        traces = []

        class Counted(GRU):
            def update(self, p, h, z, m):
                traces.append(1)
                return super().update(p, h, z, m)

        params = Counted(5).init(jax.random.key(0), D)
        scan(Counted(5), params, XS)
        first = len(traces)
        for i in range(4):
            scan(Counted(5), jax.tree.map(lambda p: 2 * p, params), XS + i)
        assert len(traces) == first
        for length in range(T):
            scan(Counted(5), params, XS, lengths=np.full(B, length))
        assert len(traces) == 2 * first

    def test_a_stream_step_by_step(self):
        """One step a call, the carry handed on, by scan and by a jitted step."""
        cell = stack(Dense(3), LSTM(3))
        params = cell.init(jax.random.key(0), D)
        want = scan(cell, params, XS)[1]
        step = jax.jit(chex.assert_max_traces(lambda *a: cell.step(*a), n=1))
        carry = stepped = cell.initial_carry(params, (B,))
        for t in range(T):
            carry, y = scan(cell, params, XS[:, t : t + 1], carry)
            stepped, z = step(params, stepped, XS[:, t])
            close((y[:, 0], z), (want[:, t], want[:, t]))

    def test_errors_still_come_before_anything_is_compiled(self):
        cell = stack(Embed(5, 3), LSTM(3))
        params = cell.init(jax.random.key(0), 1)
        scan(cell, params, np.zeros((B, T), int))
        with pytest.raises(sj.ArgumentError, match="token id 5"):
            scan(cell, params, np.full((B, T), 5))
        with pytest.raises(sj.ArgumentError, match="lengths must be in"):
            scan(cell, params, np.zeros((B, T), int), lengths=np.full(B, T + 1))


def test_default_carry_takes_the_width_of_any_input(x64):
    """With whole numbers as the first of several inputs it stayed float32 beside float64 values."""
    from tests.own_cells import TreeCell, mixed_tree

    cell = TreeCell(3)
    params = cell.init(jax.random.key(0), 2)
    carry, _ = scan(cell, params, mixed_tree(jax.random.key(1), (B, T)))
    assert carry["h"].dtype == jnp.float64


def test_what_is_asked_for_and_missing_is_named():
    cell = stack(Dense(3), AttendingLSTM(3))
    params = cell.init(jax.random.key(0), D)
    with pytest.raises(sj.ArgumentError, match="reads a memory: pass carry=cell.initial_carry"):
        scan(cell, params, XS)
    with pytest.raises(sj.ArgumentError, match="the batch axes .3,. first"):
        scan(cell, params, XS, cell.initial_carry(params, (2,), memory=jnp.ones((2, 5, 3))))
