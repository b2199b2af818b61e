"""Any cell as a module: a drop-in for `nnx.RNN`, which it equals where that is right."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import seqjax as sj
from seqjax.interop import as_cell
from seqjax.nn import Recurrent

X = jax.random.normal(jax.random.key(1), (3, 6, 2))
LENGTHS = np.array([6, 2, 4])


def pair(**options):
    """The same GRU as both modules."""
    theirs = nnx.RNN(nnx.GRUCell(2, 4, rngs=nnx.Rngs(0)), rngs=False, **options)
    ours = Recurrent(as_cell(nnx.GRUCell, 2, 4), 2, rngs=nnx.Rngs(5), **options)
    for name in ("dense_i", "dense_h"):
        for leaf, value in ours.params[name].items():
            value[...] = getattr(getattr(theirs.cell, name), leaf)[...]
    return ours, lambda x, **how: theirs(x, rngs=nnx.Rngs(0), **how)


def same(found, want, lengths=None):
    """Equal in the real steps."""
    real = np.ones((3, 6), bool) if lengths is None else np.arange(6) < np.asarray(lengths)[:, None]
    np.testing.assert_allclose(np.asarray(found)[real], np.asarray(want)[real], atol=1e-6)


@pytest.mark.parametrize(
    "how",
    [{}, {"reverse": True}, {"reverse": True, "keep_order": True}, {"time_major": True}, {"initial_carry": 1}],
    ids=str,
)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
def test_it_is_the_rnn_of_flax(how, lengths):
    ours, theirs = pair()
    x = jnp.swapaxes(X, 0, 1) if how.get("time_major") else X
    how = {**how, "seq_lengths": lengths, "return_carry": True}
    if "initial_carry" in how:
        how["initial_carry"] = jnp.ones((3, 4))
    (carry, ys), (want_carry, want) = ours(x, **how), theirs(x, **how)
    if how.get("time_major"):
        ys, want = jnp.swapaxes(ys, 0, 1), jnp.swapaxes(want, 0, 1)
    same(ys, want, lengths)
    np.testing.assert_allclose(carry, want_carry, atol=1e-6)


def test_options_of_the_module_hold_for_its_calls():
    ours, theirs = pair(reverse=True, keep_order=True, return_carry=True)
    (carry, ys), (want_carry, want) = ours(X), theirs(X)
    same(ys, want)
    np.testing.assert_allclose(carry, want_carry, atol=1e-6)
    assert ours(X, return_carry=False).shape == (3, 6, 4)


class TestWhereFlaxIsWrong:
    """Each is a probe that `nnx.RNN` of Flax 0.12.8 fails."""

    def test_length_0_leaves_the_carry(self):
        carry, ys = pair()[0](X, initial_carry=jnp.ones((3, 4)), seq_lengths=np.array([0, 1, 6]), return_carry=True)
        np.testing.assert_array_equal(carry[0], np.ones(4))
        assert not np.any(ys[0])

    @pytest.mark.parametrize("lengths", [[7, 1, 1], [-1, 1, 1], [3], [[1, 2, 3]], [1.0, 2.0, 3.0]], ids=str)
    def test_lengths_that_cannot_be(self, lengths):
        with pytest.raises((sj.ArgumentError, sj.ArgumentTypeError), match="lengths"):
            pair()[0](X, seq_lengths=np.array(lengths))

    def test_nan_in_the_padding_reaches_no_gradient(self):
        dirty = X.at[1, 2:].set(jnp.nan)
        ours = pair()[0]
        loss = lambda m, x: jnp.sum(m(x, seq_lengths=LENGTHS) ** 2)
        for clean, found in zip(*(jax.tree.leaves(nnx.grad(loss)(ours, x)) for x in (X, dirty))):
            np.testing.assert_array_equal(clean, found)

    def test_two_batch_axes_with_lengths_and_vmap(self):
        ours = pair()[0]
        want = ours(X, seq_lengths=LENGTHS)
        np.testing.assert_allclose(ours(X[None], seq_lengths=LENGTHS[None])[0], want, atol=1e-6)
        rows = jax.vmap(lambda x, n: ours(x, seq_lengths=n))(X, jnp.asarray(LENGTHS))
        np.testing.assert_allclose(rows, want, atol=1e-6)

    def test_a_reversed_sequence_with_gaps_keeps_its_order(self):
        ours, mask = pair()[0], np.array([[1, 0, 1, 1, 1, 0]] * 3, bool)
        ys = ours(X, mask=mask, reverse=True, keep_order=True)
        short = ours(X[:, mask[0]], reverse=True, keep_order=True)
        np.testing.assert_allclose(ys[:, mask[0]], short, atol=1e-6)
        with pytest.raises(sj.ArgumentError, match="keep_order"):
            ours(X, mask=mask, reverse=True)


MODEL = sj.stack(sj.LSTM(8), sj.Dropout(0.2), sj.Dense(1))


def loss_of(model, x, key):
    return jnp.mean((model(x, rngs=nnx.Rngs(carry=key))[..., 0] - x[..., 0]) ** 2)


def test_it_trains_by_an_optimizer_of_nnx():
    model = Recurrent(MODEL, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(0.02), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, key):
        loss, grads = nnx.value_and_grad(loss_of)(model, X, key)
        optimizer.update(model, grads)
        return loss

    losses = [float(step(model, optimizer, jax.random.key(i))) for i in range(40)]
    assert losses[-1] < 0.5 * losses[0]
    model.eval()
    assert model(X).shape == (3, 6, 1)  # without dropout it needs no key


def test_streams_of_other_names_and_one_stream_alone_were_raw_errors():
    model = Recurrent(MODEL, 2, rngs=nnx.Rngs(0))
    want = model(X, rngs=nnx.Rngs(carry=3))
    for rngs in (nnx.Rngs(dropout=3), nnx.Rngs(3), nnx.Rngs(params=1, carry=3), nnx.Rngs(carry=3).carry):
        np.testing.assert_array_equal(model(X, rngs=rngs), want)


def test_it_trains_as_a_tree_by_optax():
    model = Recurrent(MODEL, 2, rngs=nnx.Rngs(0))
    optimizer = optax.adam(0.02)

    @jax.jit
    def step(model, state, key):
        loss, grads = jax.value_and_grad(loss_of)(model, X, key)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(model, updates), state, loss

    state, losses = optimizer.init(model), []
    for i in range(40):
        model, state, loss = step(model, state, jax.random.key(i))
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]


def test_tree_mode_and_graph_mode_give_the_same():
    def run():
        model = Recurrent(MODEL.evaluation(), 2, rngs=nnx.Rngs(0))
        return nnx.jit(lambda m, x: m(x))(model, X), nnx.grad(lambda m: jnp.sum(m(X)))(model)

    found = []
    for mode in (True, False):
        with nnx.set_graph_mode(mode), nnx.set_graph_updates(mode):
            found.append(jax.tree.leaves(run()))
    for graph, tree in zip(*found):
        np.testing.assert_array_equal(graph, tree)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Recurrent(nnx.GRUCell(2, 4, rngs=nnx.Rngs(0)), 2, rngs=nnx.Rngs(0)), "expected a cell"),
        (lambda: Recurrent(sj.LSTM, 2, rngs=nnx.Rngs(0)), "not the class"),
        (lambda: Recurrent(sj.LSTM(4), 2, rngs=0), "rngs"),
        (lambda: Recurrent(MODEL, 2, rngs=nnx.Rngs(dropout=0)), "the stream params, found rngs with dropout alone"),
        (lambda: Recurrent(MODEL, 2, rngs=nnx.Rngs(0))(X), r"call the module with rngs=.* or call module.eval\(\)"),
        (lambda: Recurrent(MODEL, 2, rngs=nnx.Rngs(0))(X, rngs=nnx.Rngs(params=0)), "a stream carry, default or dro"),
        (lambda: Recurrent(MODEL, 2, rngs=nnx.Rngs(0))(X, rngs=jax.random.key(0)), "A key. Write nnx.Rngs.carry=key"),
        (lambda: Recurrent(sj.LSTM(4), 3, rngs=nnx.Rngs(0))(X), "xs has 2 features"),
        (lambda: Recurrent(sj.LSTM(4), 2, rngs=nnx.Rngs(0))(X, initial_carry=jnp.ones(3)), "carry"),
    ],
)  # fmt: skip
def test_wrong_calls(call, message):
    with pytest.raises((sj.ArgumentError, sj.ArgumentTypeError), match=message):
        call()
