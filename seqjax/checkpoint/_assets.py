"""What a model needs beside its parameters: vocabularies, tokenisers, scalers, JSON values; a file of JSON each."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqjax.batching.scaler import Scaler
from seqjax.checkpoint._json import decode, encode
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError
from seqjax.text.tokenizer import Tokenizer
from seqjax.text.vocabulary import Vocabulary

KINDS = {kind.__name__: kind for kind in (Vocabulary, Tokenizer, Scaler)}
PLAIN = "JSON"
FOLDER = "assets"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")  # a name of a file on every system, in no other folder


def list_kinds(assets: Mapping[str, object]) -> dict[str, str]:
    """By name the class of each, "JSON" for what has none of ours."""
    kinds = {name: type(value).__name__ for name, value in assets.items()}
    return {name: kind if type(assets[name]) is KINDS.get(kind) else PLAIN for name, kind in kinds.items()}


def encode_assets(assets: Mapping[str, object]) -> dict[str, str]:
    """By name the text of the file of each.

    Raises:
        ArgumentError, ArgumentTypeError: no dict, a name that is no plain file name, or a value that cannot come back.
    """
    if not isinstance(assets, Mapping):
        raise ArgumentTypeError(f"assets must be a dict of name to value, found {type(assets).__name__} {assets!r}")
    for name in assets:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ArgumentError(f"assets: the name {name!r} must be of letters, digits, _ and -, as it names a file")
    return {name: _encode_asset(name, value) for name, value in assets.items()}


def _encode_asset(name: str, value: object) -> str:
    content = value
    if isinstance(value, Vocabulary | Tokenizer | Scaler) and type(value) in KINDS.values():  # not one of a subclass
        content = value.to_json()
    try:
        return encode(f"assets[{name!r}]", content)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error}. Or an instance of {', '.join(KINDS)}") from None


def write_assets(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the texts of `encode_assets` in a new checkpoint."""
    if texts:
        (folder / FOLDER).mkdir()
    for name, text in texts.items():
        # "x", as names may differ in case alone
        with open(folder / FOLDER / f"{name}.json", "x", encoding="utf-8") as file:
            file.write(text + "\n")


def read_texts(folder: Path, kinds: Mapping[str, str]) -> dict[str, str]:
    """By name the text of each in a checkpoint, as `encode_assets` made it.

    Raises:
        DataError: a file has gone, or would be in another folder.
    """
    if wrong := [name for name in kinds if not NAME.fullmatch(name)]:
        raise DataError(f"{folder}: the asset {wrong[0]!r} is not known. Written by another version?")
    try:
        return {name: (folder / FOLDER / f"{name}.json").read_text(encoding="utf-8")[:-1] for name in kinds}
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: an asset cannot be read: {error}") from error


def check_same_assets(where: Path, kinds: Mapping[str, str], assets: Mapping[str, object]) -> None:
    """Refuse assets in place of others that were saved; those of a new name replace nothing.

    Raises:
        ArgumentError: one of the same name is another, or one that was saved is missing.
    """
    given_kinds, given, saved = list_kinds(assets), encode_assets(assets), read_texts(where, kinds)
    for name in sorted(kinds):
        if (given_kinds.get(name), given.get(name)) != (kinds[name], saved[name]):
            found = "is another" if name in assets else "is missing"
            raise ArgumentError(
                f"assets[{name!r}] {found}: {where} was saved with a {kinds[name]} of this name. Take another folder "
                "for another training; to go on with what was saved, leave assets out"
            )


def read_assets(folder: Path, kinds: Mapping[str, str]) -> dict[str, Any]:
    """The values, equal to those that were saved; nothing but the classes in `KINDS` is made.

    Raises:
        DataError: a value cannot be made.
    """
    assets = {}
    for name, kind in kinds.items():
        path = folder / FOLDER / f"{name}.json"
        if not NAME.fullmatch(name) or kind not in (PLAIN, *KINDS):
            raise DataError(f"{folder}: the asset {name!r} of kind {kind!r} is not known. Written by another version?")
        try:
            content = decode(path.read_text(encoding="utf-8"))
            assets[name] = content if kind == PLAIN else KINDS[kind].from_json(content)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} holds no {kind}: {error}") from error
    return assets
