"""The deferred gradient is that of autodiff, to second order, for every form of a step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, RNN, Cell, Held, activate, linear, scan
from seqjax.core.chunks import LONGEST_CHUNK
from seqjax.core.plan import Plan
from tests.trees import close

D, B, T = 3, 2, 2 * LONGEST_CHUNK + 5
XS = np.asarray(jax.random.normal(jax.random.key(0), (B, T, D)))
NOISE = np.random.default_rng(0)
OPTIONS = {
    "nothing": {},
    "mask and resets": {"mask": NOISE.random((B, T)) < 0.8, "resets": NOISE.random((B, T)) < 0.1},
    "reverse": {"reverse": True, "resets": NOISE.random((B, T)) < 0.1},
    "checkpoint": {"checkpoint": 100, "lengths": np.array([T, 50])},
}


def both(f, *args):
    """What f gives with the deferred gradient, and with autodiff."""
    return tuple(jax.jit(lambda *a, g=g: f(g, *a))(*args) for g in ("deferred", "autodiff"))


def derivatives(cell, options, xs=XS):
    """Values, gradients and the hessian along two directions."""
    params = cell.init(jax.random.key(1), D, "float64")
    way = jax.tree.map(lambda p: jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), params)

    def run(gradient, params, xs):
        carry, ys = scan(cell, params, xs, gradient=gradient, **options)
        leaves = [jnp.abs(leaf) ** 2 for leaf in jax.tree.leaves((carry, ys)) if leaf.dtype != jnp.int32]
        return sum(jnp.mean(leaf) for leaf in leaves), (carry, ys)

    def along(gradient, a):
        moved = jax.tree.map(lambda p, w: p + a[0] * w, params, way)
        return run(gradient, moved, xs * (1 + a[1]))[0]

    first = lambda g, *args: jax.value_and_grad(lambda *a: run(g, *a), (0, 1), has_aux=True)(*args)
    return both(first, params, xs), both(lambda g, a: jax.hessian(lambda a: along(g, a))(a), jnp.zeros(2))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_step_alone_is_as_good_as_autodiff(x64, options):
    first, second = derivatives(GRU(16, reset_after=False), options)
    close(*first)
    close(*second, 1e-11)


class TwoPasses(Cell):
    """A step alone that calls `gates` twice, once inside a `vmap`, reads a table by an id, and counts in its output."""

    features: int

    @property
    def out_features(self):
        return None

    def init(self, key, in_features, dtype=jnp.float32):
        kernel = jax.random.normal(key, (in_features, 2 * self.features), dtype)
        return {"kernel": kernel, "table": jnp.ones((2, self.features), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.features), jnp.result_type(params["kernel"], jnp.float32))

    def step(self, params, carry, x):
        f, n = activate(linear({"kernel": params["kernel"]}, x), "sigmoid tanh")
        inner = jax.vmap(lambda a: activate(a, "sigmoid")[0])(carry.T).T
        (outer,) = activate(carry * inner + n, "tanh")
        h = f * carry + (1 - f) * outer * jnp.broadcast_to(params["table"][1], carry.shape)
        return h, {"y": h, "sign": (h > 0).astype(jnp.int32)}


def test_gates_are_kept_from_any_step(x64):
    """More than FEWEST_GATES of them; also from one with whole numbers among its outputs, and not from inside transformations of its own."""
    first, second = derivatives(TwoPasses(16), OPTIONS["mask and resets"])
    close(*first)
    close(*second, 1e-11)


class Rotation(Cell):
    """A complex state turned by complex parameters."""

    @property
    def out_features(self):
        return None

    def init(self, key, in_features, dtype=jnp.float64):
        return {"turn": 0.9 * jnp.exp(1j * jnp.arange(in_features)), "in": jnp.ones(in_features, complex)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, *params["turn"].shape), params["turn"].dtype)

    def step(self, params, carry, x):
        turn, scale = (jnp.broadcast_to(params[name], carry.shape) for name in ("turn", "in"))
        h = turn * carry + scale * x
        return h, h.real * h.imag


def test_complex_carries(x64):
    first, _ = derivatives(Rotation(), OPTIONS["nothing"])
    close(*first)


class Stateless(Cell):
    """A step alone without a carry."""

    @property
    def out_features(self):
        return None

    def init(self, key, in_features, dtype=jnp.float32):
        return {"scale": jnp.full(in_features, 2.0, dtype)}

    def initial_carry(self, params, batch_shape=()):
        return ()

    def step(self, params, carry, x):
        return (), jnp.sin(x * jnp.broadcast_to(params["scale"], x.shape))


def test_no_carry(x64):
    first, second = derivatives(Stateless(), OPTIONS["reverse"])
    close(*first)
    close(*second, 1e-11)


class Reading(Cell):
    """It holds a memory for each row, and indices into it."""

    out_features = D

    def init(self, key, in_features, dtype=jnp.float32):
        return {"kernel": jnp.asarray(0.3 * NOISE.normal(size=(D, D)), dtype), "turn": jnp.array([1, 0, 2])[:D]}

    def initial_carry(self, params, batch_shape=()):
        raise AssertionError("it is given")

    def step(self, params, carry, x):
        h, held = carry
        memory, place = held.value
        read = jnp.take_along_axis(memory, place[:, None, None], axis=1)[:, 0]
        h = jnp.tanh(linear({"kernel": params["kernel"]}, h) + x * read)[:, params["turn"]]
        return (h, held), jnp.sin(h)


def test_what_steps_hold_may_have_batch_axes_and_whole_numbers(x64):
    params = Reading().init(None, D, "float64")
    memory, place = jnp.asarray(NOISE.normal(size=(B, 4, D))), jnp.arange(B) % 4
    xs, start = jnp.asarray(NOISE.normal(size=(9, B, D))), jnp.ones((B, D))

    def score(gradient, kernel, memory, xs, start):
        carry = start, Held((memory, place))
        last, ys = Reading().sequence(params | {"kernel": kernel}, carry, xs, Plan(gradient=gradient))
        return jnp.sum(last[0] ** 2) + jnp.sum(ys**3)

    arguments = params["kernel"], memory, xs, start
    close(*both(lambda g, *a: jax.grad(lambda *a: score(g, *a), (0, 1, 2, 3))(*a), *arguments))


class SecondAxis(Cell):
    """It normalises over "the second axis", which is that of features as long as there is one batch axis."""

    out_features = D

    def init(self, key, in_features, dtype=jnp.float32):
        return {"kernel": jnp.asarray(NOISE.normal(size=(in_features, D)), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, D), params["kernel"].dtype)

    def step(self, params, carry, x):
        h = jax.nn.softmax(carry + x @ params["kernel"], axis=1)
        return h, h


def test_a_step_for_one_batch_axis_is_not_called_with_two(x64):
    first, second = derivatives(SecondAxis(), OPTIONS["mask and resets"])
    close(*first)
    close(*second, 1e-11)


class Keeping(RNN):
    """A reset halves its state, so that what a sequence begins with is that of the one before."""

    def restart(self, params, carry, batch_shape):
        return 0.5 * carry


@pytest.mark.parametrize("reverse", [False, True])
def test_a_reset_that_reads_the_carry(x64, reverse):
    """It was computed once a chunk, from the chunk's first carry."""
    cell = Keeping(D)
    params = cell.init(jax.random.key(0), D, "float64")
    xs = jnp.asarray(NOISE.normal(size=(1, 6, D)))
    resets = np.array([[0, 0, 1, 0, 1, 0]], bool)
    carry, want = cell.initial_carry(params, (1,)), []
    for t in range(6)[:: -1 if reverse else 1]:
        before = t + 1 if reverse else t
        if before < 6 and resets[0, before]:
            carry = 0.5 * carry
        carry, y = cell.step(params, carry, xs[:, t])
        want.append(y)
    want = jnp.stack(want[:: -1 if reverse else 1], axis=1)
    close((scan(cell, params, xs, resets=resets, reverse=reverse)[1],), (want,))
    assert "a reset reads the carry" in sj.explain(cell, params, xs, resets=resets)


@pytest.mark.parametrize("cell", [LSTM(16), GRU(16), RNN(16)], ids=repr)
def test_kept_gates_are_exact_to_second_order(x64, cell):
    first, second = derivatives(cell, OPTIONS["mask and resets"])
    close(*first)
    close(*second, 1e-11)


@pytest.mark.parametrize("cell", [LSTM(16), GRU(16), GRU(16, reset_after=False), RNN(16)], ids=repr)
def test_kept_gates_under_vmap_over_params(x64, cell):
    """The gradient, and a product of the hessian with a vector, forward over reverse."""
    params = jax.vmap(lambda key: cell.init(key, D, "float64"))(jax.random.split(jax.random.key(0), 3))

    def product(gradient, params):
        slope = jax.grad(lambda p: jnp.mean(scan(cell, p, XS, gradient=gradient)[1] ** 2))
        return jax.jvp(slope, (params,), (jax.tree.map(jnp.ones_like, params),))

    close(*both(lambda g, p: jax.vmap(lambda p: product(g, p))(p), params), 1e-11)
