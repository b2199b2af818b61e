"""Originals behind addresses: anybody's, and files of public repositories."""

import hashlib
import http.client
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seqjax.datasets.fetch.origins import Origin
from seqjax.errors import DataError

DOWNLOAD_LIMIT = 500_000_000


@dataclass(frozen=True)
class GitHub(Origin):
    """A file of a public repository at one commit, or without a path the whole of it as a zip archive."""

    repository: str
    commit: str
    path: str = ""

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        host = "https://raw.githubusercontent.com" if self.path else "https://codeload.github.com"
        inside = f"{self.commit}/{self.path}" if self.path else f"zip/{self.commit}"
        return download(f"{host}/{self.repository}/{inside}", target, progress)


@dataclass(frozen=True)
class Url(Origin):
    """A file behind an address.

    >>> Url("https://example.org/table.csv")
    Url(address='https://example.org/table.csv')
    """

    address: str

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        return download(self.address, target, progress)


def download(url: str, target: Path, progress: Callable[[int], None]) -> Path:
    """The file behind an address, put into a folder.

    Raises:
        DataError: it cannot be reached, or the transfer ends early.
    """
    path = target / hashlib.sha256(url.encode()).hexdigest()[:16]
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, path.open("wb") as file:
            expected = answer.headers.get("Content-Length")
            while chunk := answer.read(1 << 16):
                file.write(chunk)
                progress(file.tell())
                if file.tell() > DOWNLOAD_LIMIT:
                    raise DataError(f"{url} gives more than {DOWNLOAD_LIMIT} bytes; it is not what it should be")
            if expected is not None and file.tell() != int(expected):
                raise DataError(f"{url} ended after {file.tell()} of {expected} bytes")
    except (http.client.HTTPException, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{url} could not be fetched (no network?): {error}") from error
    return path
