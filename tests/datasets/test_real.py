"""Every data set that this machine can reach, against what is published of it. Slow: fetches some 400 MB once."""

import csv
import hashlib
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from experiments.dataset_table import rows_of
from seqjax import datasets
from seqjax.errors import DataError

pytestmark = pytest.mark.slow
TABLE = Path(__file__).parent.parent.parent / "experiments" / "results" / "datasets.csv"


def reach(name):
    try:
        return datasets.load(name)
    except DataError as error:
        if "damaged" in str(error) or "conversion" in str(error):
            raise
        pytest.skip(f"{name} cannot be reached from this machine: {error}")


@pytest.mark.parametrize("name", datasets.names())
def test_counts_are_those_committed(name):
    data = reach(name)
    with TABLE.open() as file:
        committed = [row for row in csv.DictReader(file) if row["data_set"] == name]
    found = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows_of(data)]
    for row in found:
        print("  ".join(row.values()))
    assert found == committed


@pytest.mark.parametrize("name", [name for name in datasets.names() if datasets.find(name).overlap])
def test_overlap_of_published_splits_is_as_stated(name):
    assert reach(name).overlap() == datasets.find(name).overlap


def test_tunes_of_nottingham_share_passages_as_stated():
    data = reach("nottingham")

    def passages(roll):
        return {roll[t : t + 32].tobytes() for t in range(len(roll) - 31)}

    train = set().union(*map(passages, data.train.inputs))
    shared = [sum(bool(passages(roll) & train) for roll in split.inputs) for split in (data.valid, data.test)]
    assert shared == [7, 6]


def inputs(data):
    return [split.inputs for split in data.splits.values()]


def test_mnist_begins_as_everybody_knows():
    mnist = reach("mnist")
    assert mnist.train.targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test.targets[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(mnist.train.targets).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert abs(mnist.train.inputs.mean() / 255 - 0.1307) < 1e-4 and abs(mnist.train.inputs.std() / 255 - 0.3081) < 1e-4


def test_fashion_mnist_is_balanced():
    fashion = reach("fashion_mnist")
    assert np.bincount(fashion.train.targets).tolist() == [6000] * 10
    assert np.bincount(fashion.test.targets).tolist() == [1000] * 10


def test_enwik8_is_the_official_file():
    whole = b"".join(values[0].tobytes() for values in inputs(reach("enwik8")))
    assert hashlib.md5(whole).hexdigest() == "a1fa5ffddb56f4953e226637dabbb36a" and len(whole) == 10**8


def test_penn_treebank_has_its_tokens_and_words():
    penn = reach("penn_treebank")
    assert [split.steps for split in penn.splits.values()] == [929_589, 73_760, 82_430]
    assert len(penn.input_names) == 10_000 and {"<unk>", "<eos>", "N"} <= set(penn.input_names)


def test_imdb_halves_are_as_the_original():
    imdb = reach("imdb")
    train, test = (set(split.inputs.texts()) for split in (imdb.train, imdb.test))
    assert (len(train), len(test), len(train & test)) == (24_904, 24_801, 123)
    assert np.bincount(imdb.train.targets).tolist() == np.bincount(imdb.test.targets).tolist() == [12_500] * 2


def test_reuters_classes():
    reuters = reach("reuters_r8")
    counts = dict(zip(reuters.target_names, np.bincount(reuters.train.targets).tolist()))
    assert counts["earn"] == 2840 and counts["grain"] == 41 and len(counts) == 8
    assert len(reach("reuters_r52").target_names) == 52


def test_brown_totals():
    brown = reach("brown")
    assert sum(len(split) for split in brown.splits.values()) == 57_340
    assert sum(split.steps for split in brown.splits.values()) == 1_161_192
    assert len(brown.target_names) == 472 and len(brown.input_names) == 1 + len(
        {w for line in brown.train.inputs for w in line} - {0}
    )
    assert all((split.inputs.lengths == split.targets.lengths).all() for split in brown.splits.values())
    assert all(set(split.groups) == set(range(15)) for split in (brown.train, brown.test))


def test_ocr_letters_totals():
    ocr = reach("ocr_letters")
    assert sum(len(split) for split in ocr.splits.values()) == 6_877
    assert sum(split.steps for split in ocr.splits.values()) == 52_152
    assert set(np.unique(ocr.train.inputs.values)) == {0, 1} and set(ocr.train.groups) == set(range(1, 10))
    assert ocr.train.inputs.values.shape[1] == 128
    assert (ocr.train.inputs.lengths == ocr.train.targets.lengths).all()


def test_king_james_has_its_verses():
    text = "".join(split.inputs.text(0) for split in reach("king_james_bible").splits.values())
    lines = text.splitlines()
    assert len(lines) == 31_102 and lines[0] == "In the beginning God created the heaven and the earth."
    assert lines[-1].startswith("The grace of our Lord") and not set("[]#") & set(text)


def test_multi30k_is_aligned():
    for name, sentence in (
        ("multi30k_en_de", "Zwei junge weiße Männer"),
        ("multi30k_en_fr", "Deux jeunes hommes blancs"),
    ):
        pairs = reach(name)
        assert pairs.train.inputs.text(0).startswith("Two young, White males") and pairs.train.targets.text(
            0
        ).startswith(sentence)
        ratio = pairs.train.targets.lengths / pairs.train.inputs.lengths
        assert np.median(ratio) < 1.3 and np.quantile(ratio, 0.999) < 3


def test_debian_is_held_out():
    for name, side in itertools.product(("debian_en_fr", "debian_summaries"), ("inputs", "targets")):
        debian = reach(name)
        train, test = (set(getattr(split, side).texts()) for split in (debian.train, debian.test))
        assert not train & test


def test_what_is_held_out_has_all_classes():
    imdb = reach("imdb")
    rest, held = imdb.train.hold_out(1000)
    assert len(rest) == 24_000 and 400 < held.targets.sum() < 600


@pytest.mark.parametrize(
    "name, frames, bernoulli, markov",
    [("jsb_chorales", [13_807, 4_602, 4_725], 11.09, 10.49), ("nottingham", [176_561, 45_513, 44_463], 10.26, 5.15)],
)
def test_piano_rolls_have_the_known_floors(name, frames, bernoulli, markov):
    """Nats a predicted frame (all but the first), summed over 88 keys: independent keys, and a two-state chain for each."""
    music = reach(name)
    assert [split.steps for split in music.splits.values()] == frames
    train, test = music.train.inputs, music.test.inputs
    p = (train.values.sum(0) + 1) / (len(train.values) + 2)
    x = np.concatenate([roll[1:] for roll in test])
    found = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1).mean()
    assert abs(found - bernoulli) < 0.01
    pairs = [np.concatenate([2 * roll[:-1] + roll[1:] for roll in part]) for part in (train, test)]
    counts = np.stack([(pairs[0] == k).sum(0) + 1 for k in range(4)])
    chance = counts / np.tile(counts.reshape(2, 2, 88).sum(1), (1, 2)).reshape(2, 2, 88).reshape(4, 88)
    found = -np.log(np.take_along_axis(chance, pairs[1].astype(int), 0)).sum(1).mean()
    assert abs(found - markov) < 0.01


def test_small_series_have_their_published_classes():
    assert np.bincount(reach("ecg5000").train.targets).tolist() == [292, 177, 10, 19, 2]
    vowels = reach("japanese_vowels")
    lengths = np.concatenate([split.inputs.lengths for split in vowels.splits.values()])
    assert (lengths.min(), lengths.max()) == (7, 29) and np.bincount(vowels.train.targets).tolist() == [30] * 9
    assert np.bincount(vowels.test.targets).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]


def test_forecasting_sets_have_their_rows_and_gaps():
    power = np.concatenate([values[0] for values in inputs(reach("household_power"))])
    assert power.shape == (2_075_259, 7) and np.isnan(power[:, 0]).sum() == 25_979
    dust = np.concatenate([values[0] for values in inputs(reach("beijing_pm25"))])
    assert dust.shape == (43_824, 8) and np.isnan(dust[:, 0]).sum() == 2_067
    assert [split.steps for split in reach("etth1").splits.values()] == [8640, 2880, 2880]
    assert sum(split.steps for split in reach("appliances_energy").splits.values()) == 19_735
    glucose = [run for values in inputs(reach("glucose")) for run in values]
    assert sum(map(len, glucose)) == 52_281 and all((np.diff(run[:, 0]) <= 10).all() for run in glucose)


def test_spoken_digits_are_balanced():
    spoken = reach("free_spoken_digits")
    assert Counter(zip(spoken.test.targets.tolist(), spoken.test.groups.tolist())) == {
        (digit, speaker): 5 for digit in range(10) for speaker in range(6)
    }
    features = datasets.log_mel(spoken.train.inputs[0])
    assert features.shape[1] == 40 and np.isfinite(features).all() and features.std() > 0.5


def test_players_stay_near_the_field():
    football = reach("football")
    for split in football.splits.values():
        assert np.abs(split.inputs.values[:, 0]).max() < 70 and np.abs(split.inputs.values[:, 1]).max() < 55
        steps = np.diff(split.inputs[0], axis=0)
        np.testing.assert_allclose(steps[:, 2], 0.1, atol=1e-3)
        assert np.median(np.linalg.norm(steps[:, :2], axis=1)) / 0.1 < 10, "metres a second"
        share = np.bincount(split.groups, minlength=3) / len(split)
        assert share[0] > 0.8 and share[1] > 0.001, "mostly players, and a ball"


def test_emoji_have_names():
    emoji = reach("emoji")
    names = [name for split in emoji.splits.values() for name in split.targets.texts()]
    assert len(names) == 1911 and "grinning face" in names and len(set(names)) > 1900
    grin = np.concatenate([s.inputs for s in emoji.splits.values()])[names.index("grinning face")]
    yellow = grin[16, 4]
    assert yellow[0] > 200 and yellow[1] > 150 and yellow[2] < 150 and yellow[3] == 255
