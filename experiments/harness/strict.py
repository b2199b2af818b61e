"""Strict JSON, as every reader takes it: a number that is not finite is null, as JSON has no other word for it."""

import json
import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"


def plain(value: object) -> Value:
    """A value as JSON has it: tuples are lists, NumPy's numbers are Python's, NaN and infinities are None.

    Raises:
        TypeError: anything that would have to be written as its text.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    raise TypeError(f"{value!r} ({type(value).__name__}) is neither a number nor a text nor made of these")


def dumps(value: object, indent: int | None = None, sort_keys: bool = False) -> str:
    """The text of a value."""
    return json.dumps(plain(value), indent=indent, sort_keys=sort_keys, allow_nan=False)
