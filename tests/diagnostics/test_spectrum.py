"""Singular values of products of Jacobians: exact arithmetic, closed forms, plain autodiff, gradient flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import seqjax as sj
from seqjax import GRU, LSTM, RNN, scan, stack
from seqjax.diagnostics import graded, gradient_flow, jacobian_spectrum, largest_singular_value, states
from seqjax.diagnostics.scaled import log_norm
from seqjax.errors import ArgumentError, ArgumentTypeError, NotCausalError
from tests.diagnostics import exact

RNG = np.random.default_rng(3)


def linear(matrix, activation="identity"):
    """h' = f(h U), for inputs of zero."""
    cell = RNN(len(matrix), activation=activation)
    params = cell.init(jax.random.key(0), 1, np.asarray(matrix).dtype)
    params["mix"]["kernel"] = jnp.asarray(matrix)
    return cell, params


@jax.jit
def products(matrices):
    def body(product, matrix):
        product = graded.multiply(matrix[None], product)
        return product, (product, graded.log_singular_values(product)[0])

    start = graded.identity(1, matrices.shape[1], matrices.dtype)
    return jax.lax.scan(body, start, matrices)[1]


def test_products_against_exact_arithmetic():
    """In float32, down to e^-200 and 30 decades apart; matrices as they come, whose condition is 1 to 100."""
    matrices = (0.05 * RNG.normal(size=(60, 4, 4))).astype(np.float32)
    ends = (1, 6, 60)
    want = exact.log_singular_values(matrices, ends)
    np.testing.assert_allclose(products(matrices)[1][np.array(ends) - 1], want, rtol=0, atol=1e-4)
    assert want[-1, 0] - want[-1, -1] > 60 and want[-1, -1] < -200


@pytest.mark.slow
def test_precision_that_the_docstring_tells():
    matrices = RNG.normal(size=(200, 5, 5)).astype(np.float32) * np.float32(0.02)
    ends = (1, 2, 100, 200)
    off = np.abs(products(matrices)[1][np.array(ends) - 1] - exact.log_singular_values(matrices, ends, 1500)).max(-1)
    assert off[:2].max() < 1e-5 and off.max() < 3e-4


def test_columns_that_depend_on_others_are_zero_and_leave_the_rest_alone():
    """Rank 3, then rank 2: exact zeros, not rounding, and the others as exact as before."""
    matrices = RNG.normal(size=(12, 5, 5))
    for k, rank in ((4, 3), (8, 2)):
        matrices[k] = RNG.normal(size=(5, rank)) @ RNG.normal(size=(rank, 5))
    matrices = matrices.astype(np.float32)
    found = np.asarray(products(matrices)[1])
    assert [np.isfinite(logs).sum() for logs in found] == [5] * 4 + [3] * 4 + [2] * 4
    want = np.log(np.linalg.svd(np.linalg.multi_dot(matrices.astype(np.float64)[::-1]))[1][:2])
    np.testing.assert_allclose(found[-1, :2], want, atol=1e-4)


def test_diagonal_cell_has_powers():
    """|lambda_i|^k, in order, to 1e-6000; a decay of 1e-9 in one step is no rounding."""
    rates = np.array([1e-9, -0.5, 1.0, 2.0, 1e-3], np.float32)
    spectrum = jacobian_spectrum(*linear(np.diag(rates)), jnp.zeros((2, 700, 1)))
    want = np.arange(701)[:, None] * np.sort(np.log(np.abs(rates.astype(np.float64))))[::-1]
    np.testing.assert_allclose(spectrum.logs, np.stack([want, want]), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(spectrum.log_condition[0], want[:, 0] - want[:, -1], rtol=1e-6, atol=1e-5)
    squares = np.exp(2 * want[:40])
    np.testing.assert_allclose(spectrum.stable_rank[0, :40], squares.sum(1) / squares[:, 0], rtol=1e-4)
    np.testing.assert_allclose(
        spectrum.participation_ratio[0, :40], squares.sum(1) ** 2 / (squares**2).sum(1), rtol=1e-4
    )


def test_orthogonal_cell_keeps_every_direction():
    matrix = np.linalg.qr(RNG.normal(size=(7, 7)))[0].astype(np.float32)  # an odd number: pairs have an empty partner
    spectrum = jacobian_spectrum(*linear(matrix), jnp.zeros((1, 300, 1)))
    np.testing.assert_allclose(spectrum.logs, 0, atol=1e-4)
    np.testing.assert_allclose(spectrum.stable_rank, 7, rtol=1e-3)
    np.testing.assert_allclose(spectrum.participation_ratio, 7, rtol=1e-3)


@pytest.mark.slow
def test_tanh_at_zero_is_its_matrix(x64):
    """h = 0 is a fixed point, where J = W: the singular values of W^k."""
    matrix = RNG.normal(size=(4, 4))
    spectrum = jacobian_spectrum(*linear(matrix, "tanh"), jnp.zeros((1, 6, 1)))
    want = [np.log(np.linalg.svd(np.linalg.matrix_power(matrix, k))[1]) for k in range(7)]
    np.testing.assert_allclose(spectrum.logs[0], want, atol=1e-9)


def by_steps(cell, params, xs, carry, mask):
    """log singular values of d last carry / d carry before step t, one row, from autodiff of each step."""
    _, rebuild = ravel_pytree(carry)
    step = lambda v, x: ravel_pytree(cell.step(params, rebuild(v), x)[0])[0]
    jacobian = jax.jit(lambda v, x: (jax.jacobian(step)(v, x), step(v, x)))
    state, every = ravel_pytree(carry)[0], []
    for t in range(xs.shape[1]):
        matrix, after = jacobian(state, xs[:, t]) if mask[0, t] else (np.eye(len(state)), state)
        state, every = after, [*every, matrix]
    wholes = [np.linalg.multi_dot([*every[t:][::-1], np.eye(len(state))]) for t in range(len(every))]
    return np.array([np.log(np.linalg.svd(whole)[1]) for whole in wholes])


def by_scan(cell, params, xs, carry, mask):
    """The same from autodiff through `scan`."""
    found = []
    for t in range(xs.shape[1]):
        flat, rebuild = ravel_pytree(carry)
        last = lambda v, t=t, rebuild=rebuild: ravel_pytree(
            scan(cell, params, xs[:, t:], rebuild(v), mask=mask[:, t:])[0]
        )[0]
        found.append(np.log(np.linalg.svd(jax.jacobian(last)(flat))[1]))
        carry = scan(cell, params, xs[:, t : t + 1], carry, mask=mask[:, t : t + 1])[0]
    return np.array(found)


CELLS = [LSTM(3), RNN(3), GRU(3), GRU(3, reset_after=False), stack(sj.Dense(2), RNN(2), sj.residual(LSTM(2)))]


@pytest.mark.parametrize(
    "cell, reference",
    [(CELLS[-1], by_steps), *(pytest.param(cell, by_scan, marks=pytest.mark.slow) for cell in CELLS)],
)
def test_against_autodiff_with_gaps(x64, cell, reference):
    """Two rows of different masks; unreal steps are NaN, poison in them is not read, and lags count on."""
    params = cell.init(jax.random.key(0), 2, "float64")
    mask = np.array([[1, 0, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    xs = np.where(mask[..., None], RNG.normal(size=(2, 5, 2)), np.nan)
    carry = jax.tree.map(lambda a: a + 0.1, cell.initial_carry(params, (2,)))
    found = np.asarray(jacobian_spectrum(cell, params, xs, carry, mask=mask).logs)
    row = lambda i: jax.tree.map(lambda a: a[i : i + 1], (xs, carry, mask))
    for i in range(2):
        want = reference(cell, params, *row(i))[::-1]
        np.testing.assert_allclose(found[i, 1:][mask[i, ::-1]], want[mask[i, ::-1]], atol=1e-8)
        assert np.isnan(found[i, 1:][~mask[i, ::-1]]).all() and (found[i, 0] == 0).all()


def test_gradient_flow_is_the_transposed_product_times_the_last_gradient():
    """|dL/dh_(T-k)| = |J^T dL/dh_T|, in float32, down to e^-450; and lies between the extreme singular values."""
    cell = RNN(6, recurrent_init=sj.initializers.normal(0.25))
    params = cell.init(jax.random.key(0), 2)
    xs = jax.random.normal(jax.random.key(1), (1, 400, 2))
    way = jax.random.normal(jax.random.key(2), (6,))
    flow = np.asarray(gradient_flow(cell, params, xs, lambda y: y @ way).joint[0])
    steps = states.run(states.prepare("test", cell, params, xs, None, None))
    every = jax.vmap(steps.jacobian)(steps.befores, steps.xs)[:, 0]
    product = products(jnp.swapaxes(every, -1, -2)[::-1])[0]
    part = jnp.einsum("kij,j->ki", product.r[:, 0], way)
    top = product.exponent[:, 0].max(-1)
    logs = log_norm(part * jnp.exp2((product.exponent[:, 0] - top[:, None]).astype(jnp.float32)), top)
    np.testing.assert_allclose(flow[1:], logs, atol=1e-4)
    assert flow[-1] < -450
    spectrum = jacobian_spectrum(cell, params, xs).logs[0]
    relative = flow - flow[0]
    assert (spectrum[:, -1] - 1e-3 <= relative).all() and (relative <= spectrum[:, 0] + 1e-3).all()
    found = largest_singular_value(cell, params, xs, lag=2, iterations=60)
    np.testing.assert_allclose(found, spectrum[2, :1], atol=1e-3)


@pytest.mark.slow
def test_dead_units_carry_nothing():
    cell, params = linear(np.eye(3, dtype=np.float32), "relu")
    params["project"]["bias"] = jnp.array([1.0, -100.0, 1.0])
    spectrum = jacobian_spectrum(cell, params, jnp.zeros((1, 3, 1)))
    np.testing.assert_array_equal(spectrum.logs[0, 1:], [[0, 0, -np.inf]] * 3)
    assert np.isposinf(spectrum.log_condition[0, 1:]).all()
    np.testing.assert_allclose(spectrum.stable_rank[0], [3, 2, 2, 2])


@pytest.mark.slow
def test_ten_thousand_steps_in_float32():
    """Against float64: the product of all s_i is that of the determinants, and the largest that of a scaled product.

    One rounding of float32 for each of the n terms of a sum, in each step, is T n eps = 1e-2 of a logarithm.
    """
    cell = RNN(8, recurrent_init=sj.initializers.normal(0.5))
    params = cell.init(jax.random.key(0), 2)
    xs = jax.random.normal(jax.random.key(1), (1, 10_000, 2))
    logs = np.asarray(jacobian_spectrum(cell, params, xs).logs[0], np.float64)
    steps = states.run(states.prepare("test", cell, params, xs, None, None))
    every = np.asarray(jax.vmap(steps.jacobian)(steps.befores, steps.xs)[:, 0], np.float64)
    volume = np.cumsum(np.linalg.slogdet(every)[1][::-1])
    np.testing.assert_allclose(logs[1:].sum(-1), volume, rtol=1e-6, atol=1e-3)
    product, scale = np.eye(8), 0.0
    for matrix in every:
        product = matrix @ product
        size = np.linalg.norm(product)
        product, scale = product / size, scale + np.log(size)
    want = scale + np.log(np.linalg.norm(product, 2))
    bound = 10_000 * 8 * np.finfo(np.float32).eps
    np.testing.assert_allclose(logs[-1, 0], want, rtol=0, atol=bound)
    np.testing.assert_allclose(largest_singular_value(cell, params, xs), [want], rtol=0, atol=bound)
    assert logs[-1, -1] < -10_000


class Clock(sj.Cell):
    """A complex state beside a count and something held."""

    out_features = 1

    def init(self, key, in_features, dtype=jnp.float32):
        return {"rate": jnp.asarray(0.3 + 0.4j)}

    def initial_carry(self, params, batch_shape=()):
        return {
            "count": jnp.zeros(batch_shape, jnp.int32),
            "held": sj.Held(jnp.ones((*batch_shape, 2))),
            "z": jnp.zeros((*batch_shape, 1), jnp.complex64),
        }

    def step(self, params, carry, x):
        z = params["rate"] * carry["z"] + x * carry["held"].value[..., :1]
        return {"count": carry["count"] + 1, "held": carry["held"], "z": z}, z.real


@pytest.mark.slow
def test_counts_and_held_parts_are_no_state_and_complex_ones_are_two():
    params = Clock().init(jax.random.key(0), 1)
    spectrum = jacobian_spectrum(Clock(), params, jnp.ones((2, 5, 1)))
    np.testing.assert_allclose(spectrum.logs[1], np.arange(6)[:, None] * np.log([0.5, 0.5]), atol=1e-5)
    np.testing.assert_allclose(
        largest_singular_value(Clock(), params, jnp.ones((2, 5, 1))), 5 * np.log([0.5, 0.5]), atol=1e-5
    )


@pytest.mark.slow
def test_under_jit_and_vmap_and_of_token_ids():
    model = stack(sj.Embed(5, 2), RNN(2))
    ids = jnp.array([[1, 2, 3, 0]])
    many = jax.vmap(lambda key: model.init(key, 0))(jax.random.split(jax.random.key(0), 2))
    every = jax.jit(jax.vmap(lambda params: jacobian_spectrum(model, params, ids, count=1).logs))(many)
    assert every.shape == (2, 1, 5, 1)
    one = jacobian_spectrum(model, jax.tree.map(lambda a: a[1], many), ids).logs
    np.testing.assert_allclose(every[1], one[..., :1], atol=1e-6)


XS = jnp.ones((2, 3, 2))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda f, p: f(LSTM(2), p, XS[0]), ArgumentError, r"one batch axis .*Pass xs\[None\]"),
        (lambda f, p: f(LSTM(2), p, XS[:, :0]), ArgumentError, "at least one step, found batch .* and 0 steps"),
        (lambda f, p: f(LSTM, p, XS), ArgumentTypeError, "Write LSTM"),
        (lambda f, p: f(p, LSTM(2), XS), ArgumentTypeError, "The cell comes first"),
        (lambda f, p: f(LSTM(2), XS, p), ArgumentTypeError, "params must be the dict"),
        (lambda f, p: f(LSTM(2), p, jnp.ones((2, 3, 5))), ArgumentError, "xs has 5 features"),
        (lambda f, p: f(LSTM(2), p, XS, mask=jnp.ones((3, 2), bool)), ArgumentError, "Axes swapped"),
        (lambda f, p: f(LSTM(2), p, XS, mask=jnp.ones((2, 3))), ArgumentTypeError, "mask must be bool"),
        (lambda f, p: f(LSTM(2), p, XS, jnp.ones((2, 2))), (ArgumentError, ArgumentTypeError), "carry"),
        (
            lambda f, p: f(sj.Dense(2), sj.Dense(2).init(jax.random.key(0), 2), XS),
            ArgumentError,
            "no floating point state",
        ),
        (lambda f, p: f(sj.bidirectional(LSTM(2)), {"forward": p, "backward": p}, XS), NotCausalError, "has no step"),
    ],
)
@pytest.mark.parametrize("function", [jacobian_spectrum, largest_singular_value])
def test_wrong_calls(function, call, error, words):
    with pytest.raises(error, match=words):
        call(function, LSTM(2).init(jax.random.key(0), 2))


def test_wrong_numbers():
    cell, params = LSTM(2), LSTM(2).init(jax.random.key(0), 2)
    with pytest.raises(ArgumentError, match="count must be at most 4, as many numbers as LSTM.2. carries, found 5"):
        jacobian_spectrum(cell, params, XS, count=5)
    with pytest.raises(ArgumentError, match="count must be a whole number of at least 1, found 0"):
        jacobian_spectrum(cell, params, XS, count=0)
    with pytest.raises(ArgumentError, match="lag must be at most 3, the steps of xs, found 4"):
        largest_singular_value(cell, params, XS, lag=4)
    with pytest.raises(ArgumentTypeError, match="iterations must be a whole number, found 2.5"):
        largest_singular_value(cell, params, XS, iterations=2.5)
