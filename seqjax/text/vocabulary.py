"""A vocabulary: the tokens of a text by number, made from texts and kept as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from seqjax._internal.validation import true_or_false, whole_number
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError, closest
from seqjax.text.coding import SPECIALS, Coder, check_ids, check_specials, check_text, check_texts
from seqjax.text.files import FORMAT, VERSION, check_fields, read_json, write_text
from seqjax.text.kinds import BYTES, KINDS, is_token, order_by_count
from seqjax.text.words import check_punctuation, split_words

REPLACEMENT = "\ufffd"  # what Unicode writes for a character that is not known


@dataclass(frozen=True, repr=False)
class Vocabulary(Coder):
    """Tokens and their ids: the special tokens come first, from 0, then `tokens`.

    Made by `Vocabulary.characters`, `.words`, `.bytes` or `.load`. A special token is an id, never a text: text that
    looks like "<pad>" is encoded like any other, and `decode` does not write it.

    kind: "characters" (a token is a Unicode code point), "words" (what stands between white space) or "bytes"
        (of UTF-8; token b is written `chr(b)`).
    tokens: the tokens without the special ones.
    specials: some of "<pad>", "<unk>", "<bos>", "<eos>", always in this order, so that padding is 0 when present.
    lower, punctuation: of words, as in `Vocabulary.words`.

    >>> vocabulary = Vocabulary.words(["to be or not to be"], specials=("<pad>", "<unk>", "<eos>"))
    >>> len(vocabulary), vocabulary.tokens
    (7, ('be', 'to', 'not', 'or'))
    >>> vocabulary.encode("to see or not", end=True).tolist()
    [4, 1, 6, 5, 2]
    >>> vocabulary.encode("to be or not to be", end=True, max_length=4).tolist()
    [4, 3, 6, 2]
    >>> vocabulary.decode([4, 3, 2, 0, 0])
    'to be'
    >>> vocabulary.save("vocabulary.json")
    >>> Vocabulary.load("vocabulary.json") == vocabulary
    True

    Raises:
        ArgumentError, ArgumentTypeError: tokens that are none of this kind or stand there twice, or unknown specials.
    """

    kind: str
    tokens: tuple[str, ...]
    specials: tuple[str, ...] = ()
    lower: bool = False
    punctuation: str = "keep"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ArgumentError(f"kind {self.kind!r} is not known.{closest(str(self.kind), KINDS)}")
        if isinstance(self.tokens, str) or not isinstance(self.tokens, Sequence):
            raise ArgumentTypeError(f"tokens must be a tuple of str, found {type(self.tokens).__name__}")
        object.__setattr__(self, "tokens", tuple(self.tokens))
        object.__setattr__(self, "specials", check_specials(self.specials))
        true_or_false("lower", self.lower)
        check_punctuation(self.punctuation)
        if self.kind != "words" and (self.lower or self.punctuation != "keep"):
            raise ArgumentError(
                f"lower and punctuation are for words; a vocabulary of {self.kind} keeps them as they are"
            )
        if self.kind == "bytes" and self.tokens != BYTES:
            raise ArgumentError("the tokens of a vocabulary of bytes are chr(0) ... chr(255); use Vocabulary.bytes()")
        if self.kind == "bytes" and "<unk>" in self.specials:
            raise ArgumentError('a vocabulary of bytes holds every text, so it takes no "<unk>" in specials')
        for i, token in enumerate(self.tokens):
            check_text(f"tokens[{i}]", token)
            if not is_token(token, self.kind, self.lower, self.punctuation):
                raise ArgumentError(f"tokens[{i}] is {token!r}, which is not one of the {self.kind} of a text")
        if len(self._ids) != len(self.tokens):
            twice = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise ArgumentError(f"tokens holds {twice!r} twice")

    @classmethod
    def characters(cls, texts: str | Iterable[str], *, specials: Sequence[str] = ()) -> "Vocabulary":
        """The characters (code points) of the texts, the most frequent first, equally frequent ones by code point.

        >>> Vocabulary.characters("banana").encode("nab").tolist()
        [1, 0, 2]

        Raises:
            ArgumentError, ArgumentTypeError: no text, a lone surrogate, or something that is not text.
        """
        counts = Counter[str]()
        for text in check_texts(texts):
            counts.update(text)
        return cls("characters", order_by_count(counts), check_specials(specials))

    @classmethod
    def words(
        cls,
        texts: str | Iterable[str],
        *,
        lower: bool = False,
        punctuation: str = "keep",
        max_size: int | None = None,
        min_count: int = 1,
        specials: Sequence[str] = (),
    ) -> "Vocabulary":
        """The words of the texts, the most frequent first, equally frequent ones in alphabetic order.

        A word is what stands between white space, so a text whose words are separated by single spaces is decoded
        as it was; other white space becomes one space. The options are kept in the vocabulary and hold for all that
        it encodes; what `decode` gives is then the text as the model reads it, in lower case and with separate marks.

        >>> vocabulary = Vocabulary.words("Who's there? Nay, answer me.", lower=True, punctuation="separate")
        >>> vocabulary.decode(vocabulary.encode("Answer me, there?"))
        'answer me , there ?'

        Args:
            texts: a text or many.
            lower: in lower case.
            punctuation: "keep" leaves it in the words, "separate" makes each mark or symbol a word of its own (an
                apostrophe or hyphen inside a word stays), "remove" leaves it out. In a text that holds the spelling
                "<unk>" its "<" and ">" are marks too: "keep" is for texts that others have cut into words.
            max_size: the largest `len(vocabulary)`, special tokens included; the most frequent words are kept.
            min_count: words that occur less often are left out.
            specials: give "<unk>" wherever a text may hold words that are not in the vocabulary.

        Raises:
            ArgumentError, ArgumentTypeError: no word is left, or an argument cannot be right.
        """
        true_or_false("lower", lower)
        check_punctuation(punctuation)
        whole_number("min_count", min_count, 1)
        counts = Counter[str]()
        for text in check_texts(texts):
            counts.update(split_words(text, lower, punctuation))
        specials = check_specials(specials)
        kept = order_by_count(counts, min_count)
        if max_size is not None and whole_number("max_size", max_size, 1) <= len(specials):
            raise ArgumentError(f"max_size {max_size} leaves no word beside {len(specials)} special tokens")
        kept = kept if max_size is None else kept[: max_size - len(specials)]
        return cls("words", kept, specials, lower, punctuation)

    @classmethod
    def bytes(cls, *, specials: Sequence[str] = ()) -> "Vocabulary":
        """The 256 bytes: holds every text, so "<unk>" is no use and is refused.

        >>> Vocabulary.bytes(specials=("<pad>",)).encode("é").tolist()  # 0xC3 0xA9
        [196, 170]

        Raises:
            ArgumentError: specials other than "<pad>", "<bos>" and "<eos>".
        """
        return cls("bytes", BYTES, check_specials(specials))

    def _encode(self, text: str) -> np.ndarray:
        tokens: Sequence[str] = text
        if self.kind == "bytes":
            ids = np.frombuffer(text.encode(), np.uint8).astype(np.int32) + len(self.specials)
        elif self.kind == "characters":
            codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
            ids = self._table.take(codes, mode="clip")
        else:
            tokens = split_words(text, self.lower, self.punctuation)
            ids = np.fromiter((self._ids.get(word, -1) for word in tokens), np.int32, len(tokens))
        missing = ids < 0
        if missing.any():
            first = int(np.argmax(missing))
            ids[missing] = self._unknown(tokens[first], f" (place {first} of the text)")
        return ids

    def decode(self, ids: ArrayLike) -> str:
        """The text of ids `[T]`: padding, begin and end are left out; unknown is written U+FFFD.

        Words are joined by single spaces, whatever stood between them.
        Bytes that are no UTF-8 (a model may emit any) are written U+FFFD too.

        Raises:
            ArgumentError, ArgumentTypeError: ids out of range, of another rank, or not whole numbers.
        """
        found = check_ids(ids, len(self))
        left_out = [i for i in (self.padding, self.begin, self.end) if i is not None]
        found = found[~np.isin(found, left_out)] if left_out else found
        if self.kind == "bytes":
            return (found - len(self.specials)).astype(np.uint8).tobytes().decode(errors="replace")
        return (" " if self.kind == "words" else "").join(map(self._written.__getitem__, found.tolist()))

    def id(self, token: str) -> int:
        """The id of one token, or of a special token by its name.

        >>> Vocabulary.characters("ab", specials=("<pad>", "<unk>")).id("<unk>")
        1

        Where a text held such a name as a token too, the id is that of the special token, and `encode` gives the other.
        A token that is not in the vocabulary has the id of "<unk>".

        Raises:
            ArgumentError: not one token of this kind, a special token that the vocabulary is without, or a token that
                is not in it, where it has no "<unk>".
            ArgumentTypeError: not a str.
        """
        check_text("token", token)
        if token in self.specials:
            return self.specials.index(token)
        if token in self._ids:
            return self._ids[token]
        if token in SPECIALS:
            raise ArgumentError(f"{token!r} is not in the vocabulary. Make it with {token!r} in specials")
        if not is_token(token, self.kind, self.lower, self.punctuation):
            raise ArgumentError(f"{token!r} is not one of the {self.kind} of a text. Several? Use encode")
        return self._unknown(token)

    def to_json(self) -> dict[str, object]:
        """The vocabulary as JSON values, for `from_json`."""
        options = {"kind": self.kind, "lower": self.lower, "punctuation": self.punctuation}
        names = {"specials": list(self.specials), "tokens": list(self.tokens)}
        return {"format": FORMAT, "version": VERSION, **options, **names}

    @classmethod
    def from_json(cls, content: object) -> "Vocabulary":
        """The vocabulary that `to_json` gave as JSON values.

        Raises:
            DataError: it is no vocabulary or a damaged one, or is of another version.
        """
        try:
            return cls(**check_fields(content))
        except (ArgumentError, ArgumentTypeError) as error:
            raise DataError(str(error)) from error

    def save(self, path: str | Path) -> None:
        """Write it as a JSON text, all at once; DataError where it cannot be written."""
        write_text(path, json.dumps(self.to_json(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read what `save` wrote; DataError where it cannot be read or is none, as in `from_json`."""
        content = read_json(path)
        try:
            return cls.from_json(content)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def __len__(self) -> int:
        return len(self.specials) + len(self.tokens)

    def __repr__(self) -> str:
        return f"<Vocabulary: {len(self.tokens)} {self.kind}, specials {self.specials}>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (field.name for field in fields(self))}

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

    def _special(self, name: str) -> int | None:
        return self.specials.index(name) if name in self.specials else None

    def _unknown(self, token: str, place: str = "") -> int:
        if self.unknown is None:
            raise ArgumentError(
                f'{token!r}{place} is not in the vocabulary of {len(self.tokens)} {self.kind}, which has no "<unk>". '
                'Make it from all texts, or with specials=("<unk>",)'
            )
        return self.unknown
