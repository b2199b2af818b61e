"""What vocabularies and tokenisers share: special tokens, checks of texts and ids, and writing a file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from seqjax._internal.files import write_atomically
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError, closest

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


def checked_text(name: str, text: Any) -> str:
    """A str of Unicode characters; a lone surrogate is none.

    Raises:
        ArgumentTypeError: not a str.
        ArgumentError: it holds a lone surrogate.
    """
    if not isinstance(text, str):
        hint = ". Decode it: text.decode('utf-8')" if isinstance(text, (bytes, bytearray)) else ""
        raise ArgumentTypeError(f"{name} must be a str, found {type(text).__name__}{hint}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"{name} holds the lone surrogate {text[error.start]!r} at {error.start}, which is no character. "
            "A file that was read with errors='surrogateescape'?"
        ) from None
    return text


def checked_texts(texts: Any) -> list[str]:
    """One text or many, as a list.

    Raises:
        ArgumentTypeError, ArgumentError: as `checked_text`.
    """
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, Iterable) or isinstance(texts, (bytes, bytearray)):
        raise ArgumentTypeError(f"texts must be a str or an iterable of them, found {type(texts).__name__}")
    return [checked_text(f"texts[{i}]", text) for i, text in enumerate(texts)]


def checked_ids(ids: Any, size: int) -> np.ndarray:
    """Token ids `[T]` in 0 ... size - 1.

    Raises:
        ArgumentTypeError: not whole numbers.
        ArgumentError: not one sequence, or an id out of range.
    """
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ArgumentError(f"ids must be one sequence [T], found shape {array.shape}. Decode a batch row by row")
    if array.size == 0:
        return array.astype(np.int32)
    if not np.issubdtype(array.dtype, np.integer):
        raise ArgumentTypeError(f"ids must be whole numbers, found dtype {array.dtype}. Logits? Take their argmax")
    wrong = np.flatnonzero((array < 0) | (array >= size))
    if len(wrong):
        raise ArgumentError(f"ids must be in [0, {size}), found {array[wrong[0]]} at {wrong[0]}. Another vocabulary's?")
    return array


def checked_specials(specials: Any) -> tuple[str, ...]:
    """Some of the special tokens, in the order of `SPECIALS`.

    Raises:
        ArgumentTypeError: a str, or not an iterable.
        ArgumentError: one is unknown or given twice.
    """
    if isinstance(specials, str) or not isinstance(specials, Iterable):
        raise ArgumentTypeError(f"specials must be a tuple of {', '.join(SPECIALS)}, found {specials!r}")
    given = tuple(specials)
    for name in given:
        if name not in SPECIALS:
            raise ArgumentError(f"specials: {name!r} is not known.{closest(str(name), SPECIALS)}")
        if given.count(name) > 1:
            raise ArgumentError(f"specials: {name!r} is given twice")
    return tuple(name for name in SPECIALS if name in given)


def framed(ids: np.ndarray, begin: bool, end: bool, coder: Any) -> np.ndarray:
    """Ids, int32, between the begin and the end token of the coder where wanted.

    Raises:
        ArgumentError: one is wanted that there is not.
    """

    def edge(name: str, wanted: bool, found: int | None) -> np.ndarray:
        if wanted and found is None:
            special = "<bos>" if name == "begin" else "<eos>"
            raise ArgumentError(f"{name}=True, but {coder!r} has no {name} token. Make it with {special!r} in specials")
        return np.array([found] if wanted else [], np.int32)

    return np.concatenate([edge("begin", begin, coder.begin), ids.astype(np.int32), edge("end", end, coder.end)])


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
