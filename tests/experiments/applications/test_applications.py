"""Each application at two steps: trained, saved, and applied to something new."""

import importlib

import numpy as np
import pytest

import seqjax as sj
from experiments.__main__ import main as commands
from experiments.applications import apply, pictures
from experiments.applications.training import most_frequent
from experiments.harness.modules import list_experiments
from seqjax import Ragged, datasets, text
from seqjax.datasets import Split
from tests.experiments.makers import RNG, runs_in, sentences
from tests.test_style import ROOT

TINY = {"batch_size": 4, "epochs": 1}
TRIED = {
    "digits": {"network": ("perceptron",), "width": 8},
    "sentiment": {"cell": ("GRU(2)",), "words": 6, "embedding": 2},
    "tagging": {"cell": ("bidirectional(LSTM(2))",), "embedding": 2},
    "shakespeare": {"cell": ("GRU(2)",), "words": 14, "common": 4, "embedding": 2},
    "captions": {"features": 4},
    "translate": {"vocabulary": 270, "width": 4, "embedding": 4},
    "summarise": {"words": 20, "extra": 3, "longest": 8, "width": 4, "written": 3},
}
BEGINS = {
    "sentiment": "They zzz it, can: ",
    "tagging": "They",
    "shakespeare": "zzz (not known): ",
    "translate": "They zzz it, can -> ",
    "summarise": "They zzz it, can: ",
}
SLOW = ("captions", "translate", "summarise")
REVIEWS = ["What a film!", "A dull film.", "so <br /> moving", "dull, so dull"]


def mnist():
    part = lambda n: Split(RNG.integers(0, 256, (n, 8, 8), np.uint8), np.arange(n, dtype=np.int32) % 10)
    return {"train": part(12), "test": part(4)}, ()


def imdb():
    part = lambda n: Split(Ragged.of((REVIEWS * n)[:n]), np.arange(n) % 2)
    return {"train": part(12), "test": part(4)}, ("negative", "positive")


def brown():
    words = Ragged.of([np.array(row, np.int32) for row in ([1, 2, 2], [2, 1, 3], [4, 2, 1], [3, 2, 1], [1, 1, 1])])
    tags = Ragged.of([row % 2 for row in words])
    unseen = Split(Ragged.of([np.array([0, 1, 2], np.int32)]), Ragged.of([np.array([1, 1, 0], np.int32)]))
    return {"train": Split(words, tags), "valid": unseen, "test": unseen}, ("nn", "at")


def shakespeare():
    text = "HAMLET.\nThey can fish, my lord.\nThey can not fish it.\n[Exit.]\nMy lord, they fish.\nCan they fish? They can.\n"
    return dict.fromkeys(("train", "valid", "test"), Split(Ragged.of([text * 3]))), ()


def emoji():
    names = ["red flag", "red face", "face with flag", "flag, red"] * 2
    split = Split(RNG.integers(0, 256, (8, 8, 8, 4), np.uint8), Ragged.of(names))
    return dict.fromkeys(("train", "valid", "test"), split), ()


def multi30k():
    return sentences("multi30k_en_de"), ()


def debian_summaries():
    kinds = ["sort pictures", "draw maps", "count words", "play music"] * 3
    texts = [f"tool{i} is a small tool. It can {kind} fast." for i, kind in enumerate(kinds)]
    split = Split(Ragged.of(texts), Ragged.of([f"{kind} with tool{i}" for i, kind in enumerate(kinds)]))
    return dict.fromkeys(("train", "valid", "test"), split), ()


MADE = {
    "mnist": mnist,
    "imdb": imdb,
    "brown": brown,
    "shakespeare": shakespeare,
    "emoji": emoji,
    "multi30k_en_de": multi30k,
    "debian_summaries": debian_summaries,
}


@pytest.fixture
def made(here, monkeypatch):
    """Small data of the same kind under the names of the real ones."""

    def load(name):
        splits, names = MADE[name]()
        return datasets.Dataset(splits, ("<unk>", "They", "can", "fish", "it"), names)

    monkeypatch.setattr(datasets, "load", load)
    return here


def given(name, here):
    """Something new to apply the model to, and how the answer begins."""
    if name not in ("digits", "captions"):
        text = "zzz" if name == "shakespeare" else "They zzz it, can"
        return text, BEGINS[name]
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (extra: plot)")
    picture = np.full((40, 30), 250, np.uint8)
    picture[5:35, 12:16] = 20
    image.fromarray(picture).save(here / "one.png")
    return "one.png", "one.png: "


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in TRIED])
def test_trained_saved_and_applied(made, name, capsys):
    if name in ("translate", "summarise"):
        pytest.importorskip("sacrebleu", reason="sacrebleu is not installed (extra: metrics)")
    module = importlib.import_module(f"experiments.applications.{name}")
    summary = module.main(module.Config(**TINY, **TRIED[name]))
    (record,) = runs_in(made)
    assert record.status == "done"
    assert record.rows == summary["rows"]
    (row,) = record.rows
    measure, most = ("bleu", 100) if name == "translate" else ("accuracy", 1)
    assert 0 <= row[measure] <= most and 0 <= row[f"baseline_{measure}"] <= most and row["updates"] >= 2
    capsys.readouterr()
    thing, begin = given(name, made)
    words = ["--model", record.name, "--apply", thing, thing]
    apply.application(module.main, module.Config, module.__doc__, module.apply, words)
    first, second = capsys.readouterr().out.splitlines()
    assert first == second and first.startswith(begin)
    commands(["resume", record.name])  # by its name, though it is in a folder of its own
    capsys.readouterr()
    other = "tagging" if name != "tagging" else "sentiment"
    with pytest.raises(sj.ArgumentError, match=f"is a model of {name}, expected one of {other}"):
        apply.find_model(record.name, other)


def test_tags_of_unknown_words():
    tagging = importlib.import_module("experiments.applications.tagging")
    found = most_frequent(np.array([1, 1, 1, 2, 2]), np.array([0, 2, 2, 0, 0]), 4)
    assert found.tolist() == [0, 2, 0, 0]  # 0 is the most frequent of all
    text = 'Mr. Fox said—well, he didn’t: "In the U.S. flumps cost 3.5 (old-fashioned) pounds."'.replace("’", "'")
    cut = "Mr. Fox said -- well , he didn't : `` In the U.S. flumps cost 3.5 ( old-fashioned ) pounds . ''"
    assert tagging.cut(text) == cut.split(" ")


def test_words_that_were_looked_at():
    translate = importlib.import_module("experiments.applications.translate")
    coder = text.train_bpe("a", 259)  # bytes
    rows, columns = (translate.words_of(coder, coder.encode(part)) for part in ("ja so.", "so y"))
    assert rows == [("ja", [0, 1]), ("so.", [2, 3, 4, 5])] and columns == [("so", [0, 1]), ("y", [2, 3])]
    weights = np.zeros((6, 4))
    weights[0, 3], weights[1, :2] = 0.9, 0.5  # ja: 0.9 on y, 1.0 on so
    weights[2:, 3] = 0.1
    assert translate.most_looked_at(weights, rows, columns) == [("ja", "so"), ("so.", "y")]


def test_naive_bayes_by_hand():
    sentiment = importlib.import_module("experiments.applications.sentiment")
    seen = Ragged.of([np.array([0, 0]), np.array([1, 2])]), np.array([0, 1])
    new = Ragged.of([np.array([0, 2]), np.array([1, 0, 2])]), np.array([0, 1])
    # counts + 1 are 3, 1, 1 of 5 and 1, 2, 2 of 5: odds 1/3 * 2 and 2 * 1/3 * 2
    assert sentiment.naive_bayes(3, seen, new) == 1.0


@pytest.mark.parametrize("ground, ink", [(0, 255), (255, 0), (200, 90)])
def test_a_digit_is_centred(ground, ink):
    pytest.importorskip("PIL", reason="Pillow is not installed (extra: plot)")
    picture = np.full((50, 90), ground, np.uint8)
    picture[10:40, 5:11] = ink
    found = pictures.centred(picture, 28)
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 23, 12, 15)
    assert found.max() == 255


def test_messages(here, capsys):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (extra: plot)")
    image.fromarray(np.zeros((9, 9), np.uint8)).save(here / "black.png")
    (here / "text.png").write_text("no picture")
    with pytest.raises(sj.DataError, match="text.png is no picture"):
        pictures.read_picture("text.png", "L")
    with pytest.raises(sj.DataError, match="nowhere.png"):
        pictures.read_picture("nowhere.png", "L")
    with pytest.raises(sj.ArgumentError, match="of one colour"):
        pictures.centred(pictures.read_picture("black.png", "L"), 28)
    with pytest.raises(sj.ArgumentError, match="the text is empty"):
        apply.check_given("  ")
    digits = importlib.import_module("experiments.applications.digits")
    call = lambda *words: apply.application(digits.main, digits.Config, "", digits.apply, list(words))
    for words in (("--model", "x"), ("--apply", "x"), ("--model", "x", "--apply", "y", "--epochs", "3")):
        with pytest.raises(SystemExit, match="write --model RUN --apply GIVEN"):
            call(*words)
    with pytest.raises(SystemExit, match="no run is called 'digits/0' under runs"):
        call("--model", "digits/0", "--apply", "black.png")


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("digits", {"network": ("tree",)}, "network must be of perceptron, transformer, found 'tree'"),
        ("sentiment", {"cell": ("bidirectional(GRU(2))",)}, "reads both directions"),
        ("sentiment", {"words": 0}, "words must be above 0"),
        ("tagging", {"cell": ("LTSM(3)",)}, "Perhaps you meant 'LSTM'"),
        ("summarise", {"written": 0}, "written must be above 0"),
        ("tagging", {"epochs": 0}, "epochs must be above 0"),
        ("translate", {"models": ("cnn",)}, "models must be of gru, lstm, transformer, found 'cnn'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_options(made, name, options, message):
    module = importlib.import_module(f"experiments.applications.{name}")
    with pytest.raises(sj.ArgumentError, match=message):
        module.main(module.Config(**options))
    assert not (made / "runs").exists()


def test_every_application_is_tried_and_listed():
    found = {name for name, path in list_experiments().items() if path.parent.name == "applications"}
    assert found == TRIED.keys()
    text = (ROOT / "experiments/README.md").read_text()
    assert not [name for name in found if f"experiments.applications.{name}" not in text]
