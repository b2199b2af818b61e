"""Stacks: names, sizes, what may stand in them."""

import dataclasses

import jax
import numpy as np
import pytest

import seqjax as sj
from seqjax import (  # fmt: skip
    GRU,
    LSTM,
    RNN,
    ArgumentError,
    Dense,
    Dropout,
    Embed,
    Norm,
    bidirectional,
    residual,
    scan,
    stack,
)
from tests.own_cells import DelayLine, Skip
from tests.trees import close

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


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


def test_a_named_stack_keeps_as_many_names_as_cells():
    """One cell more was left out of the run, in silence."""
    model = stack(a=Dense(4), b=GRU(3))
    with pytest.raises(ArgumentError, match="3 cells, but 2 names"):
        dataclasses.replace(model, cells=(*model.cells, Dense(7)))
    with pytest.raises(ArgumentError, match="used once"):
        sj.combinators.Stack((Dense(4), GRU(3)), ("x", "x"))


def test_a_delay_line_may_stand_in_a_stack_with_resets():
    cell = stack(DelayLine(2), Dense(2))
    params = cell.init(jax.random.key(0), D)
    resets = np.zeros((B, T), bool)
    resets[:, 2] = True
    _, ys = scan(cell, params, XS, resets=resets)
    np.testing.assert_allclose(ys[:, 2:], scan(cell, params, XS[:, 2:])[1], rtol=1e-6)


def test_nested_stacks_and_own_names():
    inner = stack(RNN(2), LSTM(2))
    cell = stack(inner, residual(inner))
    params = cell.init(jax.random.key(0), D)
    assert set(params) == {"0", "1"}
    assert scan(cell, params, XS)[1].shape == (B, T, 2)
    assert eval(repr(cell), {"stack": stack, "RNN": RNN, "LSTM": LSTM, "residual": residual}) == cell
