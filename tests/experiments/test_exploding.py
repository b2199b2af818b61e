"""The parts of exploding that could be wrong unseen."""

import csv
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from experiments import exploding
from experiments.collect import collect
from experiments.gradients import explosions
from experiments.gradients.flows import model_of
from experiments.gradients.sources import load
from seqjax.diagnostics import norm_change
from seqjax.initializers import orthogonal
from tests.experiments.makers import WORDS

SETTINGS = explosions.Settings(clip=0.5, value=0.01, omega=2.0)
TINY = {
    "scales": (2.0,), "methods": ("norm",), "rates": (0.1, 0.5), "units": 4, "length": 6, "batch_size": 2, "steps": 2,
    "reach": 8, "members": 2,
}  # fmt: skip


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.txt"
    path.write_text(WORDS * 30)
    return str(path)


@pytest.fixture
def start(page):
    """A model, parameters and a batch."""
    source = load(page)
    model = model_of(sj.RNN(4, recurrent_init=orthogonal(2.0)), source)
    return model, model.init(jax.random.key(0), 0), source.windows(np.random.default_rng(0), 2, 6)


def moved(start, method):
    """What one update of rate 1 takes away from the parameters."""
    model, params, batch = start
    step = explosions.make_step(model, method, SETTINGS, 1, 1.0)
    after, _ = jax.jit(step)(step.init(params, jax.random.key(0)), batch)
    return np.concatenate([np.ravel(a - b) for a, b in zip(*map(jax.tree.leaves, (params, after.params)))])


def test_each_way_to_clip_does_what_it_says(start):
    """Against NumPy, from the gradient that plain SGD takes."""
    model, params, batch = start
    whole = moved(start, "plain")
    grads = jax.grad(lambda p: explosions.loss(model, 0.0, p, batch, None)[1]["nats"].value())(params)
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(grads)])
    np.testing.assert_allclose(whole, flat, atol=1e-6)
    size = np.linalg.norm(whole)
    assert size > SETTINGS.clip and abs(whole).max() > SETTINGS.value
    np.testing.assert_allclose(moved(start, "norm"), whole * SETTINGS.clip / size, atol=1e-6)
    np.testing.assert_allclose(moved(start, "value"), np.clip(whole, -0.01, 0.01), atol=1e-6)


@pytest.mark.slow
def test_omega_is_added_with_its_weight_and_moves_the_recurrence_alone(start):
    model, params, batch = start
    value, metrics = explosions.loss(model, 2.0, params, batch, None)
    _, xs = sj.scan(model.cells[0], params["0"], batch[0])
    _, hs = sj.scan(model.cells[1], params["1"], xs)

    def last_loss(h):
        logits = h @ params["2"]["kernel"] + params["2"]["bias"][None]
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(2), batch[1][:, -1]])

    omega = norm_change(model.cells[1], params["1"], xs, jax.grad(last_loss)(hs[:, -1]))
    np.testing.assert_allclose(value.value() - metrics["nats"].value(), 2 * omega, rtol=1e-4)
    both, alone = (
        jax.grad(lambda p, w=w: explosions.loss(model, w, p, batch, None)[0].value())(params) for w in (2.0, 0.0)
    )
    more = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), both, alone)
    assert more["1"]["mix"]["kernel"] > 1e-3
    assert max(jax.tree.leaves(more | {"1": more["1"]["project"]})) < 1e-6


@pytest.mark.slow
def test_flossing_brings_exponents_nearer_to_zero(start):
    model, params, batch = start
    after = explosions.floss(model, params, batch[0])
    _, xs = sj.scan(model.cells[0], params["0"], batch[0])
    before, then = (float(explosions.exponents_squared(model.cells[1], p["1"], xs)) for p in (params, after))
    assert then < before
    assert all((after[name][key] == params[name][key]).all() for name in ("0", "2") for key in params[name])


def test_counting_what_exploded():
    history = {
        "nats": np.array([4.0, np.nan, 3.0, 2.0]),
        "norm": np.array([1.0, np.nan, np.inf, 1000.0]),
        "skipped": np.array([0.0, 1.0, 0.0, 0.0]),
    }
    found = exploding.over_training(history)
    assert found["share_huge"] == 0.75 and found["share_not_finite"] == 0.25
    assert found["log10_median_norm"] == 3 and found["log10_largest_norm"] == math.inf
    assert found["loss_over_training"] == [4.0, None, 3.0, 2.0] and found["updates_over_training"] == [1, 2, 3, 4]
    nothing = exploding.over_training({name: np.array([np.nan]) for name in ("nats", "norm")} | {"skipped": np.ones(1)})
    assert nothing["log10_largest_norm"] is None and nothing["share_huge"] == 1


def test_baselines_are_entropies_of_one_and_of_two_characters():
    """abab... and c at the end: by hand."""
    found = exploding.baselines(np.array([0, 1, 0, 1, 0, 2]))
    assert found["baseline_loss_nats"] == pytest.approx(math.log(2) / 2 + math.log(3) / 3 + math.log(6) / 6)
    # after 0 comes 1, 1 or 2, three times in five; after 1 always 0
    assert found["bigram_loss_nats"] == pytest.approx(3 / 5 * (math.log(3) - 2 / 3 * math.log(2)))


def test_saturated_states_are_those_beyond_the_bound(start):
    model, params, (ids, targets) = start
    _, hs = sj.scan(model.cells[1], params["1"], sj.scan(model.cells[0], params["0"], ids)[1])
    _, found = exploding.nats_and_saturated(model, params, ids, targets)
    assert found == pytest.approx((np.abs(hs) > 0.99).mean())
    stuck = params | {"1": jax.tree.map(lambda leaf: 1e6 * leaf, params["1"])}
    assert exploding.nats_and_saturated(model, stuck, ids, targets)[1] > 0.9


def test_the_best_rate_is_that_of_the_lowest_mean():
    losses = {(0.1, 0): 3.0, (0.1, 1): 3.0, (1.0, 0): 1.0, (1.0, 1): None, (0.5, 0): 2.0, (0.5, 1): 3.5}
    rows = [
        {"scale": 1.0, "method": "plain", "learning_rate": rate, "seed": seed, "loss_nats": value}
        for (rate, seed), value in losses.items()
    ]
    assert {row["learning_rate"] for row in exploding.best_of(rows)} == {0.5}  # 1.0 diverged with one seed


def test_a_run(here, page):
    rows = exploding.main(exploding.Config(**TINY, data=page))["rows"]
    assert [(row["method"], row["seed"], row["learning_rate"]) for row in rows] == [
        ("norm", seed, rate) for seed in (0, 1) for rate in (0.1, 0.5)
    ]
    assert all(len(row["log10_norms_start"]) == 9 and len(row["loss_over_training"]) == 2 for row in rows)
    assert rows[0]["log10_norms_start"] == rows[1]["log10_norms_start"] != rows[2]["log10_norms_start"]
    assert {path.stem for path in here.glob("runs/exploding/*/plots/*.png")} == {
        "growth", "norms", "loss", "loss_by_rate",
    }  # fmt: skip
    assert len(list(csv.DictReader(collect("exploding", results=here).read_text().splitlines()))) == 4


@pytest.mark.parametrize(
    "options, message",
    [
        ({"methods": ("clip",)}, "plain, or of norm, value, omega, flossing, joined by ., found 'clip'"),
        ({"methods": ("norm+omge",)}, "found 'omge' in 'norm.omge'"),
        ({"data": "digits"}, "characters of a text"),
        ({"reach": 10**7}, "length and reach must be at most"),
        ({"rates": (0.1, 0.0)}, "rates must be above 0"),
        ({"scales": ()}, "scales: give at least one"),
    ],
)
def test_wrong_options(here, page, options, message):
    with pytest.raises(sj.ArgumentError, match=message):
        exploding.main(exploding.Config(**({"data": page} | options)))
    assert not (here / "runs").exists()
