"""What is saved beside the parameters comes back as equal values, and never leads out of the folder."""

import json
import math
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")

from seqjax import ArgumentError, ArgumentTypeError, DataError, Embed
from seqjax.batching import Scaler
from seqjax.checkpoint import Checkpoints, _folders, load, save_model
from seqjax.text import Vocabulary, train_bpe
from tests.test_style import ROOT

CELL = Embed(5, 2)
PARAMS = CELL.init(jax.random.key(0), 0)


def save(folder, assets):
    save_model(folder, CELL, PARAMS, assets=assets)
    return load(folder).assets


def test_assets_come_back_equal(tmp_path):
    assets = {
        "words": Vocabulary.words("a b ü \ud7ff", specials=("<pad>", "<unk>")),
        "bytes": Vocabulary.bytes(),
        "scaler": Scaler.fit(np.random.default_rng(0).normal(size=(7, 3)) / 3),
        "labels": ["cat", "dog", {"n": [1, True, None, 0.1, -math.inf]}],
        "rate": 8000,
    }
    found = save(tmp_path, assets)
    assert found == assets
    assert list(map(type, found.values())) == list(map(type, assets.values()))
    assert found["words"].encode("ü nothing").tolist() == assets["words"].encode("ü nothing").tolist()
    x = np.ones((2, 3))
    np.testing.assert_array_equal(found["scaler"](x), assets["scaler"](x))
    assert Vocabulary.load(tmp_path / "step-0" / "assets" / "words.json") == assets["words"]  # read without seqjax too


def test_a_tokenizer_comes_back_equal(tmp_path):
    pytest.importorskip("tokenizers", reason="tokenizers is not installed (extra text)")
    tokenizer = train_bpe("low lower lowest " * 5, 270)
    found = save(tmp_path, {"tokenizer": tokenizer})["tokenizer"]
    assert found == tokenizer
    assert found.encode("lowest slow").tolist() == tokenizer.encode("lowest slow").tolist()


def test_assets_of_a_training_are_in_every_checkpoint(tmp_path):
    vocabulary = Vocabulary.characters("abc")
    checkpoints = Checkpoints(tmp_path, cell=CELL, assets={"vocabulary": vocabulary})
    for step in (1, 2):
        checkpoints.save(step, {"params": PARAMS})
        assert load(tmp_path / f"step-{step}").assets == {"vocabulary": vocabulary}


@pytest.mark.parametrize(
    "assets, error, message",
    [
        ({"../../outside": 1}, ArgumentError, r"the name '../../outside' must be of letters, digits, _ and -"),
        ({"/etc/x": 1}, ArgumentError, "names a file"),
        ({"": 1}, ArgumentError, "names a file"),
        ({"..": 1}, ArgumentError, "names a file"),
        ({"a\n": 1}, ArgumentError, "names a file"),
        ({3: 1}, ArgumentError, "names a file"),
        ([1], ArgumentTypeError, "assets must be a dict of name to value, found list"),
        ({"labels": ["a", (1, 2)]}, ArgumentTypeError, r"assets\['labels'\]\[1\] .*found tuple.* Vocabulary, Tokenizer, Scaler"),
        ({"mean": np.float32(1)}, ArgumentTypeError, r"assets\['mean'\] .*float32.*Write float\(x\)"),
        ({"model": CELL}, ArgumentTypeError, r"assets\['model'\] .*Embed"),
    ],
)  # fmt: skip
def test_assets_that_cannot_be_saved_are_refused_before_training(tmp_path, assets, error, message):
    with pytest.raises(error, match=message):
        Checkpoints(tmp_path / "x", assets=assets)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{"../../../secret": "JSON"}, {"labels": "Popen"}, {"labels": "Scaler"}])
def test_a_changed_list_of_assets_reads_nothing_else(tmp_path, change):
    (tmp_path / "secret.json").write_text("1")
    save(tmp_path / "model", {"labels": ["a"]})
    header = tmp_path / "model" / "step-0" / "checkpoint.json"
    header.write_text(json.dumps(json.loads(header.read_text()) | {"assets": change}))
    (header.parent / "manifest.txt").unlink()
    _folders.write_manifest(header.parent)
    with pytest.raises(DataError, match="is not known|holds no Scaler"):
        load(tmp_path / "model")
    if any("/" in name for name in change):
        with pytest.raises(DataError, match="is not known"):
            Checkpoints(tmp_path / "model", cell=CELL).save(1, {"params": PARAMS})


def test_a_damaged_asset_is_noticed(tmp_path):
    save(tmp_path, {"labels": ["a"]})
    (tmp_path / "step-0" / "assets" / "labels.json").write_text('["b"]\n')
    with pytest.raises(DataError, match=r"assets/labels.json is damaged"):
        load(tmp_path)


@pytest.mark.parametrize("other", [{"vocabulary": Vocabulary.characters("abd")}, {"vocabulary": ["a"]}, {}])
def test_a_folder_used_again_replaced_the_vocabulary_in_silence(tmp_path, other):
    assets = {"vocabulary": Vocabulary.characters("abc")}
    Checkpoints(tmp_path, assets=assets).save(1, {"params": PARAMS})
    with pytest.raises(ArgumentError, match=r"assets\['vocabulary'\] is (another|missing).*Take another folder"):
        Checkpoints(tmp_path, assets=other).restore({"params": PARAMS})
    more = Checkpoints(tmp_path, cell=CELL, assets=assets | {"rate": 8000})
    more.save(more.restore({"params": PARAMS})[0] + 1, {"params": PARAMS})
    assert load(tmp_path).assets == assets | {"rate": 8000}


def test_going_on_without_assets_lost_those_that_were_saved(tmp_path):
    assets = {"vocabulary": Vocabulary.characters("äbc"), "rate": 8000}
    Checkpoints(tmp_path, cell=CELL, assets=assets).save(1, {"params": PARAMS})
    for step in (1, 2, 3):
        Checkpoints(tmp_path, cell=CELL, keep=1).save(step, {"params": PARAMS})
    assert load(tmp_path).assets == assets


def test_a_damaged_asset_is_not_carried_over(tmp_path):
    for step, label in enumerate("ab"):
        Checkpoints(tmp_path, cell=CELL, assets={"label": label}).save(step, {"params": PARAMS})
    (tmp_path / "step-1" / "assets" / "label.json").write_text('"c"\n')
    Checkpoints(tmp_path, cell=CELL).save(2, {"params": PARAMS})
    assert load(tmp_path).assets == {"label": "a"}


def test_a_model_that_is_replaced_leaves_no_assets(tmp_path):
    assert save(tmp_path, {"rate": 8000}) == {"rate": 8000}
    assert save(tmp_path, None) == {}


def test_a_model_saved_among_checkpoints_was_taken_for_an_older_step(tmp_path):
    Checkpoints(tmp_path, cell=CELL).save(15, {"params": PARAMS})
    with pytest.raises(ArgumentError, match="holds checkpoints of a training. Choose another folder"):
        save_model(tmp_path, CELL, PARAMS)


def test_assets_were_written_in_the_encoding_of_the_machine(tmp_path):
    """As where the locale is not UTF-8: Python warns of files opened without an encoding, and warnings are errors."""
    code = (
        "import jax; from seqjax import Embed; from seqjax.checkpoint import load, save_model; cell = Embed(5, 2); "
        "save_model('m', cell, cell.init(jax.random.key(0), 0), assets={'a': 'ä'}); assert load('m').assets['a'] == 'ä'"
    )
    options = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning:seqjax.checkpoint._assets"]
    subprocess.run(
        [sys.executable, *options, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True
    )
