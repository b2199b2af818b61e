"""Outside jit a call is one program for equal cells, options and shapes."""

import chex
import jax
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, Dense, Embed, scan, stack
from tests.trees import close

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


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
