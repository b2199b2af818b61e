"""Subword tokenisers of the package `tokenizers`, with the interface of `Vocabulary`."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from seqjax._internal.validation import whole_number
from seqjax.errors import ArgumentError, DataError
from seqjax.text.coding import (
    SPECIALS,
    Coder,
    check_ids,
    check_specials,
    check_texts,
)
from seqjax.text.files import read_text, write_text


@dataclass(frozen=True, repr=False)
class Tokenizer(Coder):
    """A tokeniser of the package `tokenizers`; made by `train_bpe` or `load_tokenizer`.

    A special token is an id, never a text: text that looks like "<pad>" is encoded like any other.

    >>> tokenizer = train_bpe("the cat sat on the mat " * 20, size=270)
    >>> tokenizer.encode("the cat", end=True).tolist()
    [261, 267, 2]
    >>> tokenizer.decode(tokenizer.encode("the café"))
    'the café'

    definition: its JSON text, by which it is compared, hashed and pickled.
    padding_name, unknown_name, begin_name, end_name: its special tokens of these uses.
    """

    definition: str
    padding_name: str = "<pad>"
    unknown_name: str = "<unk>"
    begin_name: str = "<bos>"
    end_name: str = "<eos>"

    def _encode(self, text: str) -> np.ndarray:
        return np.array(self._backend.encode(text, add_special_tokens=False).ids, np.int32)

    def decode(self, ids: ArrayLike) -> str:
        """The text of ids `[T]`; special tokens are left out.

        Raises:
            ArgumentError, ArgumentTypeError: ids out of range, of another rank, or not whole numbers.
        """
        return self._backend.decode(check_ids(ids, len(self)).tolist(), skip_special_tokens=True)

    def id(self, token: str) -> int:
        """The id of one token, written as the tokeniser's file writes it.

        Raises:
            ArgumentError: there is none.
        """
        found = self._backend.token_to_id(token)
        if found is None:
            raise ArgumentError(f"{token!r} is not one of the {len(self)} tokens. A word? Use encode")
        return found

    def _special(self, name: str) -> int | None:
        names = (self.padding_name, self.unknown_name, self.begin_name, self.end_name)
        return self._backend.token_to_id(names[SPECIALS.index(name)])

    def to_json(self) -> dict[str, str]:
        """The tokeniser as JSON values, for `from_json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, str]) -> "Tokenizer":
        """The tokeniser that `to_json` gave as JSON values; the package reads it when it is first used.

        Raises:
            DataError: it is no tokeniser.
        """
        if not isinstance(content, dict) or content.keys() != {field.name for field in dataclasses.fields(cls)}:
            raise DataError("no tokeniser: the names of its parts are others")
        return cls(**content)

    def save(self, path: str | Path) -> None:
        """Write the JSON file of the package `tokenizers`, all at once.

        Raises:
            DataError: the file cannot be written.
        """
        write_text(path, self.definition)

    def __len__(self) -> int:
        return self._backend.get_vocab_size()

    def __repr__(self) -> str:
        return f"<Tokenizer: {len(self)} tokens>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_backend"}

    @cached_property
    def _backend(self) -> Any:
        backend = _package().Tokenizer.from_str(self.definition)
        backend.encode_special_tokens = True  # else "<pad>" in a text would become the special token
        backend.no_padding()
        backend.no_truncation()
        return backend


def load_tokenizer(
    path: str | Path,
    *,
    padding: str | None = None,
    unknown: str | None = None,
    begin: str | None = None,
    end: str | None = None,
) -> Tokenizer:
    """A tokeniser from a JSON file of the package `tokenizers` ("tokenizer.json").

    Args:
        path: the file.
        padding, unknown, begin, end: the file's tokens for these uses, such as begin="<s>"; where None,
            "<pad>", "<unk>", "<bos>" and "<eos>", if the file has them.

    >>> train_bpe("the cat sat", size=260).save("tokenizer.json")
    >>> load_tokenizer("tokenizer.json")
    <Tokenizer: 260 tokens>

    Raises:
        DataError: the file cannot be read, is no tokeniser, or the package is not installed.
        ArgumentError: a token that was named is not in it.
    """
    definition = read_text(path)
    package = _package()
    try:
        package.Tokenizer.from_str(definition)
    except Exception as error:  # the package raises bare Exception
        raise DataError(f"{path} is no tokeniser of the package tokenizers: {error}") from None
    uses = {"padding": padding, "unknown": unknown, "begin": begin, "end": end}
    names = [default if name is None else name for name, default in zip(uses.values(), SPECIALS)]
    tokenizer = Tokenizer(definition, *names)
    for use, name in uses.items():
        if name is not None and getattr(tokenizer, use) is None:
            raise ArgumentError(f"{use}: {path} has no token {name!r}")
    return tokenizer


def train_bpe(
    texts: str | Iterable[str], size: int, *, min_count: int = 2, specials: Sequence[str] = ("<pad>", "<bos>", "<eos>")
) -> Tokenizer:
    """Byte-level byte pair encoding (Sennrich et al. 2016, Radford et al. 2019), learned from texts.

    Any text is encoded and decoded exactly. The same texts give the same tokeniser.

    >>> tokenizer = train_bpe(["low low low", "lower lower"], size=263)
    >>> [tokenizer.decode([i]) for i in tokenizer.encode("low lower")]
    ['low', ' low', 'er']

    Args:
        texts: a text or many.
        size: the largest number of tokens: special tokens, 256 bytes, and merges as long as pairs occur often enough.
        min_count: a pair that occurs less often is not merged.
        specials: some of "<pad>", "<unk>", "<bos>", "<eos>"; they have the first ids, in this order.

    Raises:
        ArgumentError, ArgumentTypeError: size leaves no room for the bytes, or something that is not text.
        DataError: the package `tokenizers` is not installed.
    """
    specials, texts = check_specials(specials), check_texts(texts)
    whole_number("size, which counts 256 bytes and the special tokens,", size, 256 + len(specials))
    whole_number("min_count", min_count, 1)
    package = _package()
    backend = package.Tokenizer(package.models.BPE())
    backend.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=list(specials),
        initial_alphabet=sorted(package.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return Tokenizer(backend.to_str(pretty=True))


def _package() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise DataError("the package tokenizers is not installed: pip install 'seqjax[text]'") from None
    return tokenizers
