"""Metrics of gradients over a training: those of the diagnostics by themselves, in the rows of `fit`."""

import jax
import numpy as np
import optax
import pytest

import seqjax as sj
from seqjax import batching, losses, train
from seqjax.diagnostics import gradient_flow, half_life, log_mean, saturation, watch

MODEL = sj.RNN(3)
XS = np.asarray(jax.random.normal(jax.random.key(1), (6, 12, 2)))
MASK = np.arange(12) >= np.array([[0], [0], [3], [0], [5], [0]])


def first(y):
    return y[:, 0]


def test_equals_what_it_is_made_of():
    params = MODEL.init(jax.random.key(0), 2)
    found = watch(MODEL, XS, first, mask=MASK, distances=[0, 3, 12])(params)
    flow = gradient_flow(MODEL, params, XS, first, mask=MASK)
    curve = log_mean(flow.joint)
    for k in (0, 3, 12):
        np.testing.assert_allclose(found[f"gradient/log10_at_{k}"], curve[k] / np.log(10), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["gradient/half_life"], half_life(curve), rtol=1e-4)
    np.testing.assert_allclose(found["gradient/loss"], np.mean(flow.loss), rtol=1e-5)
    shares = saturation(MODEL, params, XS, mask=MASK)
    for path in ("h",):
        np.testing.assert_allclose(found[f"saturation/{path}/low"], shares[path].low.mean(), rtol=1e-6)
        np.testing.assert_allclose(found[f"saturation/{path}/outer"], shares[path].outer.mean(), rtol=1e-6)
    assert not any("/y" in name for name in found)


@pytest.mark.slow
def test_rows_of_a_training(tmp_path):
    """Every evaluation has them, beside the loss that decides."""
    cell = sj.stack(sj.RNN(2), sj.Dense(2))
    source = batching.Shuffled(XS, np.arange(6) % 2, 3)
    loss = train.make_loss(cell, losses.cross_entropy, at="last")
    step = train.make_train_step(loss, optax.sgd(0.1))
    watched = watch(cell, XS[:2], first, gates=False)
    evaluation = train.Evaluation(lambda params: train.evaluate(loss, params, source) | watched(params))
    state = step.init(cell.init(jax.random.key(0), 2), jax.random.key(0))
    result = train.fit(step, state, source, steps=6, every=3, evaluation=evaluation, log=tmp_path, progress=False)
    rows = [row for row in train.read_rows(tmp_path / "metrics.jsonl") if "evaluation/loss" in row]
    assert [row["step"] for row in rows] == [3, 6]
    wanted = watched(result.state.params)
    assert {f"evaluation/{name}" for name in wanted} <= rows[-1].keys()
    np.testing.assert_allclose(rows[-1]["evaluation/gradient/log10_at_10"], wanted["gradient/log10_at_10"], rtol=1e-6)
    assert rows[0]["evaluation/gradient/log10_at_10"] != rows[1]["evaluation/gradient/log10_at_10"]


def test_what_cannot_be_right_is_named():
    cell = sj.RNN(1)
    with pytest.raises(sj.ArgumentError, match=r"watch: distances must be in 0 ... 12, steps back, found 13"):
        watch(cell, XS, first, distances=[13])
    with pytest.raises(sj.ArgumentError, match="distances must be a whole number of at least 0, found -1"):
        watch(cell, XS, first, distances=[-1])
    with pytest.raises(sj.ArgumentTypeError, match="distances must be a whole number, found 'all'"):
        watch(cell, XS, first, distances=["all"])
    with pytest.raises(sj.ArgumentError, match="watch: outputs must be"):
        watch(cell, XS, first, outputs="mean")
    with pytest.raises(sj.ArgumentTypeError, match="gates must be True or False"):
        watch(cell, XS, first, gates="f")
    with pytest.raises(sj.ArgumentError, match="axes"):
        watch(cell, XS[0, 0], first)
