"""The training step: plain optax where nothing is asked, and what each option promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, PartitionSpec

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax import LSTM, RNN, Dense, scan, stack
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.losses import squared_error
from seqjax.train import Mean, State, make_train_step
from seqjax.train._clipping import clip_by_norm

KEY = jax.random.key(3)
PARAMS = {"b": np.zeros((), np.float32), "w": np.array([0.5, -1.0, 2.0], np.float32)}


def data(n=8, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, (x.sum(1) + 1).astype(np.float32)


def errors(params, batch):
    x, y = batch[:2]
    return jnp.square(x @ params["w"] + params["b"] - y)


def mean_error(params, batch, key):
    return jnp.mean(errors(params, batch))


def masked_error(params, batch, key):
    return Mean.of(errors(params, batch), batch[2])


def init_state(params, optimizer, key, *, carry=None, ema=False):
    """The state for a step with these options."""
    return make_train_step(mean_error, optimizer, carry=carry, ema=0.5 if ema else None).init(params, key)


def run(step, state, batches):
    """The last state, and the metrics of every step."""
    step, told = jax.jit(step, donate_argnums=0), []
    for batch in batches:
        state, metrics = step(state, batch)
        told.append(jax.device_get(metrics))
    return state, told


def same(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted)):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def close(found, wanted, rtol, atol=0.0):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=atol), found, wanted
    )


# Mean -----------------------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.booleans(), max_size=5), min_size=1, max_size=4), st.integers(0, 99))
def test_means_of_parts_add_up_to_the_mean_of_all(masks, seed):
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=len(mask)).astype(np.float32) for mask in masks]
    hidden = [np.where(mask, v, np.nan).astype(np.float32) for v, mask in zip(values, masks)]
    total = sum((Mean.of(v, np.array(mask, bool)) for v, mask in zip(hidden, masks)), start=Mean(0.0, 0))
    kept = np.concatenate([v[np.array(mask, bool)] for v, mask in zip(values, masks)]).astype(np.float64)
    assert int(total.count) == len(kept)
    if len(kept):
        np.testing.assert_allclose(float(total.value()), kept.mean(), rtol=1e-5, atol=1e-6)
    else:
        with pytest.raises(ArgumentError, match="count is 0"):
            total.value()


def test_the_mean_over_devices_is_a_sum():
    values, mask = np.arange(16, dtype=np.float32), np.arange(16) % 5 == 1
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    part = lambda v, m: jax.lax.psum(Mean.of(v, m), "data").value()
    spec = PartitionSpec("data")
    found = jax.jit(jax.shard_map(part, mesh=mesh, in_specs=(spec, spec), out_specs=PartitionSpec()))(values, mask)
    assert float(found) == (1 + 6 + 11) / 3  # some devices have nothing that counts


def test_what_a_mask_hides_reaches_no_gradient():
    values, mask = np.array([1.0, np.nan, 3.0], np.float32), np.array([True, False, True])
    gradient = jax.grad(lambda v: Mean.of(v, mask).value())(values)
    np.testing.assert_array_equal(gradient, [0.5, 0, 0.5])
    assert Mean.of(jnp.ones(1000, jnp.bfloat16)).value() == 1  # summed in float32, where bfloat16 would stop at 256
    assert Mean.of(jnp.ones(3, jnp.bfloat16)).total.dtype == jnp.float32


@pytest.mark.parametrize(
    "values, mask, error, words",
    [
        ([1.0], None, ArgumentTypeError, "values must be a floating point array"),
        (np.ones(2, np.int32), None, ArgumentTypeError, "int32"),
        (np.ones(2, np.float32), np.ones(2, np.int32), ArgumentTypeError, "weights != 0"),
        (np.ones((2, 3), np.float32), np.ones(2, bool), ArgumentError, r"\(2, 3\).*\(2,\)"),
    ],
)
def test_bad_means(values, mask, error, words):
    with pytest.raises(error, match=words):
        Mean.of(values, mask)


# The step by itself ---------------------------------------------------------------------------------------------------


def test_a_plain_step_is_a_plain_optax_step():
    optimizer, batches = optax.adam(0.1), [data(seed=i) for i in range(5)]

    @jax.jit
    def plain(params, opt_state, batch):
        value, grads = jax.value_and_grad(mean_error)(params, batch, None)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value, optax.tree.norm(grads)

    params, opt_state = jax.tree.map(jnp.asarray, PARAMS), optimizer.init(PARAMS)
    state, told = run(make_train_step(mean_error, optimizer), init_state(PARAMS, optimizer, KEY), batches)
    for batch, metrics in zip(batches, told):
        params, opt_state, value, norm = plain(params, opt_state, batch)
        np.testing.assert_allclose(metrics["loss"].value(), value, rtol=1e-6)
        np.testing.assert_allclose(metrics["norm"].value(), norm, rtol=1e-6)
        assert metrics["skipped"].value() == 0
    # Two programs: XLA may round a product and a sum once in the one and twice in the other.
    close((state.params, state.opt_state), (params, opt_state), rtol=3e-7)
    assert int(state.step) == 5


def test_each_step_draws_from_its_own_key_and_the_state_can_be_donated():
    def loss(params, batch, key):
        return jnp.sum(params["b"]) * 0, {"draw": jax.random.uniform(key)}

    params, optimizer = jax.tree.map(jnp.asarray, PARAMS), optax.sgd(0.1)
    start = init_state(params, optimizer, KEY, ema=True)
    base = start.key
    keys = np.array(jax.random.key_data(base))
    _, told = run(make_train_step(loss, optimizer, ema=0.5), start, [data()] * 3)
    base = jax.random.wrap_key_data(keys)
    draws = [float(m["draw"].value()) for m in told]
    assert draws == [float(jax.random.uniform(jax.random.fold_in(base, i))) for i in range(3)]
    same(params, PARAMS)  # still there
    assert start.params["w"].is_deleted()


def test_the_learning_rate_is_a_metric():
    schedule = optax.linear_schedule(1.0, 0.0, 4)
    optimizer = optax.inject_hyperparams(optax.sgd)(schedule)
    _, told = run(make_train_step(mean_error, optimizer), init_state(PARAMS, optimizer, KEY), [data()] * 4)
    assert [float(m["learning_rate"].value()) for m in told] == [1.0, 0.75, 0.5, 0.25]


def test_an_optimiser_that_needs_the_loss_gets_it():
    optimizer = optax.chain(optax.sgd(0.0), optax.contrib.reduce_on_plateau(factor=0.5, patience=2))
    state, _ = run(make_train_step(mean_error, optimizer), init_state(PARAMS, optimizer, KEY), [data()] * 4)
    assert float(state.opt_state[1].scale) == 0.5  # three steps without progress


def test_the_average_of_the_parameters():
    optimizer, state = optax.sgd(0.1), init_state(PARAMS, optax.sgd(0.1), KEY, ema=True)
    step, average = jax.jit(make_train_step(mean_error, optimizer, ema=0.75)), jax.tree.map(np.float64, PARAMS)
    for i in range(4):
        state, _ = step(state, data(seed=i))
        average = jax.tree.map(lambda a, p: 0.75 * a + 0.25 * np.float64(p), average, state.params)
    close(state.ema, average, rtol=1e-6)


def test_float64_stays_float64(x64):
    params = jax.tree.map(np.float64, PARAMS)
    optimizer = optax.adam(0.1)
    state, told = run(
        make_train_step(mean_error, optimizer, clip=1e-3, ema=0.5),
        init_state(params, optimizer, KEY, ema=True),
        [data()] * 2,
    )
    for leaf in jax.tree.leaves((state.params, state.ema, told[0]["norm"].total)):
        assert leaf.dtype == np.float64
    assert state.step.dtype == np.int32 and told[0]["norm"].count.dtype == np.int32


# Clipping and steps that are skipped ----------------------------------------------------------------------------------

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
    state, (metrics,) = run(
        make_train_step(mean_error, optimizer, clip=0.25), init_state(PARAMS, optimizer, KEY), [(x, y)]
    )
    wrong = x.astype(np.float64) @ PARAMS["w"] - y
    w, b = 2 * (wrong[:, None] * x).mean(0), 2 * wrong.mean()
    norm = np.sqrt((w**2).sum() + b**2)
    assert norm > 0.25
    np.testing.assert_allclose(metrics["norm"].value(), norm, rtol=1e-6)
    np.testing.assert_allclose(state.params["w"], PARAMS["w"] - w * 0.25 / norm, rtol=1e-5)


def poisoned(batch):
    return batch[0].copy(), np.where(np.arange(len(batch[1])) == 2, np.nan, batch[1]).astype(np.float32)


def only_loss(params, batch, key):
    return mean_error(params, batch, key) + jax.lax.stop_gradient(jnp.max(batch[2]))


def test_one_nan_changes_nothing_but_the_counts():
    optimizer = optax.adam(0.1)
    step = jax.jit(make_train_step(mean_error, optimizer, clip=1.0, ema=0.5))
    state, _ = step(init_state(PARAMS, optimizer, KEY, ema=True), data())
    after, metrics = step(state, poisoned(data()))
    same(after._replace(step=state.step, skipped=state.skipped), state)
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
    same((good.params, good.opt_state, good.ema), (wanted.params, wanted.opt_state, wanted.ema))


def test_a_step_is_skipped_for_its_loss_and_for_what_it_would_make_of_the_parameters():
    (x, y), bad = data(), np.full(8, np.inf, np.float32)
    optimizer = optax.sgd(0.1)
    state = init_state(PARAMS, optimizer, KEY)
    after, _ = jax.jit(make_train_step(only_loss, optimizer))(state, (x, y, bad))
    assert int(after.skipped.in_all) == 1 and not after.skipped.leaves.any()
    large = optax.sgd(1e38)
    after, _ = jax.jit(make_train_step(mean_error, large))(init_state(PARAMS, large, KEY), (x * 100, y))
    assert after.skipped.leaves.any()
    same(after.params, jax.tree.map(jnp.asarray, PARAMS))
    part = jax.jit(make_train_step(lambda p, b, k: mean_error(p, b, k) + jnp.sum(jnp.sqrt(p["b"])), optimizer))
    after, _ = part(state, (x, y))  # the derivative of sqrt at 0 is inf
    assert after.skipped.leaves.tolist() == [True, False]


def test_a_batch_without_a_real_step_is_skipped():
    optimizer = optax.sgd(0.1)
    batch = (*data(), np.zeros(8, bool))
    state, (metrics,) = run(make_train_step(masked_error, optimizer), init_state(PARAMS, optimizer, KEY), [batch])
    assert metrics["skipped"].value() == 1
    same(state.params, jax.tree.map(jnp.asarray, PARAMS))


# Accumulation, precision ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 4])
def test_accumulated_steps_are_whole_steps_under_uneven_masks(count):
    mask = np.array([1, 1, 0, 1, 0, 0, 0, 1], bool)  # with 4 parts one of them has nothing that counts
    batch, optimizer = (*data(), mask), optax.sgd(0.1)
    assert count < 4 or any(not mask[i::4].any() for i in range(4))
    start = init_state(PARAMS, optimizer, KEY)
    one, whole = make_train_step(masked_error, optimizer)(start, batch)
    many, parts = jax.jit(make_train_step(masked_error, optimizer, accumulate=count))(start, batch)
    close((many.params, parts), (one.params, whole), rtol=2e-6, atol=1e-7)
    assert int(parts["loss"].count) == 4


def test_accumulated_scalars_are_averaged_and_each_part_has_its_key():
    def loss(params, batch, key):
        return mean_error(params, batch, key), {"draw": jax.random.uniform(key), "first": batch[0][0, 0]}

    (x, y), optimizer = data(), optax.sgd(0.1)
    start = init_state(PARAMS, optimizer, KEY)
    state, metrics = jax.jit(make_train_step(loss, optimizer, accumulate=4))(start, (x, y))
    wanted, _ = make_train_step(mean_error, optimizer)(start, (x, y))
    close(state.params, wanted.params, rtol=2e-6)
    keys = jax.random.split(jax.random.fold_in(start.key, 0), 4)
    np.testing.assert_allclose(metrics["draw"].value(), np.mean([jax.random.uniform(k) for k in keys]), rtol=1e-6)
    np.testing.assert_allclose(metrics["first"].value(), x[:4, 0].mean(), rtol=1e-6)  # part i begins with row i


def recurrent():
    """16 steps in all, a power of two: then the gradient of a total over 16 is that of the mean, bit for bit."""
    model = stack(LSTM(4), Dense(2))
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(4, 4, f)).astype(np.float32) for f in (3, 2))
    batch = Batch(x, y, np.ones((4, 4), bool), np.full(4, 4, np.int32))
    return model, drawn(model, 3), batch


def drawn(model, features):
    """Parameters of the shapes that the model wants; nothing is compiled."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), features))
    return jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), shapes)


def test_bfloat16_computes_in_bfloat16_and_keeps_float32():
    model, params, batch = recurrent()
    seen = {}

    def loss(params, batch, key):
        carry, ys = scan(model, params, batch.inputs)
        seen.update(params=params, inputs=batch.inputs, ys=ys, carry=carry, targets=batch.targets)
        return Mean.of(squared_error(ys, batch.targets), batch.weights)

    optimizer = optax.adam(0.1)
    step = jax.jit(make_train_step(loss, optimizer, clip=100.0, precision="bfloat16"))
    state, metrics = step(init_state(params, optimizer, KEY), batch)
    dtypes = {name: {leaf.dtype.name for leaf in jax.tree.leaves(tree)} for name, tree in seen.items()}
    assert dtypes == {
        "params": {"bfloat16"},
        "inputs": {"bfloat16"},
        "ys": {"bfloat16"},
        "carry": {"float32"},
        "targets": {"float32"},
    }
    floats = [leaf for leaf in jax.tree.leaves((state, metrics)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert {leaf.dtype.name for leaf in floats} == {"float32"}
    # By hand: the gradient of the loss at the rounded parameters, applied to those that are not rounded.
    low = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    wanted = jax.jit(jax.grad(lambda p: loss(p, batch._replace(inputs=jnp.bfloat16(batch.inputs)), None).value()))(low)
    close(optax.tree.get(state.opt_state, "mu"), jax.tree.map(lambda g: 0.1 * g.astype(jnp.float32), wanted), rtol=1e-6)


def test_small_updates_reach_the_masters():
    """1 + 2^-12 is 1 in bfloat16, so that parameters in bfloat16 would stand still."""
    loss = lambda params, batch, key: jnp.sum(params["w"])
    state = init_state({"w": np.ones(1, np.float32)}, optax.sgd(2**-12), KEY)
    state, _ = run(make_train_step(loss, optax.sgd(2**-12), precision="bfloat16"), state, [data()] * 8)
    assert float(state.params["w"][0]) == 1 - 8 * 2**-12


# Transformations ------------------------------------------------------------------------------------------------------


def test_many_states_at_once():
    optimizer = optax.adam(0.1)
    step = make_train_step(mean_error, optimizer, clip=1.0)
    starts = [init_state(jax.tree.map(lambda p: p + i, PARAMS), optimizer, jax.random.key(i)) for i in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    found, _ = jax.jit(jax.vmap(step, in_axes=(0, None)))(stacked, data())
    for i, start in enumerate(starts):
        wanted, _ = jax.jit(step)(start, data())
        close(jax.tree.map(lambda leaf: leaf[i], found.params), wanted.params, rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2])
def test_inside_shard_map_with_a_loss_that_sums_over_devices(count):
    def loss(params, batch, key):
        return jax.lax.psum(masked_error(params, batch, key), "data")

    batch, optimizer = (*data(16), np.arange(16) % 3 > 0), optax.sgd(0.1)
    start, spec = init_state(PARAMS, optimizer, KEY), PartitionSpec("data")
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    step = make_train_step(loss, optimizer, clip=1.0, accumulate=count)
    each = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(PartitionSpec(), spec), out_specs=PartitionSpec()))
    state, metrics = each(start, batch)
    wanted, told = jax.jit(make_train_step(masked_error, optimizer, clip=1.0))(start, batch)
    close((state.params, metrics), (wanted.params, told), rtol=2e-6)


# Bad input ------------------------------------------------------------------------------------------------------------

SGD = optax.sgd(0.1)
OPTIONS = [
    ({"clip": 0}, ArgumentError, "clip must be a norm above 0"),
    ({"clip": float("nan")}, ArgumentError, "clip"),
    ({"clip": "1"}, ArgumentTypeError, "clip must be a number"),
    ({"accumulate": 0}, ArgumentError, "accumulate"),
    ({"accumulate": 2.0}, ArgumentTypeError, "accumulate"),
    ({"ema": 1.0}, ArgumentError, r"\[0, 1\)"),
    ({"ema": True}, ArgumentTypeError, "ema must be a number"),
    ({"precision": "float16"}, ArgumentError, "range of float32"),
    ({"precision": "bflaot16"}, ArgumentError, "Perhaps you meant 'bfloat16'"),
    ({"carry": 3}, ArgumentTypeError, "carry must be a function"),
    ({"carry": lambda p, k: (), "accumulate": 2}, ArgumentError, "shorter batches"),
]


@pytest.mark.parametrize("options, error, words", OPTIONS)
def test_bad_options(options, error, words):
    with pytest.raises(error, match=words):
        make_train_step(mean_error, SGD, **options)


@pytest.mark.parametrize(
    "loss, error, words",
    [
        (lambda p, b, k: errors(p, b), ArgumentError, r"shape \(8,\).*Mean.of"),
        (lambda p, b, k: "1", ArgumentTypeError, "loss must be a scalar or a Mean"),
        (lambda p, b, k: jnp.int32(1), ArgumentTypeError, "loss must be floating point"),
        (lambda p, b, k: (mean_error(p, b, k), 3), ArgumentTypeError, "dict of scalars"),
        (lambda p, b, k: (mean_error(p, b, k), {}, {}), ArgumentError, "Pass carry="),
        (lambda p, b, k: (mean_error(p, b, k), {"norm": 1.0}), ArgumentError, "'norm'.*Rename"),
        (lambda p, b, k: (mean_error(p, b, k), {"hits": jnp.ones(8)}), ArgumentError, "metric 'hits'"),
    ],
)
def test_bad_losses(loss, error, words):
    with pytest.raises(error, match=words):
        make_train_step(loss, SGD)(init_state(PARAMS, SGD, KEY), data())


@pytest.mark.parametrize(
    "params, optimizer, key, error, words",
    [
        ({}, SGD, KEY, ArgumentError, "Nothing to train"),
        (
            {"a": np.ones(2, np.int32)},
            SGD,
            KEY,
            ArgumentTypeError,
            r"params\['a'\] must be floating point, found dtype int32",
        ),
        ({"a": "w"}, SGD, KEY, ArgumentTypeError, r"params\['a'\]"),
        (PARAMS, optax.sgd, KEY, ArgumentTypeError, "optimizer must be one of optax"),
        (PARAMS, SGD, 0, ArgumentTypeError, "key must be one key"),
        (PARAMS, SGD, jax.random.split(KEY), ArgumentTypeError, "key must be one key"),
    ],
)
def test_bad_states(params, optimizer, key, error, words):
    with pytest.raises(error, match=words):
        init_state(params, optimizer, key)


def test_state_and_step_must_agree():
    step, state = make_train_step(mean_error, SGD), init_state(PARAMS, SGD, KEY, ema=True)
    with pytest.raises(ArgumentError, match="ema"):
        step(state, data())
    with pytest.raises(ArgumentError, match="carry"):
        make_train_step(mean_error, SGD, carry=lambda p, k: ())(init_state(PARAMS, SGD, KEY), data())
    with pytest.raises(ArgumentTypeError, match="State from step.init"):
        step(PARAMS, data())
    with pytest.raises(ArgumentError, match=r"batch\[0\] has shape \(8, 3\).*accumulate is 3"):
        make_train_step(mean_error, SGD, accumulate=3)(init_state(PARAMS, SGD, KEY), data())


def test_a_carry_of_another_shape_is_named():
    cell = RNN(4)
    params = drawn(cell, 3)
    begin = lambda p, k: cell.initial_carry(p, (8,))
    loss = lambda p, b, k, c: (jnp.sum(p["mix"]["kernel"]), jax.tree.map(lambda leaf: leaf[:2], c))
    with pytest.raises(ArgumentError, match="carry returned by loss"):
        make_train_step(loss, SGD, carry=begin)(init_state(params, SGD, KEY, carry=begin), data(), True)
    assert isinstance(init_state(params, SGD, KEY, carry=begin), State)
