"""The files of vocabularies and tokenisers."""

import json
from pathlib import Path
from typing import Any

from seqjax._internal.files import write_atomically
from seqjax.errors import DataError

FORMAT, VERSION = "seqjax vocabulary", 1
FIELDS = {"kind": str, "lower": bool, "punctuation": str, "specials": list, "tokens": list}


def write_text(path: str | Path, content: str) -> None:
    """Write a file all at once: a reader sees the old one or the new one.

    Raises:
        DataError: it cannot be written.
    """
    write_atomically(Path(path), lambda file: file.write(content.encode()))


def read_text(path: str | Path) -> str:
    """The UTF-8 text of a file.

    Raises:
        DataError: it cannot be read, or is no text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file, so it holds no vocabulary or tokeniser") from None


def read_json(path: str | Path) -> object:
    """The JSON value in a file.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is no JSON text: {error}") from None


def check_fields(content: object) -> dict[str, Any]:
    """The fields of a vocabulary out of its JSON value, lists as tuples.

    Raises:
        DataError: it is no vocabulary, or of another version, or one is missing or of another type.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f'no vocabulary: it lacks "format": {FORMAT!r}. A tokeniser? Use load_tokenizer')
    if content.get("version") != VERSION:
        raise DataError(f"of version {content.get('version')!r}, expected {VERSION}")
    for name, kind in FIELDS.items():
        if not isinstance(content.get(name), kind):
            raise DataError(f"{name} must be a {kind.__name__}, found {type(content.get(name)).__name__}")
    found = {name: content[name] for name in FIELDS}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
