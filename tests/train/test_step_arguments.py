"""What cannot be right in a step, its loss and its state is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax import RNN
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train import (
    Evaluation,
    State,
    fit,
    make_train_step,
)
from tests.train.problems import (
    KEY,
    LINE,
    SGD,
    data,
    drawn,
    errors,
    mean_error,
    state_of,
)

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


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.array, jnp.float32, jnp.bfloat16])
def test_numbers_of_numpy_and_jax_were_no_numbers(kind):
    step = make_train_step(mean_error, SGD, clip=kind(1), ema=kind(0.5))
    assert (step.clip, step.ema) == (1.0, 0.5) and type(step.clip) is type(step.ema) is float
    assert Evaluation(dict, target=kind(0.5)).target == 0.5
    for wrong in (kind(-1), kind(float("inf"))):
        with pytest.raises(ArgumentError, match="clip must be a norm above 0"):
            make_train_step(mean_error, SGD, clip=wrong)


@pytest.mark.parametrize("wrong", [np.ones(1), np.bool_(True), jnp.array(True), 1j, np.complex64(1)])
def test_what_is_no_real_number_is_refused(wrong):
    with pytest.raises(ArgumentTypeError, match="clip must be a number"):
        make_train_step(mean_error, SGD, clip=wrong)


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
        make_train_step(loss, SGD)(state_of(LINE, SGD, KEY), data())


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
        (LINE, SGD, 0, ArgumentTypeError, "key must be one key"),
        (LINE, SGD, jax.random.split(KEY), ArgumentTypeError, "key must be one key"),
    ],
)
def test_bad_states(params, optimizer, key, error, words):
    with pytest.raises(error, match=words):
        state_of(params, optimizer, key)


def test_state_and_step_must_agree():
    step, state = make_train_step(mean_error, SGD), state_of(LINE, SGD, KEY, ema=True)
    with pytest.raises(ArgumentError, match="ema"):
        step(state, data())
    with pytest.raises(ArgumentError, match="carry"):
        make_train_step(mean_error, SGD, carry=lambda p, k: ())(state_of(LINE, SGD, KEY), data())
    with pytest.raises(ArgumentTypeError, match=r"as step.init\(params, key\), found dict"):
        step(LINE, data())
    with pytest.raises(ArgumentError, match=r"batch\[0\] has shape \(8, 3\).*accumulate is 3"):
        make_train_step(mean_error, SGD, accumulate=3)(state_of(LINE, SGD, KEY), data())


@pytest.mark.parametrize("mine, other", [(optax.adam(0.1), SGD), (SGD, optax.adam(0.1))])
def test_a_state_of_another_optimiser_was_taken_or_failed_inside_optax(mine, other):
    step, state = make_train_step(mean_error, mine), state_of(LINE, other, KEY)
    for run in (lambda: step(state, data()), lambda: fit(step, state, None, steps=1, progress=False)):
        with pytest.raises(ArgumentError, match="agree on the optimizer: .* by the init of this very step"):
            run()
    wide = state_of(LINE | {"w": np.ones(4, np.float32)}, mine, KEY)
    if jax.tree.leaves(wide.opt_state):
        with pytest.raises(ArgumentError, match="agree on the optimizer"):
            step(wide._replace(params=state.params), data())


def test_a_carry_of_another_shape_is_named():
    cell = RNN(4)
    params = drawn(cell, 3)
    begin = lambda p, k: cell.initial_carry(p, (8,))
    loss = lambda p, b, k, c: (jnp.sum(p["mix"]["kernel"]), jax.tree.map(lambda leaf: leaf[:2], c))
    with pytest.raises(ArgumentError, match="carry returned by loss"):
        make_train_step(loss, SGD, carry=begin)(state_of(params, SGD, KEY, carry=begin), data(), True)
    assert isinstance(state_of(params, SGD, KEY, carry=begin), State)


@pytest.mark.parametrize(
    "optimizer, words",
    [
        (1e-3, r"found 0.001. A learning rate\? Write optax.adam\(0.001\)"),
        (np.float32(1e-3), r"A learning rate\? Write optax.adam\(0.001\)"),
        (optax.adam, r"Call it: optax.adam\(1e-3\)"),
        ("adam", "optimizer must be one of optax, .* found 'adam'"),
    ],
)
def test_slips_with_the_optimiser_had_errors_without_its_name(optimizer, words):
    with pytest.raises(ArgumentTypeError, match=words):
        make_train_step(mean_error, optimizer)


def test_a_line_search_failed_inside_optax():
    step = make_train_step(mean_error, optax.lbfgs())
    with pytest.raises(ArgumentTypeError, match=r"optimizer must need no more .* 'value_fn'.* take optax.adam"):
        step(step.init(LINE, KEY), data())
