"""Folders of weights: what is written is read, and everything wrong with one is named."""

import hashlib
import json
import os
import pickle
import sys

import ml_dtypes
import numpy as np
import pytest

from seqjax.errors import ArgumentError, ArgumentTypeError, DataError
from seqjax.interop.weights.folder import CHECKSUMS, CONFIG, INDEX, TENSORS, read_folder, write_folder

numpy_files = pytest.importorskip("safetensors.numpy", reason="safetensors, of seqjax[huggingface], is not installed")
GOOD = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.float16)}


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "model", {"model_type": "gpt2"}, GOOD)
    return tmp_path / "model"


@pytest.fixture
def shards(tmp_path):
    """A folder of two files and an index, as save_pretrained writes large models."""
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / CONFIG).write_text("{}")
    names = {name: f"model-{i}-of-2.safetensors" for i, name in enumerate(GOOD, 1)}
    for name, file in names.items():
        numpy_files.save_file({name: GOOD[name]}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return folder


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def same(tensors, wanted):
    assert tensors.keys() == wanted.keys()
    for name, array in wanted.items():
        assert tensors[name].dtype == array.dtype and tensors[name].tobytes() == array.tobytes(), name
        assert tensors[name].shape == array.shape


def test_there_and_back(tmp_path):
    tensors = GOOD | {
        "c": GOOD["a"].T,
        "d": GOOD["a"].astype(ml_dtypes.bfloat16),
        "e": np.float64([np.nan, -0.0, 1e300]),
    }
    config = {"model_type": "t5", "rate": 0.1, "none": None, "list": [1, 2]}
    write_folder(tmp_path / "deep" / "model", config, tensors)
    found, read = read_folder(tmp_path / "deep" / "model")
    assert found == config
    same(read, tensors)
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["model"]
    assert sorted(path.name for path in (tmp_path / "deep" / "model").iterdir()) == [CHECKSUMS, CONFIG, TENSORS]


def test_checksums_are_those_of_sha256sum(folder):
    lines = (folder / CHECKSUMS).read_text().splitlines()
    assert lines == [f"{digest(folder / name)}  {name}" for name in (CONFIG, TENSORS)]


def test_files_of_an_index_are_joined(shards):
    same(read_folder(shards)[1], GOOD)
    digests = {path.name: digest(path) for path in shards.glob("*.safetensors")}
    same(read_folder(shards, digests)[1], GOOD)
    name = min(digests)
    with pytest.raises(DataError, match=f"{name} has the sha256 {digests[name]}, expected 0000"):
        read_folder(shards, digests | {name: "0" * 64})
    with pytest.raises(ArgumentError, match="one digest for 2 files"):
        read_folder(shards, digests[name])
    with pytest.raises(ArgumentError, match=r"no digest of \['model-2"):
        read_folder(shards, {name: digests[name]})


def test_a_file_may_be_a_link_as_in_a_cache(folder, tmp_path):
    (folder / TENSORS).rename(tmp_path / "blob")
    (folder / TENSORS).symlink_to(tmp_path / "blob")
    same(read_folder(folder)[1], GOOD)


def test_digests(folder):
    good = digest(folder / TENSORS)
    for sha256 in (good, good.upper(), {TENSORS: good}, {TENSORS: good, CONFIG: digest(folder / CONFIG)}):
        same(read_folder(folder, sha256)[1], GOOD)
    wrong = {
        "0" * 64: (DataError, "has the sha256 .* expected 0000"),
        good[:-1]: (ArgumentError, "64 hexadecimal digits"),
        5: (ArgumentTypeError, "sha256 must be a digest"),
    }
    for sha256, (error, message) in wrong.items():
        with pytest.raises(error, match=message):
            read_folder(folder, sha256)
    with pytest.raises(ArgumentError, match="names .*'other.safetensors'.* not read"):
        read_folder(folder, {TENSORS: good, "other.safetensors": good})


def cut(path, bytes_left):
    path.write_bytes(path.read_bytes()[:bytes_left])


def remove_checksums(folder):
    (folder / CHECKSUMS).unlink()


DAMAGES = {
    "no config": (lambda f: (f / CONFIG).unlink(), "config.json cannot be read"),
    "no JSON": (lambda f: (f / CONFIG).write_text("{'a'"), "config.json is damaged: it is no JSON"),
    "no UTF-8": (lambda f: (f / CONFIG).write_bytes(b"\xff\xfe\xfa"), "config.json is damaged"),
    "deep": (lambda f: (f / CONFIG).write_text("[" * 100_000), "config.json is damaged: it is no JSON"),
    "a list": (lambda f: (f / CONFIG).write_text("[]"), "must hold a JSON object, found list"),
    "no tensors": (lambda f: (f / TENSORS).unlink(), "neither model.safetensors nor"),
    "cut off": (lambda f: (remove_checksums(f), cut(f / TENSORS, -1)), "damaged, cut off, or no safetensors file"),
    "cut in the header": (lambda f: (remove_checksums(f), cut(f / TENSORS, 5)), "damaged, cut off, or no safetensors"),
    "another format": (
        lambda f: (remove_checksums(f), (f / TENSORS).write_bytes(pickle.dumps(3))),
        "no safetensors file",
    ),
    "a folder": (lambda f: (remove_checksums(f), (f / TENSORS).unlink(), (f / TENSORS).mkdir()), "damaged"),
    "a changed bit": (lambda f: (f / TENSORS).write_bytes((f / TENSORS).read_bytes()[:-1] + b"x"), "has the sha256"),
    "a changed config": (lambda f: (f / CONFIG).write_text('{"model_type": "t5"}'), "config.json has the sha256"),
    "damaged checksums": (lambda f: (f / CHECKSUMS).write_text("abc"), "SHA256SUMS is damaged"),
    "checksums outside": (lambda f: (f / CHECKSUMS).write_text(f"{'0' * 64}  ../x\n"), "SHA256SUMS is damaged"),
    "checksums of a lost file": (
        lambda f: (f / CHECKSUMS).write_text(f"{'0' * 64}  x\n"),
        "of which a digest is known",
    ),
}


def test_numbers_that_numpy_has_not(folder):
    remove_checksums(folder)
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    (folder / TENSORS).write_bytes(len(header).to_bytes(8, "little") + header + b"ab")
    with pytest.raises(DataError, match="numbers of a kind that NumPy has not"):
        read_folder(folder)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(folder, name):
    damage, message = DAMAGES[name]
    damage(folder)
    with pytest.raises(DataError, match=message):
        read_folder(folder)


def test_pickles_are_never_read(folder, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "harm"),))

    (folder / TENSORS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(DataError, match="found only pytorch_model.bin, which are pickles"):
        read_folder(folder)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "file",
    ["../model/model.safetensors", "/etc/passwd", "a/b.safetensors", "..", "a\\b.safetensors", "x.bin", 3, None, ""],
)
def test_an_index_cannot_lead_out_of_the_folder(shards, file):
    (shards / INDEX).write_text(json.dumps({"weight_map": {"a": file}}))
    with pytest.raises(DataError, match="expected a plain name"):
        read_folder(shards)


def test_an_index_that_does_not_fit(shards):
    (shards / INDEX).write_text(
        json.dumps({"weight_map": {"a": "model-1-of-2.safetensors", "x": "model-1-of-2.safetensors"}})
    )
    with pytest.raises(DataError, match=r"model-1-of-2.safetensors lacks tensors .*: x"):
        read_folder(shards)
    (shards / INDEX).write_text(json.dumps({"weight_map": {"a": "model-9-of-2.safetensors"}}))
    with pytest.raises(DataError, match="model-9-of-2.safetensors is damaged, cut off, or"):
        read_folder(shards)
    (shards / INDEX).write_text("{}")
    with pytest.raises(DataError, match="weight_map must name"):
        read_folder(shards)


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    def fail(*args, **options):
        (tmp_path / "seen").write_text(str(args[1]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numpy_files, "save_file", fail)
    with pytest.raises(DataError, match="model cannot be written: No space left"):
        write_folder(tmp_path / "model", {}, GOOD)
    assert "part" in (tmp_path / "seen").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["seen"]


def test_what_is_there_is_not_overwritten(folder):
    before = digest(folder / TENSORS)
    with pytest.raises(DataError, match="is there already"):
        write_folder(folder, {}, {"a": np.zeros(2, np.float32)})
    assert digest(folder / TENSORS) == before
    with pytest.raises(DataError, match="is no folder"):
        read_folder(folder / CONFIG)


def test_without_the_package(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(DataError, match="pip install 'seqjax\\[huggingface\\]'"):
        read_folder(folder)
