"""`engine="newton"`: values, derivatives, what it reports, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

import seqjax as sj
from seqjax.initializers import orthogonal, zeros
from seqjax.seq2seq import Memory, attend
from seqjax.testing import check_cell
from tests.own_cells import TreeCell, mixed_tree
from tests.trees import close

CELLS = [sj.RNN(5), sj.LSTM(4), sj.GRU(4, learned_carry=True), sj.stack(sj.LSTM(3), sj.Dense(4), sj.GRU(3))]
MARKS = {
    "all steps": {},
    "mask": {"mask": np.random.default_rng(0).random((3, 20)) < 0.7},
    "lengths": {"lengths": np.array([20, 0, 7])},
    "resets": {"resets": np.random.default_rng(1).random((3, 20)) < 0.2},
    "reverse": {"reverse": True, "mask": np.random.default_rng(0).random((3, 20)) < 0.7},
    "segments": {"checkpoint": 6, "resets": np.random.default_rng(1).random((3, 20)) < 0.2},
}


slow = lambda value: pytest.param(value, marks=pytest.mark.slow)


def make(cell, *shape):
    """Parameters, a carry that has moved, and inputs."""
    params = cell.init(jax.random.key(0), 3, jnp.float64)
    xs = jax.random.normal(jax.random.key(1), (*shape, 3))
    carry = cell.initial_carry(params, shape[:-1])
    return params, jax.tree.map(lambda a: a + 0.3, carry), xs


@pytest.mark.parametrize("jacobian", ["dense", slow("diagonal")])
@pytest.mark.parametrize("cell", [slow(CELLS[0]), CELLS[1], *map(slow, CELLS[2:])], ids=repr)
def test_it_gives_what_the_loop_gives(cell, jacobian, x64):
    params, carry, xs = make(cell, 3, 20)
    for marks in MARKS.values():
        found = sj.newton(cell, params, xs, carry, jacobian=jacobian, **marks)
        assert found.converged.all() and found.residual.max() <= 64 * np.finfo(float).eps
        close((found.carry, found.ys), sj.scan(cell, params, xs, carry, **marks), 1e-10)
    close(sj.scan(cell, params, xs, engine="newton"), sj.scan(cell, params, xs), 1e-10)


def test_a_linear_recurrence_takes_one_iteration(x64):
    cell = sj.RNN(5, activation="identity")
    params, carry, xs = make(cell, 2, 4, 50)
    found = sj.newton(cell, params, xs, carry)
    assert found.iterations == 1 and found.converged.shape == (2, 4)
    close((found.carry, found.ys), sj.scan(cell, params, xs, carry), 1e-10)


class Stateless(sj.Cell):
    """A step without a carry."""

    out_features = 3

    def init(self, key, in_features, dtype=jnp.float32):
        return {}

    def initial_carry(self, params, batch_shape=()):
        return ()

    def step(self, params, carry, x):
        return (), x


def test_no_steps_no_rows_no_state(x64):
    cell = sj.stack(sj.GRU(3), sj.Dense(2))
    for shape in ((2, 0), (0, 4), (1,)):
        params, carry, xs = make(cell, *shape)
        found = sj.newton(cell, params, xs, carry)
        assert found.converged.shape == found.residual.shape == shape[:-1] and found.converged.all()
        close((found.carry, found.ys), sj.scan(cell, params, xs, carry), 1e-10)
    alone = sj.newton(sj.Dense(2), sj.Dense(2).init(jax.random.key(0), 3), jnp.ones((2, 4, 3)))
    assert alone.converged.tolist() == [True, True] and alone.iterations == 0
    for jacobian in ("dense", "diagonal"):  # a recurrence of nothing
        found = sj.newton(Stateless(), {}, jnp.ones((2, 4, 3)), jacobian=jacobian)
        assert found.converged.all() and np.array_equal(found.ys, np.ones((2, 4, 3)))


@pytest.mark.parametrize("jacobian", ["dense", slow("diagonal")])
@pytest.mark.parametrize("cell", [CELLS[0], slow(CELLS[1]), slow(CELLS[2])], ids=repr)
def test_derivatives_of_all_orders_are_those_of_the_loop(cell, jacobian, x64):
    args = make(cell, 3, 20)
    marks = MARKS["mask"] | MARKS["resets"]

    def derivatives(run):
        score = lambda *args: sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(run(*args)))
        gradient = jax.grad(score, argnums=(0, 1, 2))
        direction = jax.tree.map(lambda a: jnp.cos(jnp.arange(a.size, dtype=a.dtype)).reshape(a.shape), args)
        along = lambda f: jax.jvp(f, args, direction)
        over = lambda *args: sum(map(jnp.vdot, jax.tree.leaves(gradient(*args)), jax.tree.leaves(direction)))
        return jax.jit(lambda: (along(score), along(gradient), jax.grad(over, argnums=(0, 1, 2))(*args)))()

    found = derivatives(lambda p, c, x: sj.newton(cell, p, x, c, jacobian=jacobian, **marks)[:2])
    close(found, derivatives(lambda p, c, x: sj.scan(cell, p, x, c, gradient="autodiff", **marks)), 1e-9)


def two_rows():
    """A network that expands differences, whose second row is held near zero by resets."""
    cell = sj.RNN(64, recurrent_init=orthogonal(3.0), bias_init=zeros())
    params, carry, xs = make(cell, 2, 300)
    return cell, params, xs, {"resets": np.stack([np.zeros(300, bool), np.arange(300) % 2 == 0])}


class TestRowsWithoutASolution:
    def test_they_are_nan_and_no_other_row(self, x64):
        cell, params, xs, marks = two_rows()
        found = sj.newton(cell, params, xs, iterations=8, **marks)
        carry, ys = sj.scan(cell, params, xs, **marks)
        assert found.converged.tolist() == [False, True] and found.iterations == 8
        assert np.isnan(found.ys[0]).all() and np.isnan(found.carry[0]).all()
        np.testing.assert_allclose(found.ys[1], ys[1], atol=1e-10)
        np.testing.assert_allclose(found.carry[1], carry[1], atol=1e-10)
        assert found.residual[0] > 1e-3 and found.residual[1] < 1e-13

    @pytest.mark.slow
    def test_so_are_gradients(self, x64):
        cell, params, xs, marks = two_rows()
        for read in (lambda found: found.ys, lambda found: found.carry):
            score = lambda x: jnp.sum(read(sj.newton(cell, params, x, iterations=8, **marks)))
            slope = jax.jit(jax.grad(score))(xs)
            assert np.isnan(slope[0]).any() and np.isfinite(slope[1]).all()

    def test_the_loop_steps_in_where_it_is_asked_to(self, x64):
        cell, params, xs, marks = two_rows()
        found = sj.newton(cell, params, xs, iterations=8, fallback=True, **marks)
        assert found.converged.tolist() == [False, True]
        close((found.carry, found.ys), sj.scan(cell, params, xs, **marks), 1e-10)
        alone = lambda run: jax.jit(jax.grad(lambda x: jnp.sum(run(x)[1][:, :9] ** 2)))(xs[:, :20])
        slope = alone(lambda x: sj.newton(cell, params, x, iterations=2, fallback=True)[:2])
        np.testing.assert_allclose(slope, alone(lambda x: sj.scan(cell, params, x)), rtol=1e-9, atol=1e-9)

    def test_checked_says_what_to_do(self, x64):
        cell, params, xs, marks = two_rows()
        run = jax.jit(checkify.checkify(lambda x: sj.newton(cell, params, x, iterations=8, checked=True, **marks)))
        message = run(xs)[0].get()
        assert "has not solved 1 rows in 8 iterations" in message and "engine='scan'" in message
        assert run(jnp.zeros_like(xs))[0].get() is None

    def test_a_row_that_the_loop_cannot_run_either_takes_no_iterations(self, x64):
        cell = sj.GRU(64)  # wide: the maximum of XLA over many NaNs may be -inf
        params, carry, xs = make(cell, 2, 300)
        found = sj.newton(cell, params, xs.at[0, 9].set(jnp.nan), carry)
        assert found.converged.tolist() == [False, True] and found.iterations < 10 and found.residual[0] == np.inf
        assert np.isnan(found.ys[0]).all()
        np.testing.assert_allclose(found.ys[1], sj.scan(cell, params, xs, carry)[1][1], atol=1e-10)

    @pytest.mark.slow
    def test_time_steps_are_enough_iterations(self, x64):
        """After k iterations k states are right, also with a diagonal Jacobian that is far from the dense one."""
        cell, params, xs, _ = two_rows()
        for jacobian in ("dense", "diagonal"):
            found = sj.newton(cell, params, xs[:, :12], jacobian=jacobian, iterations=14)
            assert found.converged.all()
            close(found.ys, sj.scan(cell, params, xs[:, :12])[1], 1e-10)


@pytest.mark.slow
def test_float32_and_bfloat16_keep_their_bounds():
    """8e-6 and 0.03 in the residual, and about as much in the states of networks that forget."""
    for dtype, bound in ((jnp.float32, 64 * 2**-23), (jnp.bfloat16, 4 * 2**-7)):
        for cell in (sj.RNN(16), sj.LSTM(16), sj.GRU(16)):
            params = cell.init(jax.random.key(0), 3, dtype)
            xs = jax.random.normal(jax.random.key(1), (2, 200, 3), dtype)
            found = sj.newton(cell, params, xs)
            assert found.converged.all() and found.residual.max() <= bound and found.ys.dtype == dtype
            error = jnp.abs(found.ys.astype(jnp.float32) - sj.scan(cell, params, xs)[1].astype(jnp.float32))
            assert error.max() <= 4 * bound


def test_repeated_layers_and_both_directions(x64):
    for cell in (sj.bidirectional(sj.GRU(3)), sj.repeat(sj.residual(sj.GRU(3)), 3)):
        params, carry, xs = make(cell, 2, 20)
        want = sj.scan(cell, params, xs, carry, lengths=[20, 7])
        close(sj.scan(cell, params, xs, carry, lengths=[20, 7], engine="newton"), want, 1e-10)
    with pytest.raises(sj.ArgumentError, match="runs inside a loop, jit or vmap of another cell"):
        sj.newton(cell, params, xs, carry)


def test_a_complex_carry_is_two_real_ones(x64):
    params, _, xs = make(cell := sj.LRU(3), 2, 9)
    found = sj.newton(cell, params, xs, lengths=[9, 4])
    assert found.iterations == 1
    close((found.carry, found.ys), sj.scan(cell, params, xs, lengths=[9, 4]), 1e-10)


@pytest.mark.slow
def test_what_is_held_is_a_constant_and_has_a_gradient(x64):
    cell = attend(sj.GRU(4), memory_features=5)
    params = cell.init(jax.random.key(0), 3, jnp.float64)
    xs, values = jax.random.normal(jax.random.key(1), (2, 12, 3)), jax.random.normal(jax.random.key(2), (2, 6, 5))

    def score(values, engine):
        carry = cell.initial_carry(params, (2,), memory=Memory(values, jnp.ones((2, 6), bool)))
        return jnp.sum(jnp.sin(sj.scan(cell, params, xs, carry, lengths=[12, 5], engine=engine)[1]))

    slope = jax.jit(jax.value_and_grad(score), static_argnums=1)
    close(slope(values, "newton"), slope(values, "scan"), 1e-9)


@pytest.mark.slow
def test_a_trace_sees_what_it_sees_in_the_loop(x64):
    cell = sj.stack(sj.LSTM(3), sj.GRU(3))
    params, carry, xs = make(cell, 2, 20)
    add = {"0/f": 0.1 * jnp.ones((2, 20, 3)), "1/u": lambda u: u**2}
    marks = {"reverse": True, "lengths": [20, 7], "add": add}
    want = sj.trace(cell, params, xs, carry, **marks)
    close(sj.trace(cell, params, xs, carry, engine="newton", **marks), want, 1e-10)


def test_it_says_that_it_runs():
    cell = sj.stack(sj.GRU(3), sj.Dense(2))
    params = cell.init(jax.random.key(0), 3)
    lines = sj.explain(cell, params, jnp.ones((2, 5, 3)), engine="newton").split("\n")
    assert lines == ["GRU(3): all steps at once by Newton's method, dense Jacobian", "Dense(2): all steps at once"]


@pytest.mark.slow
@pytest.mark.parametrize("cell", [sj.RNN(3), sj.LSTM(3), sj.GRU(3)], ids=repr)
def test_the_law(cell):
    report = check_cell(cell, engine="newton")
    assert report["sequence_is_the_fold_of_step"] == report["all_orders_and_modes"] == report["devices"] == "holds"


def test_what_it_refuses():
    cell, params, xs = sj.GRU(3), sj.GRU(3).init(jax.random.key(0), 3), jnp.ones((2, 5, 3))
    for options, words in (
        ({"jacobian": "none"}, "jacobian must be one of dense, diagonal, found 'none'"),
        ({"iterations": 0}, "iterations must be a whole number above 0, found 0"),
        ({"engine": "scan"}, "newton has no engine"),
        ({"jacobain": "dense"}, "no option of scan"),
    ):
        with pytest.raises(sj.ArgumentError, match=words):
            sj.newton(cell, params, xs, **options)
    with pytest.raises(sj.ArgumentTypeError, match="fallback must be True or False"):
        sj.newton(cell, params, xs, fallback=1)
    tree = TreeCell(2)
    with pytest.raises(sj.ArgumentError, match=r"TreeCell\(2\): engine='newton' solves for floating point numbers"):
        sj.newton(tree, tree.init(jax.random.key(0), 2), mixed_tree(jax.random.key(1), (2, 3)))
