"""Each experiment at tiny settings, and the parts of them that could be wrong unseen."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: plot)")

import seqjax as sj
from experiments import char_lm, polyphonic_music, records, temporal_order
from experiments.collect import options
from experiments.compare import compare
from seqjax import batching, datasets, plot
from seqjax.batching.ragged import Ragged
from seqjax.datasets import Dataset, Split
from tests.test_style import ROOT

RNG = np.random.default_rng(0)


def rolls(name):
    def part(count):
        return Split(Ragged.of([RNG.integers(0, 2, (t, 88), np.uint8) for t in range(3, 3 + count)]))

    return {"train": part(9), "valid": part(3), "test": part(3)}


def pictures(name):
    size = 4 if name == "digits" else 5
    count = {"train": 40, "valid": 8, "test": 9}
    return {
        key: Split(RNG.integers(0, 256, (n, size, size), np.uint8), RNG.integers(0, 10, n)) for key, n in count.items()
    }


def letters(name):
    text = np.frombuffer(b"to be or not to be, that is the question. " * 12, np.uint8)
    return {key: Split(Ragged.of([text])) for key in ("train", "valid", "test")}


MADE = {"jsb_chorales": rolls, "nottingham": rolls, "digits": pictures, "shakespeare": letters}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder for runs, and small data of the same kind under the names of the real ones."""

    monkeypatch.setattr(datasets, "load", lambda name: Dataset(MADE[name](name)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


TINY = {
    "adding": {"cell": ("RNN(2)",), "length": 6, "steps": 2, "batch": 4, "every": 1, "evaluation": 10},
    "copy_memory": {"cell": ("GRU(2)",), "delay": 3, "steps": 2, "batch": 4, "every": 1, "evaluation": 10},
    "temporal_order": {"lengths": (10,), "steps": 2, "units": 16, "batch": 4, "every": 1, "evaluation": 10},
    "sequential_digits": {"cell": ("LSTM(2)",), "permuted": True, "batch": 8, "epochs": 1},
    "char_lm": {"cell": ("RNN(3)", "LSTM(3)"), "parameters": 500, "batch": 4, "length": 8, "steps": 4, "every": 2},
    "polyphonic_music": {"cell": ("RNN(2)",), "batch": 4, "epochs": 2},
    "efficiency": {"cell": ("RNN", "LSTM"), "widths": (2, 3), "lengths": (4,), "batch": 2, "turns": 1},
}


@pytest.mark.parametrize("name", TINY)
def test_tiny_run(here, name, capsys, monkeypatch):
    module = importlib.import_module(f"experiments.{name}")
    summary = module.main(module.Config(**TINY[name]))
    said = capsys.readouterr().out
    ((record,), damaged) = records.every(here / "runs")
    assert record.status == "done"
    assert record.rows == summary["rows"]
    assert len({tuple(row[column] for column in summary["by"]) for row in record.rows}) == len(record.rows)
    for row in record.rows:
        assert np.isfinite(row[summary["measure"]])
        assert row["parameters"] > 0
        assert name == "efficiency" or np.isfinite(row["valid"])
    assert f"{record.rows[0][summary['measure']]:.4g}"[:4] in said
    assert all(
        (path.with_suffix(kind)).stat().st_size for path in record.folder.glob("plots/*") for kind in (".png", ".svg")
    )
    assert list(record.folder.glob("plots/*.png"))
    for work in ("study", "trained"):
        if hasattr(module, work):
            monkeypatch.setattr(module, work, lambda *_, **__: pytest.fail("work was done again"))
    assert module.main(module.Config(**TINY[name])) == summary


def test_every_experiment_is_tried_and_listed():
    scripts = {path.stem for path in (ROOT / "experiments").glob("*.py") if "\nclass Config" in path.read_text()}
    assert scripts == TINY.keys() | {"gradient_norms"}
    text = (ROOT / "experiments/README.md").read_text()
    for name in scripts:
        assert f"experiments.{name}" in text, f"experiments/README.md has no row for {name}"


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("temporal_order", {"methods": ("Adam",)}, "methods must be of SGD, SGD-C, SGD-CR, found 'Adam'"),
        ("temporal_order", {"lengths": (3,)}, "length must be at least 10"),
        ("adding", {"length": 1}, "length must be at least 2"),
        ("adding", {"cell": ("LTSM(3)",)}, "Perhaps you meant 'LSTM'"),
        ("copy_memory", {"delay": 0}, "length must be at least 21"),
        ("sequential_digits", {"data": "imdb"}, "data must be one of digits, mnist"),
        ("polyphonic_music", {"data": "mnist"}, "data must be one of jsb_chorales, nottingham"),
        ("polyphonic_music", {"cell": ("bidirectional(GRU(2))",)}, "it sees what it is to predict"),
        ("copy_memory", {"cell": ("stack(Dropout(0.5), GRU(2))",)}, "draw no random numbers"),
        ("char_lm", {"characters": 10}, "a split has 10, expected at least"),
        ("adding", {"clip": float("inf")}, "clip must be above 0"),
        ("adding", {"steps": 0}, "steps must be above 0 and below 2.31, found 0"),
        ("adding", {"seed": -1}, "seed must be at least 0"),
        ("char_lm", {"cell": ()}, "cell: give at least one"),
        ("polyphonic_music", {"noise": -0.1}, "noise must be at least 0"),
        ("polyphonic_music", {"final_rate": 1.5}, "final_rate must be at most 1"),
        ("polyphonic_music", {"transpose": 2}, "room for 0 semitones"),
        ("polyphonic_music", {"chunk": 3000}, "expected at least batch_size \\* length"),
        ("efficiency", {"lengths": (4, 0)}, "lengths must be above 0"),
        ("efficiency", {"cell": ("GRU(3)",)}, "GRU"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_options(here, name, options, message):
    module = importlib.import_module(f"experiments.{name}")
    with pytest.raises(sj.ArgumentError, match=message):
        module.main(module.Config(**options))
    assert not (here / "runs").exists()


def test_smart_tanh_is_the_papers():
    params = temporal_order.smart_tanh(50, 3)
    mix = np.asarray(params["0"]["mix"]["kernel"], np.float64)
    assert ((mix != 0).sum(1) == 15).all()
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(mix)).max(), 0.95, rtol=1e-5)
    assert np.std(params["0"]["project"]["kernel"]) == pytest.approx(0.01, rel=0.1)
    fresh = sj.stack(sj.RNN(50), sj.Dense(4)).init(jax.random.key(0), 6)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, fresh)


def test_regulariser_against_its_definition():
    """Jacobians by autodiff, a sum over steps in NumPy, and a gradient that moves U in one product alone."""
    with jax.enable_x64(True):
        batch, length, width = 3, 5, 4
        mix, start, inputs, last = (
            RNG.normal(size=s) for s in ((width, width), (batch, width), (length, batch, width), (batch, width))
        )
        hs = []
        for x in inputs:
            hs.append(np.tanh(x + (hs[-1] if hs else start) @ mix))
        terms = np.zeros((length, batch))

        def omega(weights):
            gradient = last
            for t in reversed(range(length)):
                before = (gradient * (1 - hs[t] ** 2)) @ weights.T
                terms[t] = ((before**2).sum(1) / (gradient**2).sum(1) - 1) ** 2
                gradient = (gradient * (1 - hs[t] ** 2)) @ mix.T  # constants: of the unmoved matrix
            return terms.mean()

        # the vector-Jacobian product of one step is what the recursion says
        h, pull = jax.vjp(lambda before: jnp.tanh(inputs[4] + before @ mix), hs[3])
        np.testing.assert_allclose(pull(last)[0], (last * (1 - hs[4] ** 2)) @ mix.T, rtol=1e-12)
        states = jnp.swapaxes(jnp.asarray(hs), 0, 1)
        value, slope = jax.value_and_grad(temporal_order.regulariser)(jnp.asarray(mix), states, jnp.asarray(last))
        np.testing.assert_allclose(value, omega(mix), rtol=1e-12)
        for i, j in ((0, 0), (1, 3), (2, 1)):
            step = np.zeros_like(mix)
            step[i, j] = 1e-6
            np.testing.assert_allclose(slope[i, j], (omega(mix + step) - omega(mix - step)) / 2e-6, rtol=1e-6)


def test_regulariser_leaves_out_steps_without_gradient():
    hs = jnp.full((2, 3, 4), 0.5)
    last = jnp.stack([jnp.ones(4), jnp.zeros(4)])
    mix = jnp.eye(4)
    alone = temporal_order.regulariser(mix, hs[:1], last[:1])
    np.testing.assert_allclose(temporal_order.regulariser(mix, hs, last), alone, rtol=1e-6)
    assert np.isfinite(jax.grad(temporal_order.regulariser)(mix, hs, last)).all()
    assert temporal_order.regulariser(mix, hs, jnp.zeros((2, 4))) == 0


def test_success_by_length_is_the_share_of_seeds(here, monkeypatch):
    drawn = []
    monkeypatch.setattr(temporal_order, "study", lambda config, method, length, folder: [
        {"length": length, "method": method, "wrong": 0.5, "solved": length <= 10 * config.seed}
    ])  # fmt: skip
    trend = plot.trend
    monkeypatch.setattr(plot, "trend", lambda *given: drawn.append(given) or trend(*given))
    for seed in (1, 2, 3):
        temporal_order.main(temporal_order.Config(lengths=(20, 10, 40), methods=("SGD", "SGD-C"), seed=seed))
    compare(list(records.every(here / "runs")[0]))
    lines, *words = drawn[-1]
    assert lines.keys() == {"SGD", "SGD-C"}
    np.testing.assert_allclose(lines["SGD"], [(10, 1, np.nan), (20, 2 / 3, np.nan), (40, 0, np.nan)])
    assert words == ["length", "solved, share of the seeds", "temporal_order"]


def test_floors_by_hand():
    def pieces(*rows):
        return Split(Ragged.of([np.array(row, np.uint8)[:, None] for row in rows]))

    data = Dataset({"train": pieces([1, 1, 0], [0, 0]), "test": pieces([1, 0])})
    bernoulli, markov = polyphonic_music.floors(data)
    assert bernoulli == pytest.approx(-np.log(1 - 2.5 / 6))  # two of five frames, the answer is 0
    assert markov == pytest.approx(-np.log(1 - 1.5 / 3))  # after a 1 came 1, 0


def test_noise_is_in_training_alone():
    model = sj.stack(sj.RNN(3), sj.Dense(88))
    params = model.init(jax.random.key(0), 88)
    seen = []

    def score(params, batch, key):
        seen.append(params)
        return 0.0

    polyphonic_music.noisy(score, 0.1, params, None, jax.random.key(1))
    polyphonic_music.noisy(score, 0.1, params, None, jax.random.key(2))
    first, second = (
        np.concatenate([np.ravel(a - b) for a, b in zip(jax.tree.leaves(p), jax.tree.leaves(params))]) for p in seen
    )
    assert np.std(first) == pytest.approx(0.1, rel=0.15)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2


def test_chunks_score_what_whole_pieces_score():
    pieces = Ragged.of([RNG.integers(0, 2, (t, 88), np.uint8) for t in (5, 1, 7, 8)])
    model = sj.stack(sj.RNN(3), sj.Dense(88))
    params = model.init(jax.random.key(0), 88)
    stream = polyphonic_music.chunks(pieces, 1, 4)
    carry, total, count = model.initial_carry(params, (1,)), 0.0, 0.0
    for step in range(stream.steps_per_epoch):
        found, carry = polyphonic_music.nats_of_chunk(model, params, stream.batch(step), None, carry)
        total, count = total + found.total, count + found.count
    whole = batching.Buckets(pieces[[0, 2, 3]], None, 3, buckets=1, shuffle=False).batch(0)
    expected = polyphonic_music.nats(model, params, whole, None)
    assert count == expected.count == 4 + 6 + 7
    np.testing.assert_allclose(total, expected.total, rtol=1e-6)


def test_transposed_pieces():
    pieces = Ragged.of([np.eye(88, dtype=np.uint8)[[40, 44]], np.eye(88, dtype=np.uint8)[[41]]])
    moved = polyphonic_music.transposed(pieces, 3, seed=0)
    keys = [tuple(np.nonzero(piece)[1]) for piece in moved]
    assert sorted(keys) == sorted([(40 + by, 44 + by) for by in range(-3, 4)] + [(41 + by,) for by in range(-3, 4)])
    assert keys != sorted(keys)
    assert polyphonic_music.transposed(pieces, 0, seed=0) is pieces
    with pytest.raises(sj.ArgumentError, match="room for 40 semitones, found 41"):
        polyphonic_music.transposed(pieces, 41, seed=0)


def test_music_in_chunks(here):
    config = polyphonic_music.Config(cell=("RNN(2)",), batch=2, epochs=2, chunk=3, final_rate=0.1)
    (row,) = polyphonic_music.main(config)["rows"]
    assert row["steps"] == 2 * ((sum(range(3, 12)) - 1) // 6)
    (constant,) = polyphonic_music.main(dataclasses.replace(config, final_rate=1.0))["rows"]
    assert np.isfinite(row["nats"])
    assert row["nats"] != constant["nats"]


def test_an_option_that_a_run_did_not_know_has_its_default():
    assert options({"experiment": "polyphonic_music", "batch": 16, "seed": 3, "cell": ["RNN(100)"]}) == (
        "--cell RNN(100) --batch 16"
    )


def test_entropy_of_equal_shares():
    ids = np.arange(8).repeat(3)
    assert char_lm.entropy(ids, ids, 8) == pytest.approx(3)
