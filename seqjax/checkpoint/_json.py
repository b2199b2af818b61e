"""Strict JSON: what comes back is equal to what was given, or it is refused."""

import json
import math
from typing import Any

from seqjax.errors import ArgumentError, ArgumentTypeError

FLOAT = "$float"  # JSON has no nan and no infinity: they are kept as {"$float": "nan"}


def encode(name: str, value: object) -> str:
    """The text of a value made of dicts with text keys, lists, text, bool, int, float and None.

    Raises:
        ArgumentError, ArgumentTypeError: anything else, as it would come back as something else; `name` and the
            place in it are named.
    """
    return json.dumps(_to_plain(name, value), allow_nan=False)


def decode(text: str | bytes) -> Any:
    """The value that `encode` was given; ValueError for what is no JSON."""
    return json.loads(text, object_hook=lambda d: float(d[FLOAT]) if d.keys() == {FLOAT} else d)


def _to_plain(name: str, value: object) -> object:
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {FLOAT: repr(value)}
    if type(value) is list:
        return [_to_plain(f"{name}[{i}]", v) for i, v in enumerate(value)]
    if type(value) is not dict:
        raise ArgumentTypeError(
            f"{name} must be a dict, list, text, bool, int, float or None, found {type(value).__name__} {value!r}. "
            "Write float(x) or int(x) for a number, list(x) for a tuple or an array, repr(x) for a cell"
        )
    for key in value:
        if type(key) is not str:
            raise ArgumentTypeError(f"{name} has the key {key!r}, expected text. Write str(key)")
    if FLOAT in value:
        raise ArgumentError(f"{name} has the key {FLOAT!r}, which stands for nan and infinity. Another name?")
    return {key: _to_plain(f"{name}[{key!r}]", v) for key, v in value.items()}
