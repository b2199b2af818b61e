"""Models with their cells, parameters and assets, without code."""

import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
pytest.importorskip("optax", reason="optax is not installed (extra train)")

from seqjax import (
    GRU,
    LSTM,
    RNN,
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
from seqjax.checkpoint import Checkpoints, _folders, load, save_model
from seqjax.initializers import orthogonal
from tests.checkpoint.trees import assert_same_bits


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
    save_model(tmp_path / "model", cell, params, in_features=features, meta={"loss": 0.5})
    for path in ("model", "model/step-0"):
        model = load(tmp_path / path)
        assert (model.cell, model.in_features, model.assets, model.meta) == (cell, features, {}, {"loss": 0.5})
        assert_same_bits(model.params, params)


class Window(LSTM):
    """A cell with numbers in a tuple."""

    sizes: tuple = ()


def test_numpy_scalars_in_cells_broke_load(tmp_path):
    for cell, plain in (
        (LSTM(np.int64(3), learned_carry=np.bool_(True)), LSTM(3, learned_carry=True)),
        (Dropout(np.float32(0.25), per=np.str_("sequence")), Dropout(0.25, per="sequence")),
        (stack(GRU(np.uint8(3)), Dense(np.int16(2))), stack(GRU(3), Dense(2))),
        (Window(2, sizes=(np.int64(1), (np.float64(0.5),))), Window(2, sizes=(1, (0.5,)))),
    ):
        assert cell == plain and hash(cell) == hash(plain) and repr(cell) == repr(plain)
        save_model(tmp_path, cell, cell.init(jax.random.key(0), 2), in_features=np.int64(2))
        assert load(tmp_path, cell if isinstance(cell, Window) else None).cell == plain


def test_an_option_equal_to_its_default_but_of_another_type_was_left_out_of_the_text(tmp_path):
    cell = RNN(3, recurrent_init=orthogonal(scale=1), learned_carry=0)
    assert repr(cell) == "RNN(3, recurrent_init=orthogonal(scale=1), learned_carry=0)"
    save_model(tmp_path, cell, cell.init(jax.random.key(0), 2), in_features=2)
    assert load(tmp_path).cell == cell


def test_a_model_is_replaced_whole(tmp_path):
    for features in (2, 3):
        params = LSTM(features).init(jax.random.key(0), 4)
        save_model(tmp_path, LSTM(features), params, in_features=4)
        model = load(tmp_path)
        assert model.cell == LSTM(features)
        assert_same_bits(model.params, params)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state": s, "best": 0.5},
        lambda s: {"params": s.params, "params_average": s.average},
    ],
)
def test_a_model_from_a_training_run(tmp_path, wrap):
    from tests.checkpoint.training import MODEL, start

    state = start(MODEL, jnp.dtype("bfloat16"))
    Checkpoints(tmp_path, cell=MODEL).save(7, wrap(state), {"position": 3})
    model = load(tmp_path)
    assert (model.cell, model.meta) == (MODEL, {"position": 3})
    assert_same_bits(model.params, state.params)
    assert Checkpoints(tmp_path).restore(wrap(state))[0] == 7
    with pytest.raises(
        ArgumentError, match=r"cell is LSTM\(3\), but .*step-7 was saved with stack\(Embed\(7, 4\), Dropout"
    ):
        Checkpoints(tmp_path, cell=LSTM(3), in_features=1).restore(wrap(state))
    Checkpoints(tmp_path).save(8, wrap(state))
    with pytest.raises(DataError, match="step-8 was saved without a cell. Pass it"):
        load(tmp_path)
    assert load(tmp_path, MODEL)[0] == MODEL


class MGU(Gated):
    gates = ("f", "n")


def test_a_cell_of_ones_own_is_passed(tmp_path):
    params = MGU(3).init(jax.random.key(0), 2)
    save_model(tmp_path, MGU(3), params, in_features=2)
    with pytest.raises(DataError, match=r"'MGU\(3\)' cannot be made: .*'MGU' is not known.*load\(path, cell=...\)"):
        load(tmp_path)
    model = load(tmp_path, MGU(3))
    assert model.cell == MGU(3)
    assert_same_bits(model.params, params)
    with pytest.raises(ArgumentError, match=r"cell is MGU\(4\), but .* was saved with MGU\(3\)"):
        load(tmp_path, MGU(4))
    with pytest.raises(ArgumentTypeError, match="expected a cell"):
        load(tmp_path, MGU)


def test_a_cell_with_a_name_of_ours_is_refused(tmp_path):
    class GRU(Gated):
        gates = ("r", "u", "n")

    with pytest.raises(ArgumentError, match=r"GRU\(3\) is read back as another cell. A class of your own"):
        save_model(tmp_path, GRU(3), GRU(3).init(jax.random.key(0), 2), in_features=2)


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
    _folders.write_manifest(header.parent)
    with pytest.raises(DataError, match=r"(?s)the cell .* (cannot be made|would run a file)"):
        load(tmp_path / "model")
    assert not made.exists()


def test_parameters_of_another_cell(tmp_path):
    params = LSTM(3).init(jax.random.key(0), 2)
    with pytest.raises(ArgumentError, match=r"params are not those of LSTM\(4\) with in_features=2: \['mix'\]\['kernel'\] is float32\[3, 12\], expected float32\[4, 16\]"):  # fmt: skip
        save_model(tmp_path, LSTM(4), params, in_features=2)
    with pytest.raises(ArgumentError, match=r"params are not those of .*\['0'\].* missing, expected float32"):
        save_model(tmp_path, stack(LSTM(3)), params, in_features=2)
    with pytest.raises(ArgumentTypeError, match=r"Write LSTM\(...\)"):
        save_model(tmp_path, LSTM, params)
    with pytest.raises(
        ArgumentError, match=r"the last params are not those of .*.* is missing.*A tree without 'params'"
    ):
        Checkpoints(tmp_path, cell=LSTM(4), in_features=2).save(0, {"weights": params})
    assert not any(tmp_path.iterdir())
    Checkpoints(tmp_path, in_features=2).save(0, {"params": params})
    with pytest.raises(DataError, match=r"step-0: params are not those of LSTM\(4\)"):
        load(tmp_path, LSTM(4))


def test_in_features_are_saved_and_checked_before_training(tmp_path):
    with pytest.raises(ArgumentError, match=r"in_features=0: LSTM\(3\) cannot be made for it: .* Pass in_features="):
        Checkpoints(tmp_path, cell=LSTM(3))
    params = LSTM(3).init(jax.random.key(0), 2)
    with pytest.raises(ArgumentError, match=r"in_features=5: \['project'\]\['kernel'\] is float32\[2, 12\], expected float32\[5, 12\].*\(in_features=\)"):  # fmt: skip
        save_model(tmp_path, LSTM(3), params, in_features=5)
    assert not any(tmp_path.iterdir())
    square = Dense(3).init(jax.random.key(0), 3)  # every number of features that it might be is 3: nothing to guess
    save_model(tmp_path, Dense(3), square, in_features=3)
    assert load(tmp_path).in_features == 3


def test_nothing_to_load(tmp_path, caplog):
    (tmp_path / "weights.npz").write_bytes(b"x")
    with pytest.raises(DataError, match="holds no checkpoint. Found: weights.npz"):
        load(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        load(tmp_path / "no")
    with pytest.raises(DataError, match="no checkpoint of step 3. Found: weights.npz"):
        Checkpoints(tmp_path).restore({}, step=3)
    assert not caplog.get_records("call") or all(r.levelno < logging.WARNING for r in caplog.get_records("call"))
