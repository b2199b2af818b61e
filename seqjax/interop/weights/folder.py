"""A folder as Hugging Face's `save_pretrained` writes it: `config.json` and safetensors files, never pickles.

A folder comes from elsewhere, so nothing in it is trusted: names of files may not lead out of it, every tensor that the
index promises must be in its file, and digests are compared before anything is read. The format is described at
https://huggingface.co/docs/safetensors.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from seqjax.errors import ArgumentError, ArgumentTypeError, DataError, SeqjaxError
from seqjax.interop.weights.pairs import few

CONFIG = "config.json"
TENSORS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CHECKSUMS = "SHA256SUMS"
CHECKSUM = re.compile(r"([0-9a-f]{64})  (\S+)")
PLAIN_NAME = re.compile(r"[\w-][\w.-]*\.safetensors")
DIGEST = re.compile(r"[0-9a-fA-F]{64}")


def read_folder(
    folder: Path, sha256: str | Mapping[str, str] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The configuration and the tensors by name.

    `sha256` is the digest of `model.safetensors`, or a dict from names of files to digests. A file `SHA256SUMS` in
    the folder, which `write_folder` writes, is held against the files too.

    Raises:
        DataError: a file is missing, damaged, named so that it leads out of the folder, or has another digest.
        ArgumentError, ArgumentTypeError: `sha256` is no digest.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder. Expected one with {CONFIG} and {TENSORS}, as save_pretrained writes it"
        )
    config = read_json(folder / CONFIG)
    files = _files_of_tensors(folder)
    for name, digest in (_known_digests(folder) | _given_digests(sha256, set(files))).items():
        _compare(folder / name, digest)
    tensors: dict[str, np.ndarray] = {}
    for name, wanted in files.items():
        tensors |= _read_tensors(folder / name, wanted)
    return config, tensors


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        DataError: the file is missing or holds something else.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: it is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} must hold a JSON object, found {type(value).__name__}")
    return value


def _files_of_tensors(folder: Path) -> dict[str, set[str] | None]:
    """The names of the safetensors files, with the names of the tensors in each if an index tells them."""
    if (folder / TENSORS).exists():
        return {TENSORS: None}
    if not (folder / INDEX).exists():
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt"))
        found = f"found only {', '.join(pickles)}, which are pickles: reading them can run code. " if pickles else ""
        raise DataError(
            f"{folder} has neither {TENSORS} nor {INDEX}; {found}"
            "Write the folder with save_pretrained, which makes safetensors files"
        )
    places = read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise DataError(f"{folder / INDEX} is damaged: weight_map must name a file for each tensor")
    return {
        _plain_name(folder, file): {tensor for tensor, place in places.items() if place == file}
        for file in dict.fromkeys(map(str, places.values()))
    }


def _plain_name(folder: Path, name: str) -> str:
    """The name of a file of the folder itself: with no way into another."""
    if not PLAIN_NAME.fullmatch(name):
        raise DataError(
            f"{folder / INDEX} names the file {name!r}: expected a plain name such as "
            "'model-00001-of-00002.safetensors'. A name with a folder in it could lead out of it, and is refused"
        )
    return name


def _given_digests(sha256: str | Mapping[str, str] | None, files: set[str]) -> dict[str, str]:
    if sha256 is None:
        return {}
    if isinstance(sha256, str):
        if len(files) > 1:
            raise ArgumentError(f"sha256 is one digest for {len(files)} files. Give a dict: {{name of a file: digest}}")
        sha256 = dict.fromkeys(files, sha256)
    if not isinstance(sha256, Mapping):
        raise ArgumentTypeError(f"sha256 must be a digest, or a dict of digests by names of files, found {sha256!r}")
    if wrong := sorted(set(sha256) - files - {CONFIG, INDEX}):
        raise ArgumentError(f"sha256 names {wrong}, which are not read. Files: {sorted(files | {CONFIG})}")
    if missing := sorted(files - set(sha256)):
        raise ArgumentError(f"sha256 names no digest of {missing}: all files with tensors need one")
    for digest in sha256.values():
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise ArgumentError(f"sha256 must be 64 hexadecimal digits, found {digest!r}")
    return dict(sha256)


def _known_digests(folder: Path) -> dict[str, str]:
    """What the file of checksums says, if there is one."""
    path = folder / CHECKSUMS
    if not path.exists():
        return {}
    digests = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        match = CHECKSUM.fullmatch(line)
        if match is None or Path(match[2]).name != match[2]:
            raise DataError(f"{path} is damaged: expected lines 'digest  name', found {line[:80]!r}")
        digests[match[2]] = match[1]
    return digests


def _compare(path: Path, digest: str) -> None:
    try:
        found = digest_of(path)
    except OSError as error:
        raise DataError(f"{path}, of which a digest is known, cannot be read: {error.strerror}") from error
    if found != digest.lower():
        raise DataError(
            f"{path} has the sha256 {found}, expected {digest}. The file was damaged, or is another version: "
            "fetch it again from where the digest comes from"
        )


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_tensors(path: Path, wanted: set[str] | None) -> dict[str, np.ndarray]:
    """The tensors of a file, those that the index places there if there is one."""
    safetensors = load_safetensors()
    try:
        with safetensors.safe_open(path, framework="np") as file:
            names = set(file.keys())
            if wanted is not None and wanted - names:
                raise DataError(f"{path} lacks tensors that {INDEX} places there: {few(sorted(wanted - names))}")
            return {name: file.get_tensor(name) for name in sorted(names if wanted is None else wanted)}
    except SeqjaxError:
        raise
    except AttributeError as error:  # NumPy has no such dtype
        raise DataError(
            f"{path} holds numbers of a kind that NumPy has not ({error}), as quantised models do"
        ) from error
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged, cut off, or no safetensors file: {error}") from error


def load_safetensors() -> Any:
    """The package `safetensors`, which is an extra.

    Raises:
        DataError: it is not installed.
    """
    try:
        import safetensors.numpy
    except ImportError as error:
        raise DataError("safetensors files need the package: pip install 'seqjax[huggingface]'") from error
    return safetensors


def write_folder(folder: Path, config: Mapping[str, object], tensors: Mapping[str, np.ndarray]) -> None:
    """Write a new folder that transformers can load, all at once: it is complete, or it is not there.

    Raises:
        DataError: something is there already, or the disk is full.
    """
    safetensors = load_safetensors()
    arrays = {name: np.ascontiguousarray(array) for name, array in sorted(tensors.items())}
    with _new_folder(folder) as part:
        (part / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        safetensors.numpy.save_file(arrays, part / TENSORS, metadata={"format": "pt"})  # transformers asks for "pt"
        lines = [f"{digest_of(part / name)}  {name}\n" for name in (CONFIG, TENSORS)]  # as sha256sum prints them
        (part / CHECKSUMS).write_text("".join(lines))
        for name in (CONFIG, TENSORS, CHECKSUMS):  # before the folder gets its name: else a power cut may empty them
            with (part / name).open("rb") as file:
                os.fsync(file.fileno())


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill that gets its name when it is complete."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already. Choose another name, or remove it first")
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.part")
    try:
        part.mkdir(parents=True)
        yield part
        part.replace(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
