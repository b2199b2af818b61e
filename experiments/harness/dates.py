"""Dates as people write them, in four languages and in numbers alone, beside 1998-05-09 (ISO 8601).

Days are those of the years 1969 to 2068, so that a year of two digits says which one it is, as POSIX has it. What the
order of three numbers means is a convention: here the day comes first, 9/10/09 is the ninth of October, unless a year
of four digits does. A word may be in capitals or in small letters throughout.
"""

from datetime import date
from typing import NamedTuple

import numpy as np

from seqjax._internal.types import Int

FIRST, LAST = date(1969, 1, 1), date(2068, 12, 31)
MONTHS = {
    "english": "January February March April May June July August September October November December",
    "german": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "french": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}
WEEKDAYS = {
    "english": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "german": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "french": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "spanish": "lunes martes miércoles jueves viernes sábado domingo",
}
FORMATS = {
    "english_day_first": (
        "{day} {month} {year}", "{weekday}, {day} {month} {year}", "{nth} of {month} {year}", "{day} {month:.3} {year}",
        "{weekday:.3} {day} {month:.3} '{short_year}",
    ),
    "english_month_first": (
        "{month} {day}, {year}", "{weekday}, {month} {day}, {year}", "{month} {nth} {year}", "{month:.3} {day} {year}",
        "{month:.3} {day}, '{short_year}",
    ),
    "german": ("{day}. {month} {year}", "{weekday}, {day}. {month} {year}", "{weekday}, den {day}. {month} {year}"),
    "french": ("{day} {month} {year}", "{weekday} {day} {month} {year}", "le {weekday} {day} {month} {year}"),
    "spanish": ("{day} de {month} de {year}", "{weekday}, {day} de {month} de {year}", "{day} {month} {year}"),
    "numbers": ("{day}/{number}/{year}", "{day}.{number}.{year}", "{day:02}-{number:02}-{year}"),
    "numbers_short_year": (
        "{day}/{number}/{short_year}", "{day}.{number}.{short_year}", "{day:02} {number:02} {short_year}",
    ),
    "numbers_year_first": ("{year}/{number:02}/{day:02}", "{year}.{number}.{day}", "{year}{number:02}{day:02}"),
}  # fmt: skip
"""Ways to write a date, by kind."""


class Written(NamedTuple):
    """A date as somebody wrote it, the kind of that, and what it means."""

    kind: str
    text: str
    iso: str


def write(day: date, kind: str, form: str) -> str:
    """A day in words of the kind's language, by one of its FORMATS.

    >>> write(date(1998, 5, 9), "english_month_first", "{weekday}, {month} {nth} '{short_year}")
    "Saturday, May 9th '98"
    """
    language = kind.split("_")[0]
    names = language if language in MONTHS else "english"
    ending = "th" if 10 < day.day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    return form.format(
        day=day.day,
        nth=f"{day.day}{ending}",
        number=day.month,
        month=MONTHS[names].split()[day.month - 1],
        weekday=WEEKDAYS[names].split()[day.weekday()],
        year=day.year,
        short_year=f"{day.year % 100:02}",
    )


def sample(days: Int[np.ndarray, " n"], count: int, rng: np.random.Generator) -> list[Written]:
    """So many dates, of the days with these ordinals; kinds and the forms of a kind are equally likely."""
    kinds, written = list(FORMATS), []
    for ordinal in rng.choice(days, count):
        day, kind = date.fromordinal(int(ordinal)), kinds[rng.integers(len(kinds))]
        text = write(day, kind, FORMATS[kind][rng.integers(len(FORMATS[kind]))])
        case = (str, str, str.lower, str.upper)[rng.integers(4)]
        written.append(Written(kind, case(text), day.isoformat()))
    return written


def split_days(held_out: int, rng: np.random.Generator) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]]:
    """The ordinals of all days but `held_out` of them, and of these."""
    days = rng.permutation(np.arange(FIRST.toordinal(), LAST.toordinal() + 1))
    return days[held_out:], days[:held_out]
