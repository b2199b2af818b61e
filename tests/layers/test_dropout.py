"""Dropout: rates, masks, keys."""

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import LSTM, Dense, Dropout, bidirectional, residual, scan, stack
from tests.trees import close

D, B, T = 3, 3, 7
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


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
