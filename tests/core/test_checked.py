"""Values checked inside jit, through checkify."""

import jax
import numpy as np
import pytest
from jax.experimental import checkify

from seqjax import LSTM, Embed, scan, stack


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
