"""Fetching by pip, npm and apt: commands that stand in for them."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqjax.datasets.fetch import commands, packages
from seqjax.datasets.fetch.packages import Apt, AptDescriptions, Installed, Npm, Pip
from seqjax.errors import DataError
from tests.datasets.stand_ins import CONTENT, PIP, SHA, get, stand_in

pytestmark = pytest.mark.usefixtures("no_folder")


def test_pip_gets_a_pinned_version_and_its_hash(pip, tmp_path):
    pip(PIP + f"open({str(tmp_path / 'said')!r}, 'w').write(' '.join(sys.argv[1:]) + open(sys.argv[-1]).read())\n"
        "(target / 'x-1.0.whl').write_bytes(content)")  # fmt: skip
    assert get(Pip("x==1.0")) == CONTENT
    said = (tmp_path / "said").read_text()
    assert said.startswith("download --no-deps --require-hashes") and "--only-binary=:all:" in said
    assert said.endswith(f"x==1.0 --hash=sha256:{SHA}\n")


def test_pip_builds_no_dependency_from_source(pip, tmp_path):
    pip(PIP + "assert '--no-binary=x' in sys.argv\n(target / 'x-1.0.tar.gz').write_bytes(content)")
    assert get(Pip("x==1.0", source=True), "x-1.0.tar.gz") == CONTENT


def test_a_member_of_a_source_archive_whose_build_fails(pip):
    body = (
        PIP + "assert os.environ['TMPDIR'] == str(target) and '--no-clean' in sys.argv\n"
        "assert f'sha256:{\"a\" * 64}' in open(sys.argv[-1]).read()\n"
        "folder = target / 'pip-download-q' / 'x_12ab' / 'data'\nfolder.mkdir(parents=True)\n"
    )
    origin = Pip("x==1.0", source=True, member="data/letters", archive_sha256="a" * 64)
    pip(body + "(folder / 'letters').write_bytes(content)\nprint('ERROR: metadata')\nsys.exit(1)")
    assert get(origin, "letters") == CONTENT
    pip(body + "print('ERROR: No matching distribution')\nsys.exit(1)")
    with pytest.raises(DataError, match="No matching distribution"):
        get(origin, "letters")


@pytest.mark.parametrize(
    "body, message",
    [
        (
            "print('WARNING: a'); print('ERROR: No matching distribution found for x'); sys.exit(1)",
            "ERROR: No matching distr",
        ),
        ("print('some words'); sys.exit(3)", "some words"),
        ("sys.exit(3)", "it ended with 3"),
        (PIP + "(target / 'x-1.0.whl').write_bytes(content[:-5])", "damaged or another version: 1195 bytes"),
        ("pass", "cannot be read: No such file"),
    ],
    ids=["no network", "words", "silent", "another file", "no file"],
)
def test_a_fetch_that_fails(pip, body, message):
    pip(body)
    with pytest.raises(
        DataError, match=f"(?s){message}.*Put the file x-1.0.whl into a folder and set SEQJAX_DATA to it"
    ):
        get(Pip("x==1.0"))


def test_a_fetch_that_hangs_is_stopped(pip, monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "FETCH_SECONDS", 0.5)
    pip(f"import subprocess; child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid)); time.sleep(60)")  # fmt: skip
    with pytest.raises(DataError, match=r"x==1.0 could not be fetched in 0.5 s"):
        get(Pip("x==1.0"))
    state = Path("/proc") / (tmp_path / "pid").read_text() / "stat"
    end = time.monotonic() + 10
    while state.exists() and state.read_text().split()[2] != "Z":
        assert time.monotonic() < end, "what pip has started lives on"
        time.sleep(0.01)


def test_a_fetch_killed_half_way_leaves_the_cache_alone(tmp_path):
    slow = stand_in(tmp_path, "pip", f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    script = (
        f"from seqjax.datasets.fetch import packages\nfrom seqjax import datasets\npackages._pip = lambda: [{str(slow)!r}]\n"
        "datasets.load('japanese_vowels')\n"
    )
    environment = {**os.environ, "SEQJAX_CACHE": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, cwd=root, stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    os.kill(int((tmp_path / "pid").read_text()), 9)
    process.communicate()
    assert list((tmp_path / "cache").iterdir()) == []


def test_npm(on_path):
    on_path("npm", "a = sys.argv\nassert a[1:3] == ['pack', 'x@1'] and '--ignore-scripts' in a\n"
            "(Path(a[a.index('--pack-destination') + 1]) / 'x-1.tgz').write_bytes(content)")  # fmt: skip
    assert get(Npm("x@1"), "x-1.tgz") == CONTENT
    on_path("npm", "print('npm error code E404'); print('npm error 404 Not Found'); sys.exit(1)")
    with pytest.raises(DataError, match=r"x@1 could not be fetched \(no network\?\): npm error 404 Not Found"):
        get(Npm("x@1"), "x-1.tgz")


def test_apt(on_path):
    on_path(
        "apt-get",
        "assert sys.argv[1:] == ['download', 'x=1:2-3']\n(Path.cwd() / 'x_1%3a2-3_all.deb').write_bytes(content)",
    )
    assert get(Apt("x=1:2-3"), "x.deb") == CONTENT
    on_path("apt-get", "print('E: Version 1:2-3 for x was not found'); sys.exit(100)")
    with pytest.raises(DataError, match="E: Version 1:2-3 for x was not found"):
        get(Apt("x=1:2-3"), "x.deb")
    on_path("apt-get", "pass")
    with pytest.raises(DataError, match="apt-get fetched no file"):
        get(Apt("x=1:2-3"), "x.deb")


def test_apt_descriptions_leave_the_machine_alone(on_path):
    body = (
        "assert sys.argv[1:] == ['update']\nsettings = open(os.environ['APT_CONFIG']).read()\nhere = Path.cwd()\n"
        "assert f'Dir::State::lists \"{here}/lists\"' in settings and 'Languages { \"fr\"; }' in settings\n"
    )
    on_path(
        "apt-get", body + "(here / 'lists' / 'deb.org_dists_bookworm_main_i18n_Translation-fr').write_bytes(content)"
    )
    assert get(AptDescriptions("bookworm", "fr"), "Translation-fr") == CONTENT
    on_path("apt-get", body)
    with pytest.raises(DataError, match="no descriptions of Debian bookworm in 'fr'"):
        get(AptDescriptions("bookworm", "fr"), "Translation-fr")


@pytest.mark.parametrize(
    "origin, message",
    [
        (Npm("x@1"), "npm is not there to fetch x@1 with"),
        (Apt("x=1"), "apt-get is not there to fetch x=1 with"),
        (AptDescriptions("bookworm", "fr"), "apt-get is not there"),
        (Pip("x==1.0"), "pip is not there to fetch with: python -m ensurepip"),
        (Installed("no-such-package==1.0", "x.py"), "missing: pip install no-such-package==1.0"),
        (None, "x-1.0.whl is in no package"),
    ],
    ids=["npm", "apt", "descriptions", "pip", "installed", "none"],
)
def test_a_machine_without_the_program(monkeypatch, tmp_path, origin, message):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=f"{message}.*set SEQJAX_DATA to it"):
        get(origin)


def test_pip_of_another_python_serves_where_this_one_has_none(monkeypatch, on_path):
    on_path("pip3", PIP + "(target / 'x-1.0.whl').write_bytes(content)")
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    assert get(Pip("x==1.0")) == CONTENT


def test_a_program_that_cannot_be_started(monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "_pip", lambda: [str(tmp_path / "nothing")])
    with pytest.raises(DataError, match="nothing could not be started: No such file"):
        get(Pip("x==1.0"))


def test_an_installed_file_is_read_where_it_lies():
    import numpy as np

    path = Path(np.__file__).parent / "version.py"
    content = path.read_bytes()
    assert get(Installed("numpy", "numpy/version.py"), "v", sha256=hashlib.sha256(content).hexdigest()) == content
