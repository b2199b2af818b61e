"""Checkpoints: bit for bit, checked, refused where they do not fit; models with their cells."""

import json
import logging
import math
import os
import resource
import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
pytest.importorskip("optax", reason="optax is not installed (extra train)")

from hypothesis import given
from hypothesis import strategies as st

from seqjax import (
    GRU,
    LSTM,
    ArgumentError,
    ArgumentTypeError,
    DataError,
    Dense,
    Dropout,
    Embed,
    Gated,
    bidirectional,
    stack,
)
from seqjax.checkpoint import _files as checkpoint_files
from seqjax.checkpoint._json import decode, encode
from seqjax.checkpoint.checkpoints import Checkpoints
from seqjax.checkpoint.model import load, save_model


def bits(leaf):
    """What is compared: type, dtype, shape, every bit, and where an array of JAX lies."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = bits(np.asarray(jax.random.key_data(leaf)))
        return (str(leaf.dtype), jax.random.key_impl(leaf), leaf.committed, leaf.sharding, *data)
    if isinstance(leaf, jax.Array):
        return (jax.Array, leaf.committed, leaf.sharding, *bits(np.asarray(leaf))[1:])
    if isinstance(leaf, (np.ndarray, np.generic)):
        return (type(leaf), leaf.dtype, leaf.shape, leaf.tobytes())
    return (type(leaf), repr(leaf))


def same(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for path, leaf in jax.tree_util.tree_leaves_with_path(wanted):
        other = dict(jax.tree_util.tree_leaves_with_path(found))[path]
        assert bits(other) == bits(leaf), jax.tree_util.keystr(path)


def emptied(tree):
    """A template: the same shapes, other values."""

    def one(leaf):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        if isinstance(leaf, jax.Array):
            zeros = np.zeros(leaf.shape, leaf.dtype)
            return jax.device_put(zeros, leaf.sharding) if leaf.committed else jnp.array(zeros)
        return np.zeros_like(leaf) if isinstance(leaf, np.ndarray) else type(leaf)()

    return jax.tree.map(one, tree)


# --- bit for bit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_stopping_and_going_on_is_the_same_as_going_on(tmp_path, dtype):
    from tests.checkpoint.training import MODEL, start, train

    with jax.enable_x64(dtype == "float64"):
        state = start(MODEL, jnp.dtype(dtype))
        for position in range(3):
            if position == 2:
                Checkpoints(tmp_path).save(2, state, {"position": position})
            state = train(MODEL, state)
        step, again, meta = Checkpoints(tmp_path).restore(start(MODEL, jnp.dtype(dtype)))
        assert (step, meta) == (2, {"position": 2})
        assert str(jax.tree.leaves(again.params)[0].dtype) == dtype
        same(train(MODEL, again), state)


class Empty(NamedTuple):
    """A state without leaves, as optax has them."""


def test_every_kind_of_leaf_comes_back(tmp_path):
    floats = np.array([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1 / 3])
    payload = np.array([0x7FC00123, 0xFF800001], np.uint32).view(np.float32)
    tree = {
        "a.b": jnp.arange(3),
        "a": {"b": jnp.arange(2), "/": jnp.zeros(1), "..": jnp.ones(1), "": jnp.float32(7)},
        "keys": [jax.random.key(0), jax.random.split(jax.random.key(1, impl="rbg"), (2, 3)), jax.random.PRNGKey(3)],
        "python": [3, 2**70, True, False, 1 / 3, math.nan, -math.inf, "text", "", None],
        "scalars": [np.float32(0.1), np.int64(2**40), np.bool_(True)],
        "numpy": [floats, payload, np.arange(6).reshape(2, 3)[:, ::2], np.asfortranarray(np.ones((2, 3)))],
        "zeros": [
            -np.zeros(4, np.float32),
            np.zeros((0, 3)),
            jnp.zeros((2, 0)),
            jax.random.split(jax.random.key(0))[:0],
        ],
        "empty": [(), {}, Empty(), None],
        "on purpose": jax.device_put(jnp.ones(3), jax.devices()[3]),
        7: (jnp.float32(1),),
    }
    tree = {str(k): v for k, v in tree.items()} | {"types": [
        np.array([0, 1, -1]).astype(t) for t in ("int8", "int16", "int4", "bool", "float16", "bfloat16", "float8_e4m3fn", "complex64", "complex128")
    ]}  # fmt: skip
    Checkpoints(tmp_path).save(0, tree)
    step, found, meta = Checkpoints(tmp_path).restore(emptied(tree))
    same(found, tree)
    assert (step, meta) == (0, {})


def test_trees_without_arrays_and_bare_leaves(tmp_path):
    for step, tree in enumerate([(), {"n": 3}, jnp.arange(3), None, 5]):
        Checkpoints(tmp_path).save(step, tree)
        same(Checkpoints(tmp_path).restore(tree)[1], tree)


def test_what_is_restored_can_be_donated(tmp_path):
    Checkpoints(tmp_path).save(0, {"x": jnp.arange(4.0)})
    _, tree, _ = Checkpoints(tmp_path).restore({"x": jnp.zeros(4)})
    twice = jax.jit(lambda t: jax.tree.map(lambda x: 2 * x, t), donate_argnums=0)(tree)
    assert twice["x"].tolist() == [0, 2, 4, 6]
    assert tree["x"].is_deleted()


def test_another_number_of_devices(tmp_path):
    keys = jax.random.split(jax.random.key(1), 8)
    plain = {"a": np.arange(48, dtype=np.float32).reshape(8, 6), "k": keys, "n": np.arange(8)}

    def on(count):
        if count == 0:
            return {"a": jnp.asarray(plain["a"]), "k": keys, "n": plain["n"]}
        mesh = jax.make_mesh(
            (count,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:count]
        )
        sharding = jax.NamedSharding(mesh, jax.P("data"))
        return {"a": jax.device_put(plain["a"], sharding), "k": jax.device_put(keys, sharding), "n": plain["n"]}

    tree = on(8)
    for step, count in enumerate([1, 8, 4, 0, 8]):
        Checkpoints(tmp_path).save(step, tree)
        tree = Checkpoints(tmp_path).restore(emptied(on(count)))[1]
        same(tree, on(count))


def test_a_template_of_shapes(tmp_path):
    tree = {"a": jnp.arange(3.0), "k": jax.random.split(jax.random.key(0)), "n": 4}
    Checkpoints(tmp_path).save(0, tree)
    same(Checkpoints(tmp_path).restore(jax.eval_shape(lambda: {k: tree[k] for k in "ak"}) | {"n": 0})[1], tree)


@pytest.mark.slow
def test_processes_save_and_restore_together(tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    words = [sys.executable, "-m", "tests.checkpoint.processes", str(tmp_path), str(port)]
    both = [subprocess.Popen([*words, str(i)], env=env, stdout=-1, stderr=-2, text=True) for i in range(2)]
    try:
        texts = [process.communicate(timeout=240)[0] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [text.strip().split("\n")[-1] for text in texts] == ["done", "done"], "\n".join(texts)
    alone = {
        "sharded": jnp.zeros((8, 3)),
        "columns": jnp.zeros((3, 8)),
        "whole": jnp.zeros(3),
        "own": jnp.zeros(2, int),
    }
    rest = {
        "keys": jax.random.split(jax.random.key(0), 8),
        "numpy": np.zeros(2),
        "empty": jnp.zeros((0, 3)),
        "count": 0,
    }
    step, tree, _ = Checkpoints(tmp_path / "run").restore(alone | rest)
    assert step == 2
    assert tree["sharded"].tolist() == (2 * np.arange(24.0).reshape(8, 3)).tolist()
    assert (jax.random.key_data(tree["keys"]) == jax.random.key_data(jax.random.split(jax.random.key(5), 8))).all()


# --- which are kept ---------------------------------------------------------------------------------------------------


def test_the_newest_and_the_best_are_kept(tmp_path):
    losses = [5.0, 2.0, math.nan, 7.0, None, 2.0, -math.inf, 9.0, 8.0, 7.0]
    for best, wanted in ((None, [[8, 9]]), (("lower", "loss"), [[6, 8, 9], 6]), (("higher", "loss"), [[7, 8, 9], 7])):
        checkpoints = Checkpoints(tmp_path / str(best), keep=2, best=best)
        for step, loss in enumerate(losses):
            checkpoints.save(step, {}, {"loss": loss})
            scores = {s: x for s, x in enumerate(losses[: step + 1]) if x is not None and not math.isnan(x)}
            kept = {step, max(step - 1, 0)}
            if best is not None:
                sign = 1 if best[0] == "lower" else -1
                kept.add(min(scores, key=lambda s: (sign * scores[s], s)))
            assert checkpoints.steps() == sorted(kept)
        assert [checkpoints.steps(), checkpoints.best_step()][: len(wanted)] == wanted
        assert checkpoints.latest() == 9


def test_a_step_saved_again_replaces_the_former_one(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for value in range(3):
        checkpoints.save(4, {"n": value}, {"value": value})
        assert checkpoints.restore({"n": 0}) == (4, {"n": value}, {"value": value})
        assert checkpoints.steps() == [4]
        assert len(list(tmp_path.glob("step-*"))) == 1


def test_a_folder_with_later_steps_is_not_written(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, {})
    with pytest.raises(ArgumentError, match=r"step 4 comes before step 5 .* Save into another folder"):
        checkpoints.save(4, {})
    with pytest.raises(ArgumentError, match=r"is one checkpoint; name the folder that holds it"):
        Checkpoints(tmp_path / "step-5").save(6, {})
    assert checkpoints.steps() == [5]


def test_one_writer_at_a_time(tmp_path, monkeypatch):
    from seqjax.checkpoint import _tree as checkpoint_tree

    def inside(*_):
        with pytest.raises(ArgumentError, match="another process is saving there"):
            Checkpoints(tmp_path).save(1, {})

    monkeypatch.setattr(checkpoint_tree, "write", inside)
    Checkpoints(tmp_path).save(0, {})
    monkeypatch.undo()
    Checkpoints(tmp_path).save(1, {})
    assert Checkpoints(tmp_path).steps() == [0, 1]


def test_relative_paths_stay_where_they_were(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints("runs/a")
    monkeypatch.chdir("/")
    checkpoints.save(0, {"n": np.arange(2)})
    assert Checkpoints(tmp_path / "runs" / "a").steps() == [0]


# --- what does not fit ------------------------------------------------------------------------------------------------


def template():
    return {
        "p": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)},
        "key": jax.random.key(0),
        "n": 0,
        "np": np.zeros(2),
    }


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"p": {"kernel": jnp.zeros((2, 3))}}, ArgumentError, r"also has \['p'\]\['bias'\]. Another cell"),
        ({"q": jnp.zeros(2)}, ArgumentError, r"the checkpoint lacks \['q'\]"),
        ({"p": {"kernel": jnp.zeros((2, 3)), "bios": jnp.zeros(3)}}, ArgumentError, r"lacks \['p'\]\['bios'\] and also has \['p'\]\['bias'\]"),
        ({"p": {"kernel": jnp.zeros((2, 4)), "bias": jnp.zeros(3)}}, ArgumentError, r"template\['p'\]\['kernel'\] does not fit .*float32\[2, 3\], the template float32\[2, 4\]"),
        ({"p": {"kernel": jnp.zeros((2, 3), jnp.bfloat16), "bias": jnp.zeros(3)}}, ArgumentTypeError, r"the checkpoint has float32\[2, 3\], the template bfloat16\[2, 3\]"),
        ({"np": np.zeros(2, np.float32)}, ArgumentTypeError, r"float64\[2\], the template float32\[2\].*jax_enable_x64"),
        ({"key": jax.random.key(0, impl="rbg")}, ArgumentTypeError, r"key<fry>\[\], the template key<rbg>\[\]"),
        ({"key": jax.random.PRNGKey(0)}, ArgumentError, r"template\['key'\]"),
        ({"n": jnp.int32(0)}, ArgumentError, r"the checkpoint has a Python int, the template int32\[\]"),
        ({"n": False}, ArgumentTypeError, r"a Python int, the template a Python bool"),
        ({"n": None}, ArgumentError, r"also has \['n'\]"),
        ({"n": object()}, ArgumentTypeError, r"template\['n'\] must be an array"),
    ],
)  # fmt: skip
def test_another_template_is_refused(saved, change, error, message):
    with pytest.raises(error, match=message):
        Checkpoints(saved).restore(template() | change)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    Checkpoints(folder).save(3, template())
    return folder


def test_64_bits_are_not_cut(tmp_path):
    Checkpoints(tmp_path).save(0, np.arange(3.0))
    with pytest.raises(ArgumentTypeError, match="float64, which needs jax_enable_x64"):
        Checkpoints(tmp_path).restore(jax.ShapeDtypeStruct((3,), np.dtype("float64")))


def donated():
    x = jnp.arange(3.0)
    x.delete()
    return x


@pytest.mark.parametrize(
    "tree, error, message",
    [
        ({"a": [1, object()]}, ArgumentTypeError, r"tree\['a'\]\[1\] must be an array, a key, int"),
        ({"a": 1j}, ArgumentTypeError, "found complex"),
        ({"a": np.array(["x"])}, ArgumentTypeError, "dtype <U1"),
        ({"a": np.array([None])}, ArgumentTypeError, "dtype object"),
        ({"a": np.zeros(2, ">f4")}, ArgumentTypeError, "native byte order"),
        ({"a": np.ma.array([1, 2], mask=[True, False])}, ArgumentTypeError, "MaskedArray"),
        ({"a": jax.ShapeDtypeStruct((2,), np.float32)}, ArgumentTypeError, "ShapeDtypeStruct"),
        (donated, ArgumentError, "has been deleted. Donated"),
    ],
)
def test_a_leaf_that_cannot_be_kept_is_refused(tmp_path, tree, error, message):
    with pytest.raises(error, match=message):
        Checkpoints(tmp_path / "x").save(0, tree() if callable(tree) else tree)
    assert not (tmp_path / "x").exists()


def test_not_inside_jit(tmp_path):
    with pytest.raises(ArgumentTypeError, match="is traced. A checkpoint inside jit"):
        jax.jit(lambda x: Checkpoints(tmp_path).save(0, x))(jnp.zeros(3))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda c: c(keep=0), ArgumentError, "keep must be a whole number above 0, found 0"),
        (lambda c: c(keep=True), ArgumentError, "keep"),
        (lambda c: c(best="loss"), ArgumentError, r'best must be None, \("lower", name\)'),
        (lambda c: c(best=("low", "loss")), ArgumentError, "best"),
        (lambda c: c(cell=LSTM), ArgumentTypeError, r"cell: expected a cell.*Write LSTM"),
        (lambda c: Checkpoints(None), ArgumentTypeError, "folder must be a path"),
        (lambda c: Checkpoints(""), ArgumentTypeError, "folder must be a path"),
        (lambda c: c().save(-1, {}), ArgumentError, r"step must be in \[0, 2\*\*31\), found -1"),
        (lambda c: c().save(jnp.int32(1), {}), ArgumentTypeError, r"step must be an int.* Write int\(step\)"),
        (lambda c: c().save(True, {}), ArgumentTypeError, "step"),
        (lambda c: c().restore({}, 1.0), ArgumentTypeError, "step"),
        (lambda c: c().save(0, {}, [1]), ArgumentTypeError, "meta must be a dict, found list"),
        (lambda c: c().save(0, {}, {"a": {"b": (1, 2)}}), ArgumentTypeError, r"meta\['a'\]\['b'\] .*tuple \(1, 2\).*list\(x\)"),
        (lambda c: c().save(0, {}, {"a": [np.float64(1)]}), ArgumentTypeError, r"meta\['a'\]\[0\] .*float64.*Write float\(x\)"),
        (lambda c: c().save(0, {}, {1: 2}), ArgumentTypeError, r"key 1, expected text. Write str\(key\)"),
        (lambda c: c().save(0, {}, {"$float": "x"}), ArgumentError, "Another name"),
        (lambda c: c(best=("lower", "loss")).save(0, {}, {"lost": 1.0}), ArgumentError, "meta must have 'loss', a number"),
        (lambda c: c(best=("lower", "loss")).save(0, {}, {"loss": True}), ArgumentError, "meta must have 'loss', a number"),
    ],
)  # fmt: skip
def test_wrong_calls_are_named(tmp_path, call, error, message):
    with pytest.raises(error, match=message):
        call(lambda **options: Checkpoints(tmp_path / "x", **options))
    assert not (tmp_path / "x").exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda k: k != "$float"), inner),
)


@given(JSON)
def test_json_comes_back_as_it_was(value):
    text = encode("meta", value)
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert repr(decode(text)) == repr(value)


# --- the disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [100, 700, 100_000])
def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path, limit):
    checkpoints = Checkpoints(tmp_path)
    tree = {"x": np.random.default_rng(0).normal(size=100_000)}
    checkpoints.save(1, tree)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        with pytest.raises(DataError, match=r"cannot be written: (?s:.*)File too large(?s:.*)Is there room"):
            checkpoints.save(2, tree)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "step-1"]
    same(checkpoints.restore(emptied(tree))[1], tree)
    checkpoints.save(2, tree)
    assert checkpoints.steps() == [1, 2]


def test_a_disk_that_is_really_full(tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        checkpoints = Checkpoints(tmp_path, keep=9)
        tree = {"x": np.random.default_rng(0).normal(size=30_000)}  # 240 kB
        full = 0
        while not full:
            step = len(checkpoints.steps())
            try:
                checkpoints.save(step, tree)
            except DataError as error:
                full = "No space left on device" in str(error)
                assert full
        assert checkpoints.steps() == list(range(step))
        assert step >= 1
        same(checkpoints.restore(emptied(tree))[1], tree)
        Checkpoints(tmp_path, keep=1).save(step, {"n": 1})
        assert checkpoints.steps() == [step]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize("place", ["/proc/no/such", "file", "file/below"])
def test_a_folder_that_cannot_be_written(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be written: .*Is there room, and may it be written"):
        Checkpoints(tmp_path / place).save(0, {"x": np.zeros(3)})
    with pytest.raises(DataError, match="holds no checkpoint: there is no such folder"):
        Checkpoints(tmp_path / place).restore({})
    assert Checkpoints(tmp_path / place).latest() is None


def test_without_orbax(saved, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint.experimental", None)
    for call in (lambda: Checkpoints(tmp_path).save(0, np.ones(3)), lambda: Checkpoints(saved).restore(template())):
        with pytest.raises(DataError, match=r"not installed: pip install 'seqjax\[train\]'"):
            call()
    assert Checkpoints(tmp_path).latest() is None


def test_what_cannot_be_removed_is_told_and_the_save_stands(tmp_path, monkeypatch, caplog):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(0, {})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoint_files, "remove", refuse)
    checkpoints.save(1, {})
    assert [r.getMessage() for r in caplog.records if r.name == "seqjax"] == [
        f"{tmp_path / 'step-0'} is no longer needed, but cannot be removed: [Errno 13] Permission denied"
    ]
    monkeypatch.undo()
    assert checkpoints.steps() == [0, 1]
    checkpoints.save(2, {})
    assert checkpoints.steps() == [2]


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell, features",
    [
        (stack(Embed(11, 4), Dropout(0.25, per="sequence"), LSTM(3, learned_carry=True), Dense(2)), 0),
        (stack(bidirectional(GRU(3), merge="sum"), bidirectional(LSTM(2)), Dense(4)), 5),
        (Dense(1), 1),
        (Embed(5, 2), 0),
        (Dropout(0.0), 3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_comes_back_without_code(tmp_path, cell, features, dtype):
    params = jax.tree.map(lambda p: p.astype(dtype), cell.init(jax.random.key(0), features))
    save_model(tmp_path / "model", cell, params, {"loss": 0.5})
    for path in ("model", "model/step-0"):
        found, again, meta = load(tmp_path / path)
        assert (found, meta) == (cell, {"loss": 0.5})
        same(again, params)


def test_a_model_is_replaced_whole(tmp_path):
    for features in (2, 3):
        params = LSTM(features).init(jax.random.key(0), 4)
        save_model(tmp_path, LSTM(features), params)
        cell, again, _ = load(tmp_path)
        assert cell == LSTM(features)
        same(again, params)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state": s, "best": s.average},
        lambda s: {"params": s.params, "params_average": s.average},
    ],
)
def test_a_model_from_a_training_run(tmp_path, wrap):
    from tests.checkpoint.training import MODEL, start

    state = start(MODEL, jnp.dtype("bfloat16"))
    Checkpoints(tmp_path, cell=MODEL).save(7, wrap(state), {"position": 3})
    cell, params, meta = load(tmp_path)
    assert (cell, meta) == (MODEL, {"position": 3})
    same(params, state.params)
    assert Checkpoints(tmp_path).restore(wrap(state))[0] == 7
    with pytest.raises(
        ArgumentError, match=r"cell is LSTM\(3\), but .*step-7 was saved with stack\(Embed\(7, 4\), Dropout"
    ):
        Checkpoints(tmp_path, cell=LSTM(3)).restore(wrap(state))
    Checkpoints(tmp_path).save(8, wrap(state))
    with pytest.raises(DataError, match="step-8 was saved without a cell. Pass it"):
        load(tmp_path)
    assert load(tmp_path, MODEL)[0] == MODEL


class MGU(Gated):
    gates = ("f", "n")


def test_a_cell_of_ones_own_is_passed(tmp_path):
    params = MGU(3).init(jax.random.key(0), 2)
    save_model(tmp_path, MGU(3), params)
    with pytest.raises(DataError, match=r"'MGU\(3\)' cannot be made: .*'MGU' is not known.*load\(path, cell=...\)"):
        load(tmp_path)
    cell, again, _ = load(tmp_path, MGU(3))
    assert cell == MGU(3)
    same(again, params)
    with pytest.raises(ArgumentError, match=r"cell is MGU\(4\), but .* was saved with MGU\(3\)"):
        load(tmp_path, MGU(4))
    with pytest.raises(ArgumentTypeError, match="expected a cell"):
        load(tmp_path, MGU)


def test_a_cell_with_a_name_of_ours_is_refused(tmp_path):
    class GRU(Gated):
        gates = ("r", "u", "n")

    with pytest.raises(ArgumentError, match=r"GRU\(3\) is read back as another cell. A class of your own"):
        save_model(tmp_path, GRU(3), GRU(3).init(jax.random.key(0), 2))


@pytest.mark.parametrize(
    "text",
    ["open('{0}', 'w')", "__import__('os').mkdir('{0}')", "{0}.py:LSTM(3)", "LSTM(open('{0}', 'w'))", "(" * 300,
     "LSTM(3).__class__", "LSTM(\0)", "-" * 100_000 + "1", "3", "", "stack()", "LSTM('3')"],
)  # fmt: skip
def test_no_code_is_run(tmp_path, text):
    made = tmp_path / "made"
    made.with_suffix(".py").write_text(f"open({str(made)!r}, 'w')\nfrom seqjax import LSTM\n")
    Checkpoints(tmp_path / "model").save(0, {"params": LSTM(3).init(jax.random.key(0), 2)})
    header = tmp_path / "model" / "step-0" / "checkpoint.json"
    header.write_text(json.dumps(json.loads(header.read_text()) | {"cell": text.format(made)}))
    (header.parent / "manifest.txt").unlink()
    checkpoint_files.seal(header.parent)
    with pytest.raises(DataError, match=r"(?s)the cell .* (cannot be made|would run a file)"):
        load(tmp_path / "model")
    assert not made.exists()


def test_parameters_of_another_cell(tmp_path):
    params = LSTM(3).init(jax.random.key(0), 2)
    with pytest.raises(ArgumentError, match=r"params are not those of LSTM\(4\): \['mix'\]\['kernel'\] is float32\[3, 12\], expected float32\[4, 16\]"):  # fmt: skip
        save_model(tmp_path, LSTM(4), params)
    with pytest.raises(ArgumentError, match=r"params are not those of .*\['0'\].* missing, expected float32"):
        save_model(tmp_path, stack(LSTM(3)), params)
    with pytest.raises(ArgumentTypeError, match=r"Write LSTM\(...\)"):
        save_model(tmp_path, LSTM, params)
    assert not any(tmp_path.iterdir())
    Checkpoints(tmp_path, cell=LSTM(4)).save(0, {"params": params})
    with pytest.raises(DataError, match=r"step-0: params are not those of LSTM\(4\)"):
        load(tmp_path)


def test_nothing_to_load(tmp_path, caplog):
    (tmp_path / "weights.npz").write_bytes(b"x")
    with pytest.raises(DataError, match="holds no checkpoint. Found: weights.npz"):
        load(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        load(tmp_path / "no")
    with pytest.raises(DataError, match="no checkpoint of step 3. Found: weights.npz"):
        Checkpoints(tmp_path).restore({}, step=3)
    assert not caplog.get_records("call") or all(r.levelno < logging.WARNING for r in caplog.get_records("call"))
