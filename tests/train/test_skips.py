"""Clipping by the norm, and steps that are skipped."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax.train import (
    make_train_step,
)
from seqjax.train._clipping import clip_by_norm
from tests.train.problems import (
    ADAM,
    KEY,
    LINE,
    data,
    masked_error,
    mean_error,
    run,
    state_of,
)

SCALES = st.sampled_from([1e-36, 1e-30, 1e-8, 1.0, 3e7, 1e30, 1e38])


@given(st.lists(SCALES, min_size=1, max_size=3), st.sampled_from([1e-20, 1.0, 1e25]), st.integers(0, 99))
def test_norm_and_clipping_at_any_scale(scales, clip, seed):
    rng = np.random.default_rng(seed)
    grads = [(rng.uniform(-1, 1, size=3) * scale).astype(np.float32) for scale in scales]
    exact = np.sqrt(sum(np.sum(np.square(g.astype(np.float64))) for g in grads))
    found, norm, fine = clip_by_norm([jnp.asarray(g) for g in grads], clip)
    assert fine.all()
    np.testing.assert_allclose(norm, exact, rtol=1e-6)
    for g, a in zip(grads, found):
        np.testing.assert_allclose(a, g * min(1.0, clip / exact), rtol=2e-6, atol=1e-37 * max(1.0, min(clip, exact)))


def test_clipping_at_the_edges():
    zero, norm, fine = clip_by_norm({"a": jnp.zeros(3), "none": jnp.zeros((0, 2))}, 1.0)
    assert norm == 0 and fine.all() and not zero["a"].any()
    beyond, norm, fine = clip_by_norm({"a": jnp.full(4, 3e38)}, 1.0)  # a norm of 6e38 is no float32
    assert np.isinf(norm) and fine.all()
    np.testing.assert_allclose(beyond["a"], 0.5, rtol=1e-6)
    _, norm, fine = clip_by_norm({"a": jnp.array([1.0, np.nan]), "b": jnp.ones(2), "c": jnp.array([-np.inf])}, 1.0)
    assert fine.tolist() == [False, True, False] and not np.isfinite(norm)
    narrow, norm, _ = clip_by_norm({"a": jnp.full(4, 2.0, jnp.bfloat16)}, 2.0)
    assert norm == 4 and norm.dtype == jnp.float32 and narrow["a"].dtype == jnp.bfloat16
    assert narrow["a"].tolist() == [1.0] * 4


def test_a_clipped_step_follows_the_rule_and_tells_the_norm_before():
    optimizer, (x, y) = optax.sgd(1.0), data()
    state, (metrics,) = run(make_train_step(mean_error, optimizer, clip=0.25), state_of(LINE, optimizer, KEY), [(x, y)])
    wrong = x.astype(np.float64) @ LINE["w"] - y
    w, b = 2 * (wrong[:, None] * x).mean(0), 2 * wrong.mean()
    norm = np.sqrt((w**2).sum() + b**2)
    assert norm > 0.25
    np.testing.assert_allclose(metrics["norm"].value(), norm, rtol=1e-6)
    np.testing.assert_allclose(state.params["w"], LINE["w"] - w * 0.25 / norm, rtol=1e-5)


def test_exploding_gradients_froze_adam_in_silence():
    """Their squares are inf in `nu`, so that every later update is 0, though norm and parameters are finite."""
    step = make_train_step(lambda params, batch, key: mean_error(params, batch, key) * batch[2], ADAM)
    start = step.init(LINE, KEY)
    state, metrics = jax.jit(step)(start, (*data(), np.float32(1e26)))
    assert metrics["skipped"].value() == 1 and state.skipped.optimizer.tolist() == [False, False, True, True]
    assert not state.skipped.leaves.any() and not state.skipped.loss
    chex.assert_trees_all_equal(state._replace(step=start.step, skipped=start.skipped), start)
    after, _ = jax.jit(step)(state, (*data(), np.float32(1)))
    chex.assert_tree_all_finite((after.params, after.opt_state))
    assert (np.asarray(after.params["w"]) != LINE["w"]).all()  # it learns on


def test_what_an_optimiser_keeps_may_be_infinite_from_the_start():
    """`reduce_on_plateau` begins with a best value of inf."""
    optimizer = optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=2))
    state, (metrics,) = run(make_train_step(mean_error, optimizer), state_of(LINE, optimizer, KEY), [data()])
    assert metrics["skipped"].value() == 0


def poisoned(batch):
    return batch[0].copy(), np.where(np.arange(len(batch[1])) == 2, np.nan, batch[1]).astype(np.float32)


def only_loss(params, batch, key):
    return mean_error(params, batch, key) + jax.lax.stop_gradient(jnp.max(batch[2]))


def test_one_nan_changes_nothing_but_the_counts():
    optimizer = optax.adam(0.1)
    step = jax.jit(make_train_step(mean_error, optimizer, clip=1.0, ema=0.5))
    state, _ = step(state_of(LINE, optimizer, KEY, ema=True), data())
    after, metrics = step(state, poisoned(data()))
    chex.assert_trees_all_equal(after._replace(step=state.step, skipped=state.skipped), state)
    assert int(after.step) == 2 and metrics["skipped"].value() == 1
    assert all(float(m.count) == 0 for name, m in metrics.items() if name != "skipped")
    assert all(np.isfinite(m.total) for m in metrics.values())  # so that sums over steps stay numbers
    again, _ = step(after, poisoned(data()))
    good, metrics = step(again, data(seed=5))
    assert metrics["skipped"].value() == 0
    assert [int(s.skipped.in_a_row) for s in (after, again, good)] == [1, 2, 0]
    assert (int(good.skipped.in_all), int(good.skipped.longest), int(good.skipped.step)) == (2, 2, 2)
    # The good step does what it would have done without the bad ones.
    wanted, _ = step(state, data(seed=5))
    chex.assert_trees_all_equal((good.params, good.opt_state, good.ema), (wanted.params, wanted.opt_state, wanted.ema))


def test_a_step_is_skipped_for_its_loss_and_for_what_it_would_make_of_the_parameters():
    (x, y), bad = data(), np.full(8, np.inf, np.float32)
    optimizer = optax.sgd(0.1)
    state = state_of(LINE, optimizer, KEY)
    after, _ = jax.jit(make_train_step(only_loss, optimizer))(state, (x, y, bad))
    assert int(after.skipped.in_all) == 1 and not after.skipped.leaves.any()
    large = optax.sgd(1e38)
    after, _ = jax.jit(make_train_step(mean_error, large))(state_of(LINE, large, KEY), (x * 100, y))
    assert after.skipped.leaves.any()
    chex.assert_trees_all_equal(after.params, jax.tree.map(jnp.asarray, LINE))
    part = jax.jit(make_train_step(lambda p, b, k: mean_error(p, b, k) + jnp.sum(jnp.sqrt(p["b"])), optimizer))
    after, _ = part(state, (x, y))  # the derivative of sqrt at 0 is inf
    assert after.skipped.leaves.tolist() == [True, False]


def test_a_batch_without_a_real_step_is_skipped():
    optimizer = optax.sgd(0.1)
    batch = (*data(), np.zeros(8, bool))
    state, (metrics,) = run(make_train_step(masked_error, optimizer), state_of(LINE, optimizer, KEY), [batch])
    assert metrics["skipped"].value() == 1
    chex.assert_trees_all_equal(state.params, jax.tree.map(jnp.asarray, LINE))
