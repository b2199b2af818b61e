"""What steps read and never change."""

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import LSTM, Cell, Dense, Dropout, Held, residual, scan, stack
from seqjax._internal.trees import select
from tests.attending_cells import AttendingLSTM

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


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
