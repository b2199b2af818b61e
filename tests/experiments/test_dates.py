"""Dates in the forms of several languages."""

import re
from datetime import date

import numpy as np
import pytest

from experiments.harness import dates


@pytest.mark.parametrize(
    "day, kind, form, text",
    [
        (date(1998, 5, 9), "english_day_first", 1, "Saturday, 9 May 1998"),
        (date(2001, 5, 3), "english_month_first", 2, "May 3rd 2001"),
        (date(2011, 11, 12), "english_day_first", 2, "12th of November 2011"),
        (date(2022, 2, 22), "english_day_first", 4, "Tue 22 Feb '22"),
        (date(2015, 1, 7), "german", 2, "Mittwoch, den 7. Januar 2015"),
        (date(1989, 7, 14), "french", 2, "le vendredi 14 juillet 1989"),
        (date(1999, 12, 31), "spanish", 0, "31 de diciembre de 1999"),
        (date(2009, 10, 9), "numbers_short_year", 0, "9/10/09"),
        (date(2009, 10, 9), "numbers_year_first", 2, "20091009"),
        (date(2001, 3, 21), "english_month_first", 2, "March 21st 2001"),
    ],
)
def test_as_people_write_them(day, kind, form, text):
    assert dates.write(day, kind, dates.FORMATS[kind][form]) == text


def test_numbers_mean_one_day():
    """Read back as POSIX reads them: 69 to 99 are of the last century."""
    seen, new = dates.split_days(100, np.random.default_rng(0))
    assert len(new) == 100 and len(seen) == 36_425 and not set(seen) & set(new)
    written = dates.sample(seen, 500, np.random.default_rng(1))
    assert {each.kind for each in written} == dates.FORMATS.keys()
    for each in written:
        year, month, day = (int(part) for part in each.iso.split("-"))
        assert date(year, month, day).toordinal() in seen
        numbers = [int(part) for part in re.findall(r"\d+", each.text)]
        if each.kind == "numbers_short_year":
            assert numbers[:2] == [day, month] and 1969 + (numbers[2] - 69) % 100 == year
        elif each.kind == "numbers":
            assert numbers == [day, month, year]


def test_the_same_seed_writes_the_same_dates():
    days = dates.split_days(10, np.random.default_rng(3))[0]
    first, second = (dates.sample(days, 5, np.random.default_rng(4)) for _ in range(2))
    assert first == second
