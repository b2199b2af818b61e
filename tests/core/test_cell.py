"""Cells as values: equality, evaluation, replaced parts, an overridden step."""

import dataclasses
import inspect
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import (  # fmt: skip
    GRU,
    LSTM,
    RNN,
    Cell,
    Dense,
    Dropout,
    Norm,
    Wrapper,
    bidirectional,
    repeat,
    replace,
    residual,
    scan,
    stack,
)
from tests.attending_cells import WindowAttention
from tests.trees import close

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


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

    @pytest.mark.parametrize("base", [RNN, LSTM])
    def test_an_update_of_its_own_is_given_both_parts(self, base):
        """That z and m are read as their sum alone is what the base says of its own update."""

        class Scaled(base):
            def update(self, p, carry, z, m):
                return super().update(p, carry, z + z * m, m)

        assert base.sums and not Scaled.sums
        self.check(Scaled(3))

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
        assert wide.initial_carry(params, (B,))[1].k.shape == (B, 1, 9, 3)
        scan(wide, params, XS)


class Twice(Wrapper):
    factor: float = 2.0

    def step(self, params, carry, x):
        carry, y = self.cell.step(params, carry, x)
        return carry, self.factor * y


def test_options_that_are_equal_numbers_of_other_types_are_other_cells():
    """1 == True and 0.0 == -0.0 shared one program."""
    assert Twice(GRU(3), 1) != Twice(GRU(3), True)
    assert Twice(GRU(3), 0.0) != Twice(GRU(3), -0.0)
    assert Twice(GRU(3), 2.0) == Twice(GRU(3)) and hash(Twice(GRU(3), 2.0)) == hash(Twice(GRU(3)))
    assert Twice(GRU(3), float("nan")) == Twice(GRU(3), float("nan"))


class Pair(NamedTuple):
    y: jax.Array
    z: jax.Array


class Two(Cell):
    parts: Pair
    made: int = dataclasses.field(init=False, default=3)


def test_evaluation_and_replace_reach_cells_in_named_tuples():
    quiet = Two(Pair(Dropout(0.5), stack(Dropout(0.1)))).evaluation()
    assert quiet.parts == Pair(Dropout(0.0), stack(Dropout(0.0)))


def test_subclasses_are_frozen_dataclasses_without_being_told():
    assert dataclasses.is_dataclass(GRU)
    with pytest.raises(dataclasses.FrozenInstanceError):
        GRU(3).features = 4


def test_parameters_without_branches_are_named():
    """They ended in KeyError 'kernel'."""

    class Flat(sj.Recurrent):
        features: int
        out_features = property(lambda self: self.features)

        def init(self, key, in_features, dtype=jnp.float32):
            return {"kernel": jnp.zeros((in_features, self.features), dtype), "u": jnp.zeros(self.features, dtype)}

        def initial_carry(self, params, batch_shape=()):
            return jnp.zeros((*batch_shape, self.features))

        def mix(self, p, h):
            return h * p["u"]

        def update(self, p, h, z, m):
            return z + m, z + m

    cell = Flat(4)
    with pytest.raises(
        sj.ArgumentError, match="init gives 'kernel', 'u', but project, mix and update each see a branch"
    ):
        sj.scan(cell, cell.init(jax.random.key(0), 3), jnp.zeros((2, 5, 3)))
