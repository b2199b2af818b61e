"""The record of a training."""

import json
import os

import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")


from seqjax.errors import ArgumentError, ArgumentTypeError, DataError
from seqjax.train import Log, read_rows
from seqjax.train._writer import Writer
from tests.train.problems import ADAM, PARAMS, Memory, loss, source, train


def test_a_log_is_cut_back_to_where_the_run_goes_on(tmp_path):
    log = Writer(Log(tmp_path), 0, True, False)
    for step in (2, 4, 6):
        log.write({"step": step, "loss": float("nan"), "norm": float("inf"), "low": -float("inf")})
    log.close()
    path = tmp_path / "metrics.jsonl"
    strict = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
    assert strict[0] == {"step": 2, "loss": None, "norm": None, "low": None}
    assert np.isnan([read_rows(path)[0][name] for name in ("loss", "norm", "low")]).all()
    with path.open("a") as file:
        file.write('{"step": 8, "lo')  # killed
    assert [row["step"] for row in read_rows(path)] == [2, 4, 6]
    with pytest.raises(ArgumentError, match="holds an earlier run"):
        Writer(Log(tmp_path), 0, True, False)
    again = Writer(Log(tmp_path), 5, True, True)
    assert [row["step"] for row in again.rows] == [2, 4]
    again.write({"step": 6, "loss": 1.0})
    assert [row["step"] for row in read_rows(path)] == [2, 4, 6]  # before it is closed
    again.close()
    assert os.listdir(tmp_path) == ["metrics.jsonl"]


def test_a_fresh_folder_of_checkpoints_deleted_the_log_of_another_run(tmp_path, caplog):
    """Or of one that was killed before its first checkpoint; nothing is deleted however often that happens."""
    options = dict(steps=4, every=2, log=tmp_path)
    first = train(loss, PARAMS, ADAM, source(), **options)
    with Log(tmp_path).path.open("a") as file:
        file.write('{"step": 6, "lo')  # killed
    for turn in range(2):
        checkpoints = Memory()
        with caplog.at_level("WARNING", logger="seqjax"):
            fresh = train(loss, PARAMS, ADAM, source(), checkpoints=checkpoints, **options)
        assert "metrics.jsonl held rows, though there is no checkpoint to go on from" in caplog.text
        assert read_rows(Log(tmp_path).path) == fresh.history and len(fresh.history) == 2
        old = read_rows(tmp_path / "metrics.jsonl.old")  # all but the unfinished line
        assert old[:2] == first.history and len(old) == 2 + 2 * turn
    caplog.clear()
    again = train(loss, PARAMS, ADAM, source(), checkpoints=checkpoints, **options)
    assert again.history == fresh.history and not caplog.records  # it goes on, so the rows stay


def test_an_unwritable_log(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        train(loss, PARAMS, ADAM, source(), steps=2, log=tmp_path / "file")


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    train(loss, PARAMS, ADAM, source(), steps=4, every=2, log=Log(tmp_path, tensorboard=True))
    (events,) = tmp_path.glob("events.*")
    content = events.read_bytes()
    assert b"loss" in content and b"norm" in content and b"time" not in content


def test_a_damaged_first_line_discarded_the_rows_after_it(tmp_path, caplog):
    path = Log(tmp_path).path
    rows = [
        b'{"step": 2, "lo\x00\xff',
        b'{"step": 4, "loss": 1.0}',
        b"[4]",
        b'{"loss": 1.0}',
        b'{"step": 6, "loss": null}',
    ]
    path.write_bytes(b"\n".join(rows) + b"\n")
    with caplog.at_level("WARNING", logger="seqjax"):
        found = read_rows(path)
    assert [row["step"] for row in found] == [4, 6] and np.isnan(found[1]["loss"])
    assert f"{path}: 3 damaged lines left out" in caplog.text


@pytest.mark.parametrize("log", [3, ""])
def test_a_log_that_cannot_be_right(log):
    with pytest.raises(ArgumentTypeError, match="log must be a folder"):
        Log(log)
