"""Commands on runs: list, show, resume, compare, collect."""

import json
import signal
import time

import pytest

import seqjax as sj
from experiments import adding
from experiments.__main__ import main
from experiments.collect import collect, options
from experiments.harness import records
from experiments.harness.run import Run
from seqjax import train
from tests.experiments.makers import TINY, Options, runs_in, script

LONGER = {"cell": "GRU(3)", "length": 40, "steps": 1500, "batch_size": 4, "every": 20, "evaluation": 10}


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    """The record of a training that nothing stopped."""
    folder = tmp_path_factory.mktemp("left_alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        adding.main(adding.Config(**(LONGER | {"cell": (LONGER["cell"],)})))
    (record,) = runs_in(folder)
    return record


@pytest.mark.slow  # tests/train/test_resume.py and test_run.py try it without processes
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL], ids=lambda sign: sign.name)
def test_a_stopped_training_ends_as_one_that_was_not(here, left_alone, sign):
    """`resume` after a signal gives the rows of a run that was left alone."""
    pytest.importorskip("tyro", reason="tyro is not installed (extra: experiments)")
    words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in LONGER.items())
    process = script(here, "experiments.adding", *words.split())
    deadline = time.monotonic() + 120
    while not any(train.Checkpoints(path).latest() for path in here.glob("runs/adding/*/units/*/checkpoints")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(sign)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    (record,) = runs_in(here)
    assert record.status == ("stopped" if sign == signal.SIGTERM else "killed"), said
    main(["resume", record.name])
    (record,) = runs_in(here)
    assert record.status == "done"
    other = left_alone
    assert record.config == other.config
    first, second = ({k: v for k, v in r.rows[0].items() if k != "seconds"} for r in (record, other))
    assert first == second
    logs = [
        [{k: v for k, v in row.items() if k != "time"} for row in r.curves("GRU(3) length 40")] for r in (record, other)
    ]
    assert len(logs[0]) == 150
    assert logs[0] == logs[1]


def test_a_training_killed_before_it_was_recorded_gives_the_same_row(here):
    """With a last window that is not full."""
    summary = adding.main(adding.Config(**(TINY | {"steps": 5})))
    (record,) = runs_in(here)
    (record.folder / "metrics.jsonl").unlink()
    (record.folder / "STATUS").write_text("running\n")
    again = adding.main(adding.Config(**(TINY | {"steps": 5})))
    first, second = ({k: v for k, v in s["rows"][0].items() if k != "seconds"} for s in (summary, again))
    assert first == second


def test_commands(here, capsys):
    for seed in (0, 1):
        adding.main(adding.Config(**TINY, seed=seed))
    capsys.readouterr()
    main(["list"])
    said = capsys.readouterr().out
    assert "Which cells carry two numbers" in said
    assert said.count("done") == 2
    name = runs_in(here)[0].name
    main(["show", name])
    said = capsys.readouterr().out
    assert "GRU(3)" in said
    assert "mse.png" in said
    main(["compare", "adding"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("length  cell")
    assert said[2].split()[:3] == ["6", "GRU(3)", "2"]
    assert "±" in said[2]
    assert "0 of 2" in said[2]
    (picture,) = here.glob("runs/adding/comparison-*.png")
    assert picture.stat().st_size > 5000
    lines = collect("adding", results=here).read_text().splitlines()
    assert lines[0].startswith("run,options,seed,length,cell,mse,")
    changed = "--steps 4 --batch_size 4 --every 2 --evaluation 10 --cell GRU(3) --length 6"
    assert [line.split(",")[1:3] for line in lines[1:]] == [[changed, "0"], [changed, "1"]]
    with pytest.raises(sj.ArgumentError, match="no finished run of 'gradient_norms'"):
        collect("gradient_norms", results=here)
    main(["compare", *(str(record.folder) for record in runs_in(here))])
    adding.main(adding.Config(**(TINY | {"batch_size": 3})))
    capsys.readouterr()
    main(["compare", "adding"])
    said = capsys.readouterr().out
    assert said.startswith("batch_size  length  cell")
    # a measured column that repeats an option is left out, and a seed counts once
    adding.main(adding.Config(**(TINY | {"steps": 2})))
    Run("adding", adding.Config(seed=9))._lock.close()
    capsys.readouterr()
    main(["compare", "adding"])
    said = capsys.readouterr().out
    assert said.startswith("steps  batch_size  length  cell")
    assert "found_" not in said
    assert "left out: adding/" in said


def finish(run):
    rows = run.work({"a": lambda folder: [{"cell": "a", "mse": 1.0}]})
    run.finish({"by": ["cell"], "measure": "mse", "trend": None, "rows": rows})


@pytest.mark.parametrize(
    "words, message",
    [
        (["show", "adding"], "names 2 runs"),
        (["show", "nothing"], "no run is called 'nothing'"),
        (["compare", "adding", "other"], "runs of one experiment"),
        (["resume", "other"], "another version of the experiment, without or with batch_size"),
        (["resume", "third"], "another version of seqjax, or edited"),
        (["resume", "fourth"], "there is no experiment 'fourth' any more"),
    ],
    ids=str,
)
def test_wrong_commands(here, words, message):
    for seed in (0, 1):
        finish(Run("adding", adding.Config(seed=seed)))
    for name, config in (("other", Options()), ("third", adding.Config()), ("fourth", Options())):
        finish(Run(name, config))
    if words[0] == "resume" and words[1] != "fourth":
        path = next(here.glob(f"runs/{words[1]}/*/config.json"))
        path.write_text(json.dumps(json.loads(path.read_text()) | {"experiment": "adding"}))
    with pytest.raises(sj.ArgumentError, match=message):
        main(words)


DAMAGE = {"environment.json": (b"{", b"3\n", b"{}\n", b"\xff\xfe\n"), "summary.json": (b"{", b"3\n", b"\xff\n")}


@pytest.mark.parametrize("name, content", [(name, content) for name in DAMAGE for content in DAMAGE[name]], ids=str)
def test_a_damaged_run_is_named_and_hinders_no_other(here, capsys, name, content):
    run, good = Run("x", Options()), Run("y", Options(seed=1))
    run.work({"a": lambda folder: [{"value": 1}]})
    for each in (run, good):
        each.finish({"by": [], "rows": []})
    (run.folder / name).write_bytes(content)
    with pytest.raises(sj.DataError, match=name.replace(".", "[.]")):
        records.read(run.folder)
    main(["list"])
    main(["show", "y"])
    said = capsys.readouterr().out
    assert name in said
    assert "y/" in said
    with pytest.raises(sj.DataError, match=rf"the run 'x' is damaged: .*{name}"):
        main(["show", "x"])


@pytest.mark.parametrize("content", ["{", "{}\n"])
def test_a_damaged_summary_is_rebuilt_by_resume(here, content):
    """The run was said not to exist; with `{}` it was called done."""
    wanted = adding.main(adding.Config(**TINY))
    (record,) = runs_in(here)
    path = record.folder / "summary.json"
    path.write_text(content)
    if content == "{":
        with pytest.raises(sj.DataError, match=r"is damaged: .*summary.json.*Delete this file, and `resume`"):
            main(["resume", record.name])
        path.unlink()
    assert records.read(record.folder).status == "incomplete"
    main(["resume", record.name])
    (record,) = runs_in(here)
    assert record.status == "done" and record.summary["rows"] == wanted["rows"]


def test_an_option_that_a_run_did_not_know_has_its_default():
    assert options({"experiment": "polyphonic_music", "batch_size": 16, "seed": 3, "cell": ["RNN(100)"]}) == (
        "--cell RNN(100) --batch_size 16"
    )
