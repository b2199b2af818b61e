"""A vocabulary: the tokens of a text by number, made from texts and kept as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from seqjax.batching.ragged import Ragged
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError, closest
from seqjax.text.coding import (
    SPECIALS,
    checked_ids,
    checked_specials,
    checked_text,
    checked_texts,
    framed,
    read_text,
    write_text,
)

KINDS = ("bytes", "characters", "words")
FORMAT, VERSION = "seqjax vocabulary", 1
REPLACEMENT = "\ufffd"  # what Unicode writes for a character that is not known
_BYTES = tuple(map(chr, range(256)))


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """Tokens and their ids: the special tokens come first, from 0, then `tokens`.

    Made by `Vocabulary.characters`, `.words`, `.bytes` or `.load`. A special token is an id, never a text: text that
    looks like "<pad>" is encoded like any other, and `decode` does not write it.

    kind: "characters" (a token is a Unicode code point), "words" (what stands between white space) or "bytes"
        (of UTF-8; token b is written `chr(b)`).
    tokens: the tokens without the special ones.
    specials: some of "<pad>", "<unk>", "<bos>", "<eos>", always in this order, so that padding is 0 when present.

    Raises:
        ArgumentError, ArgumentTypeError: tokens that are none of this kind or stand there twice, or unknown specials.
    """

    kind: str
    tokens: tuple[str, ...]
    specials: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ArgumentError(f"kind {self.kind!r} is not known.{closest(str(self.kind), KINDS)}")
        if isinstance(self.tokens, str) or not isinstance(self.tokens, Sequence):
            raise ArgumentTypeError(f"tokens must be a tuple of str, found {type(self.tokens).__name__}")
        object.__setattr__(self, "tokens", tuple(self.tokens))
        object.__setattr__(self, "specials", checked_specials(self.specials))
        if self.kind == "bytes" and self.tokens != _BYTES:
            raise ArgumentError("the tokens of a vocabulary of bytes are chr(0) ... chr(255); use Vocabulary.bytes()")
        if self.kind == "bytes" and "<unk>" in self.specials:
            raise ArgumentError('a vocabulary of bytes holds every text, so it takes no "<unk>" in specials')
        for i, token in enumerate(self.tokens):
            checked_text(f"tokens[{i}]", token)
            if not self._is_token(token):
                raise ArgumentError(f"tokens[{i}] is {token!r}, which is not one of the {self.kind} of a text")
        if len(self._ids) != len(self.tokens):
            twice = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise ArgumentError(f"tokens holds {twice!r} twice")

    @classmethod
    def characters(cls, texts: str | Iterable[str], *, specials: Sequence[str] = ()) -> "Vocabulary":
        """The characters (code points) of the texts, the most frequent first, equally frequent ones by code point.

        Raises:
            ArgumentError, ArgumentTypeError: no text, a lone surrogate, or something that is not text.
        """
        counts = Counter[str]()
        for text in checked_texts(texts):
            counts.update(text)
        return cls("characters", _by_count(counts), checked_specials(specials))

    @classmethod
    def words(
        cls,
        texts: str | Iterable[str],
        *,
        max_size: int | None = None,
        min_count: int = 1,
        specials: Sequence[str] = (),
    ) -> "Vocabulary":
        """The words of the texts, the most frequent first, equally frequent ones in alphabetic order.

        A word is what stands between white space, so a text whose words are separated by single spaces is decoded
        as it was; other white space becomes one space.

        Args:
            texts: a text or many.
            max_size: the largest `len(vocabulary)`, special tokens included; the most frequent words are kept.
            min_count: words that occur less often are left out.
            specials: give "<unk>" wherever a text may hold words that are not in the vocabulary.

        Raises:
            ArgumentError, ArgumentTypeError: no word is left, or an argument cannot be right.
        """
        for name, value in (("max_size", max_size), ("min_count", min_count)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ArgumentError(f"{name} must be a whole number above 0, found {value!r}")
        counts = Counter[str]()
        for text in checked_texts(texts):
            counts.update(text.split())
        specials = checked_specials(specials)
        kept = _by_count({word: count for word, count in counts.items() if count >= min_count})
        if max_size is not None and max_size <= len(specials):
            raise ArgumentError(f"max_size {max_size} leaves no word beside {len(specials)} special tokens")
        return cls("words", kept if max_size is None else kept[: max_size - len(specials)], specials)

    @classmethod
    def bytes(cls, *, specials: Sequence[str] = ()) -> "Vocabulary":
        """The 256 bytes: holds every text, so "<unk>" is no use and is refused.

        Raises:
            ArgumentError: specials other than "<pad>", "<bos>" and "<eos>".
        """
        return cls("bytes", _BYTES, checked_specials(specials))

    def encode(self, text: str, *, begin: bool = False, end: bool = False) -> np.ndarray:
        """The ids of a text, int32 `[T]`, with the begin and end tokens where asked for.

        Raises:
            ArgumentError: a token is not in the vocabulary, which has no "<unk>"; begin or end is asked for and the
                vocabulary has none; a lone surrogate.
            ArgumentTypeError: not a str.
        """
        checked_text("text", text)
        tokens: Any = text
        if self.kind == "bytes":
            ids = np.frombuffer(text.encode(), np.uint8).astype(np.int32) + len(self.specials)
        elif self.kind == "characters":
            codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
            ids = self._table.take(codes, mode="clip")
        else:
            tokens = text.split()
            ids = np.fromiter((self._ids.get(word, -1) for word in tokens), np.int32, len(tokens))
        missing = ids < 0
        if missing.any():
            first = int(np.argmax(missing))
            ids[missing] = self._unknown(tokens[first], f" (place {first} of the text)")
        return framed(ids, begin, end, self)

    def encode_all(self, texts: Iterable[str], *, begin: bool = False, end: bool = False) -> Ragged:
        """The ids of many texts, one after the other, as `encode` gives them.

        Raises:
            ArgumentError, ArgumentTypeError: as `encode`.
        """
        return Ragged.of([self.encode(text, begin=begin, end=end) for text in checked_texts(texts)])

    def decode(self, ids: Any) -> str:
        """The text of ids `[T]`: padding, begin and end are left out; unknown is written U+FFFD.

        Bytes that are no UTF-8 (a model may emit any) are written U+FFFD too.

        Raises:
            ArgumentError, ArgumentTypeError: ids out of range, of another rank, or not whole numbers.
        """
        found = checked_ids(ids, len(self))
        left_out = [i for i in (self.padding, self.begin, self.end) if i is not None]
        found = found[~np.isin(found, left_out)] if left_out else found
        if self.kind == "bytes":
            return (found - len(self.specials)).astype(np.uint8).tobytes().decode(errors="replace")
        return (" " if self.kind == "words" else "").join(map(self._written.__getitem__, found.tolist()))

    def id(self, token: str) -> int:
        """The id of one token, or of a special token by its name.

        Where a text held such a name as a token too, the id is that of the special token, and `encode` gives the other.
        A token that is not in the vocabulary has the id of "<unk>".

        Raises:
            ArgumentError: not one token of this kind, a special token that the vocabulary is without, or a token that
                is not in it, where it has no "<unk>".
            ArgumentTypeError: not a str.
        """
        checked_text("token", token)
        if token in self.specials:
            return self.specials.index(token)
        if token in self._ids:
            return self._ids[token]
        if token in SPECIALS:
            raise ArgumentError(f"{token!r} is not in the vocabulary. Make it with {token!r} in specials")
        if not self._is_token(token):
            raise ArgumentError(f"{token!r} is not one of the {self.kind} of a text. Several? Use encode")
        return self._unknown(token)

    @property
    def padding(self) -> int | None:
        """The id of "<pad>": 0, or None where there is none."""
        return self._special("<pad>")

    @property
    def unknown(self) -> int | None:
        """The id of "<unk>", or None."""
        return self._special("<unk>")

    @property
    def begin(self) -> int | None:
        """The id of "<bos>", or None."""
        return self._special("<bos>")

    @property
    def end(self) -> int | None:
        """The id of "<eos>", or None."""
        return self._special("<eos>")

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as JSON values, for `from_json`."""
        names = {"specials": list(self.specials), "tokens": list(self.tokens)}
        return {"format": FORMAT, "version": VERSION, "kind": self.kind, **names}

    @classmethod
    def from_json(cls, content: Any) -> "Vocabulary":
        """The vocabulary that `to_json` gave as JSON values.

        Raises:
            DataError: it is no vocabulary or a damaged one, or is of another version.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DataError(f'no vocabulary: it lacks "format": {FORMAT!r}. A tokeniser? Use load_tokenizer')
        if content.get("version") != VERSION:
            raise DataError(f"of version {content.get('version')!r}, expected {VERSION}")
        for name in ("specials", "tokens"):
            if not isinstance(content.get(name), list):
                raise DataError(f"{name} must be a list, found {type(content.get(name)).__name__}")
        try:
            return cls(content.get("kind"), tuple(content["tokens"]), tuple(content["specials"]))  # type: ignore[arg-type]
        except (ArgumentError, ArgumentTypeError) as error:
            raise DataError(str(error)) from error

    def save(self, path: str | Path) -> None:
        """Write it as a JSON text, all at once; DataError where it cannot be written."""
        write_text(path, json.dumps(self.to_json(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read what `save` wrote; DataError where it cannot be read or is none, as in `from_json`."""
        try:
            return cls.from_json(json.loads(read_text(path)))
        except json.JSONDecodeError as error:
            raise DataError(f"{path} is no JSON text: {error}") from None
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def __len__(self) -> int:
        return len(self.specials) + len(self.tokens)

    def __repr__(self) -> str:
        return f"<Vocabulary: {len(self.tokens)} {self.kind}, specials {self.specials}>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("kind", "tokens", "specials")}

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens, len(self.specials))}

    @cached_property
    def _table(self) -> np.ndarray:
        """Ids by code point, -1 where there is none; the last entry stands for all higher ones."""
        codes = np.array([ord(token) for token in self.tokens])
        table = np.full(codes.max(initial=-1) + 2, -1, np.int32)
        table[codes] = np.arange(len(self.specials), len(self))
        return table

    @cached_property
    def _written(self) -> list[str]:
        return [REPLACEMENT] * len(self.specials) + list(self.tokens)

    def _is_token(self, text: str) -> bool:
        """Whether a text may be a token of this kind; those of bytes are written `chr(0)` ... `chr(255)`."""
        if self.kind == "words":
            return text.split() == [text]
        return len(text) == 1 and (self.kind == "characters" or ord(text) < 256)

    def _special(self, name: str) -> int | None:
        return self.specials.index(name) if name in self.specials else None

    def _unknown(self, token: str, place: str = "") -> int:
        if self.unknown is None:
            raise ArgumentError(
                f'{token!r}{place} is not in the vocabulary of {len(self.tokens)} {self.kind}, which has no "<unk>". '
                'Make it from all texts, or with specials=("<unk>",)'
            )
        return self.unknown


def _by_count(counts: dict[str, int]) -> tuple[str, ...]:
    if not counts:
        raise ArgumentError("texts holds no token that is kept. An empty file, or min_count too high?")
    return tuple(sorted(counts, key=lambda token: (-counts[token], token)))
