"""`engine="cudnn"`, with JAX's own reference of the kernel in its place, as the kernel runs on GPUs alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

import seqjax as sj
from seqjax.errors import ArgumentError

FEATURES, WIDTH, ROWS, STEPS = 4, 3, 5, 6
LENGTHS = np.array([6, 0, 3, 1, 5])


def reference(xs, h, c, weights, lengths, width, features, layers, dropout, both):
    """What `jax.experimental.rnn` says that its kernel computes; it must be given lengths that the kernel takes."""
    with jax.numpy_rank_promotion("allow"):
        parts = rnn.unpack_lstm_weights(weights, width, features, layers, both)
        return rnn.lstm_ref(xs, h, c, *parts, lengths, width, features, layers, dropout, both)


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(rnn, "lstm", reference)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def case(rows=(ROWS,), steps=STEPS):
    cell = sj.LSTM(FEATURES)
    keys = jax.random.split(jax.random.key(0), 4)
    draw = lambda key, *shape: jax.random.normal(key, shape)
    carry = sj.LSTMCarry(draw(keys[1], *rows, FEATURES), draw(keys[2], *rows, FEATURES))
    return cell, cell.init(keys[0], WIDTH), draw(keys[3], *rows, steps, WIDTH), carry


def check(cell, params, xs, carry, **options):
    """Outputs, carries and all gradients are those of the loop."""

    def loss(params, xs, carry, engine):
        after, ys = sj.scan(cell, params, xs, carry, engine=engine, **options)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves((after, ys))), (after, ys)

    gradients = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)
    found, want = (gradients(params, xs, carry, engine) for engine in ("cudnn", "scan"))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=2e-6), found, want)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reverse": True},
        {"lengths": LENGTHS},
        {"lengths": LENGTHS, "reverse": True},
        {"mask": np.arange(STEPS * ROWS).reshape(ROWS, STEPS) % 3 > 0},
        {"checkpoint": 4, "lengths": LENGTHS},
    ],
    ids=["forward", "reverse", "lengths", "lengths-reverse", "mask", "checkpoint"],
)
def test_it_is_the_loop(stand_in, options):
    check(*case(), **options)


@pytest.mark.parametrize("rows", [(), (2, 3)])
def test_any_batch_axes(stand_in, rows):
    check(*case(rows))


def test_padding_is_not_read(stand_in):
    cell, params, xs, carry = case()
    padded = jnp.where(np.arange(STEPS)[None, :, None] < LENGTHS[:, None, None], xs, jnp.nan)
    check(cell, params, padded, carry, lengths=LENGTHS)


def test_no_steps_and_in_a_stack(stand_in):
    cell, params, xs, carry = case(steps=0)
    after, ys = sj.scan(cell, params, xs, carry, engine="cudnn")
    assert ys.shape == (ROWS, 0, FEATURES) and after is not carry
    model = sj.stack(sj.Dense(3), sj.bidirectional(sj.LSTM(4)), sj.Dense(2))
    params, xs = model.init(jax.random.key(0), 2), jax.random.normal(jax.random.key(1), (2, 7, 2))
    check(model, params, xs, model.initial_carry(params, (2,)), lengths=np.array([7, 4]))


def test_what_runs_is_told(stand_in):
    cell, params, xs, _ = case()
    assert "LSTM(4): all steps in one kernel of cuDNN (asked for)" in sj.explain(cell, params, xs, engine="cudnn")


class Coupled(sj.LSTM):
    """A class that may have other equations."""


@pytest.mark.parametrize(
    "cell, options, words",
    [
        (sj.GRU(4), {}, "it runs LSTM alone, and no class derived from it"),
        (Coupled(4), {}, "it runs LSTM alone, and no class derived from it"),
        (sj.LSTM(4), {}, r"engine='cudnn' cannot run LSTM\(4\): the device is cpu, no GPU. Run it with engine='auto'"),
        (sj.LSTM(4), {"resets": np.ones((2, 3), bool)}, "it knows no resets"),
        (sj.LSTM(4), {"gradient": "autodiff"}, "gradient='autodiff' is that of a loop"),
        (sj.LSTM(4), {"memory": "least"}, "so memory='least' asks for too much"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_it_cannot_do(cell, options, words):
    with pytest.raises(ArgumentError, match=words):
        sj.scan(cell, cell.init(jax.random.key(0), 2), jnp.ones((2, 3, 2)), engine="cudnn", **options)


def test_other_dtypes_and_traces_are_refused(stand_in):
    cell, params, xs, _ = case()
    for changed in (jax.tree.map(lambda a: a.astype(jnp.bfloat16), (params, xs)), (params, xs.astype(jnp.float16))):
        with pytest.raises(ArgumentError, match="it takes float32, found b?float16"):
            sj.scan(cell, *changed, engine="cudnn")
    with pytest.raises(ArgumentError, match="values inside the steps are traced"):
        sj.trace(cell, params, xs, engine="cudnn")
