"""What vocabularies and tokenisers share: encoding with special tokens, and checks of texts and ids."""

import abc
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from seqjax._internal.validation import whole_number
from seqjax.batching.ragged import Ragged
from seqjax.errors import ArgumentError, ArgumentTypeError, closest

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


class Coder(abc.ABC):
    """Text to token ids; a special token is an id, never a text: "<pad>" in a text is encoded like any other word."""

    @abc.abstractmethod
    def _encode(self, text: str) -> np.ndarray:
        """The ids of a text that has been checked, without special tokens."""

    def encode(self, text: str, *, begin: bool = False, end: bool = False, max_length: int | None = None) -> np.ndarray:
        """The ids of a text, int32 `[T]`.

        Args:
            text: any str.
            begin, end: put the begin token in front, the end token behind.
            max_length: cut the text so that it has no more ids than that, begin and end tokens included; these are
                never cut off.

        Raises:
            ArgumentError: a token is not in a vocabulary without "<unk>"; begin or end is asked for and there is none;
                a max_length that leaves no room for them; a lone surrogate.
            ArgumentTypeError: not a str.
        """
        ids = self._encode(check_text("text", text)).astype(np.int32)
        front, back = self._edge("begin", begin), self._edge("end", end)
        if max_length is not None:
            room = whole_number("max_length", max_length, 1 + len(front) + len(back)) - len(front) - len(back)
            ids = ids[:room]
        return np.concatenate([front, ids, back])

    def encode_all(
        self, texts: Iterable[str], *, begin: bool = False, end: bool = False, max_length: int | None = None
    ) -> Ragged:
        """The ids of many texts, one after the other, as `encode` gives them.

        Raises:
            ArgumentError, ArgumentTypeError: as `encode`.
        """
        options = {"begin": begin, "end": end}
        return Ragged.of([self.encode(text, **options, max_length=max_length) for text in check_texts(texts)])

    @property
    def padding(self) -> int | None:
        """The id of the padding token, or None where there is none."""
        return self._special("<pad>")

    @property
    def unknown(self) -> int | None:
        """The id of the token for what is not known, or None."""
        return self._special("<unk>")

    @property
    def begin(self) -> int | None:
        """The id of the token for the beginning, or None."""
        return self._special("<bos>")

    @property
    def end(self) -> int | None:
        """The id of the token for the end, or None."""
        return self._special("<eos>")

    @abc.abstractmethod
    def _special(self, name: str) -> int | None:
        """The id of one of `SPECIALS`, or None."""

    def _edge(self, name: str, wanted: bool) -> np.ndarray:
        found = {"begin": self.begin, "end": self.end}[name]
        if wanted and found is None:
            special = "<bos>" if name == "begin" else "<eos>"
            raise ArgumentError(f"{name}=True, but {self!r} has no {name} token. Make it with {special!r} in specials")
        return np.array([found] if wanted else [], np.int32)


def check_text(name: str, text: object) -> str:
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


def check_texts(texts: object) -> list[str]:
    """One text or many, as a list.

    Raises:
        ArgumentTypeError, ArgumentError: as `check_text`.
    """
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, Iterable) or isinstance(texts, (bytes, bytearray)):
        raise ArgumentTypeError(f"texts must be a str or an iterable of them, found {type(texts).__name__}")
    return [check_text(f"texts[{i}]", text) for i, text in enumerate(texts)]


def check_ids(ids: ArrayLike, size: int) -> np.ndarray:
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


def check_specials(specials: object) -> tuple[str, ...]:
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
