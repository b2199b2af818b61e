"""A small data set made on the spot."""

import functools
from hashlib import sha256

from seqjax.batching.ragged import Ragged
from seqjax.datasets import catalogue
from seqjax.datasets.content import Content, Split, pack
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch import archives, store
from seqjax.datasets.fetch.origins import Original
from tests import makers

FILES = {"package/a.txt": b"to be", "package/b.txt": b"or not"}


CONTENT = makers.tar({"package/a.txt": b"to be", "package/b.txt": b"or not"})


WORDS = Content({"train": Split(Ragged.of(["to be"])), "test": Split(Ragged.of(["or not"]))}, ("a",), ("b", "c"))


def words(filename, originals):
    files = archives.members(filename, originals[filename], "package/*.txt")
    parts = {"train": files["package/a.txt"], "test": files["package/b.txt"]}
    return Content({name: Split(Ragged.of([text])) for name, text in parts.items()}, ("a",), ("b", "c"))


def entry(content=CONTENT, origin=None, filename="tiny-1.0.tgz", **options):
    original = Original(filename, sha256(content).hexdigest(), len(content), origin)
    known = dict(
        name="tiny", kind="text", about="two texts", licence="none", citation="none", splits="ours",
        counts={"train": 1, "test": 1}, originals=(original,), convert=functools.partial(words, filename),
        digest=store.digest(pack(WORDS)), size=100,
    )  # fmt: skip
    return Entry(**known | options)


def register(monkeypatch, given):
    monkeypatch.setitem(catalogue.CATALOGUE, given.name, given)


def kept(folder):
    return folder / "cache" / catalogue.CATALOGUE["tiny"].filename


def texts(data):
    return data.train.inputs.texts(), data.test.inputs.texts()


GOOD = (["to be"], ["or not"])
