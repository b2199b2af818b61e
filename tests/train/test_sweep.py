"""Many trainings as one program."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train import (
    make_train_step,
    sweep,
)
from tests.train.problems import (
    ADAM,
    PARAMS,
    loss,
    source,
    state_of,
    train,
)


def adam(rate, **options):
    return make_train_step(loss, optax.adam(rate), **options)


def begun(key):
    return {"w": jax.random.normal(key, (2,))}


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_each_member_of_a_sweep_is_its_single_run(device, monkeypatch):
    """One after another, as on CPUs, and all at once."""
    monkeypatch.setattr(jax, "default_backend", lambda: device)
    seeds, rates = (0, 7), (0.1, 1e30)
    options = dict(steps=7, every=3, progress=False)
    found = sweep(lambda rate: adam(rate, clip=1.0), begun, source(), seeds=seeds, learning_rates=rates, **options)
    assert [row["step"] for row in found.history] == [3, 6, 7]
    for i, seed in enumerate(seeds):
        for j, rate in enumerate(rates):
            key = jax.random.key(seed)
            one = train(loss, begun(key), optax.adam(rate), source(), key=key, clip=1.0, **options)
            mine = jax.tree.map(lambda leaf: leaf[i, j], found.state)
            # Vectorised over members XLA may fuse otherwise: a few roundings of float32 in 7 steps.
            chex.assert_trees_all_close(
                (mine.params, mine.opt_state), (one.state.params, one.state.opt_state), rtol=3e-6, atol=1e-7
            )
            chex.assert_trees_all_equal(
                (mine.key, mine.step, mine.skipped), (one.state.key, one.state.step, one.state.skipped)
            )
            for row, single in zip(found.history, one.history):
                np.testing.assert_allclose(row["loss"][i, j], single["loss"], rtol=3e-6)
    assert found.history[-1]["loss"].shape == (2, 2)


def test_a_member_that_diverges_disturbs_no_other():
    rates = (0.1, 1e38)  # the second makes inf of the parameters at once
    far = lambda key: {"w": 100 + begun(key)["w"]}
    sgd = lambda rate: make_train_step(loss, optax.sgd(rate))
    both = sweep(sgd, far, source(), seeds=(0,), learning_rates=rates, steps=4, every=2, progress=False)
    alone = sweep(sgd, far, source(), seeds=(0,), learning_rates=rates[:1], steps=4, every=2, progress=False)
    assert int(both.state.skipped.in_all[0, 1]) == 4 and not both.state.skipped.in_all[0, 0]
    chex.assert_trees_all_close(both.state.params["w"][:, 0], alone.state.params["w"][:, 0], rtol=1e-6)
    assert np.isfinite(both.state.params["w"]).all() and np.isnan(both.history[0]["loss"][0, 1])


def test_large_seeds_of_a_sweep_are_those_of_keys():
    seeds = (1, 2**31, 2**32 - 1)
    given = (seed for seed in seeds)  # read once
    found = sweep(adam, begun, source(), seeds=given, learning_rates=[0.1], steps=1, progress=False)
    for i, seed in enumerate(seeds):
        key = jax.random.key(seed)
        chex.assert_trees_all_equal(found.state.key[i, 0], state_of(begun(key), optax.adam(0.1), key).key)


def test_rates_that_are_numbers_of_numpy_were_no_numbers():
    rates, numbers = np.array([0.25, 0.5], np.float32), []
    step = lambda rate: numbers.append(rate) or adam(rate)
    options = dict(seeds=(0,), steps=1, progress=False)
    found = sweep(step, begun, source(), learning_rates=rates, **options)
    same = sweep(adam, begun, source(), learning_rates=[0.25, 0.5], **options)
    chex.assert_trees_all_equal(found.state, same.state)
    sweep(adam, begun, source(), learning_rates=jnp.array(rates), **options)
    assert type(numbers[0]) is float  # to see what it makes; later ones are traced


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"seeds": ()}, ArgumentError, "one each"),
        ({"seeds": (0.5,)}, ArgumentTypeError, "seeds"),
        ({"seeds": 3}, ArgumentTypeError, r"seeds must be a sequence .* found 3. For a single one write \[3\]"),
        ({"seeds": "012"}, ArgumentTypeError, "seeds must be a sequence"),
        ({"seeds": (0, 2**32)}, ArgumentError, r"seeds must be below 2\*\*32, .* found 4294967296"),
        ({"learning_rates": 0.1}, ArgumentTypeError, "learning_rates must be a sequence .* found 0.1"),
        ({"learning_rates": (float("nan"),)}, ArgumentError, "learning_rates"),
        ({"learning_rates": ("0.1",)}, ArgumentTypeError, "learning_rates must be a number, found '0.1'"),
        ({"learning_rates": np.float32(0.5)}, ArgumentTypeError, r"For a single one write \["),
        ({"init": PARAMS}, ArgumentTypeError, "init must be a function"),
        ({"make_step": ADAM}, ArgumentTypeError, "make_step must be a function"),
        ({"make_step": adam(0.1)}, ArgumentTypeError, "make_step must be a function, .* Write lambda rate"),
        ({"make_step": optax.adam}, ArgumentTypeError, "make_step must return what make_train_step does"),
        ({"make_step": lambda r: adam(r, carry=lambda params, key: ())}, ArgumentError, "one by one"),
        ({"steps": 0}, ArgumentError, "steps"),
    ],
)
def test_bad_sweeps(options, error, words):
    given = {"make_step": adam, "init": begun, "source": source(), "steps": 1}
    with pytest.raises(error, match=words):
        sweep(**(given | {"seeds": (0,), "learning_rates": (0.1,)} | options))
