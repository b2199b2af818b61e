"""Wrappers and stacks pass on every member of the cells within."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import LSTM, Cell, Dense, Embed, Held, Wrapper, bidirectional, repeat, residual, scan, stack
from seqjax.core.start import start_carry
from tests.own_cells import Skip

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


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
        # Of the parts that are options; of whether step is made of three; of a recurrence, which belongs to the part.
        derived = {"evaluation", "separable", "affine", "read"}
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
