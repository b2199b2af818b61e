"""Repeated cells are the stack of as many, compiled once."""

import jax
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, Embed, repeat, scan, stack
from tests.trees import close

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


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
            (lambda: repeat(LSTM(3), 0), "layers must be a whole number of at least 1"),
            (lambda: repeat(Embed(5, 3), 2), "does not take the vectors that it gives"),
            (lambda: repeat(LSTM(3), 2).init(jax.random.key(0), D), "gives 3 features but gets 4"),
            (lambda: repeat(LSTM, 2), "Write LSTM"),
        ],
        ids=["layers", "tokens", "width", "class"],
    )
    def test_wrong_calls(self, make, message):
        with pytest.raises(sj.SeqjaxError, match=message):
            make()
