"""Pairs of sentences in two languages: Multi30k, and the descriptions of Debian's packages."""

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.addresses import GitHub
from seqjax.datasets.fetch.archives import unpack
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.packages import AptDescriptions
from seqjax.errors import DataError

COMMIT = "c9be912dc05a3ebf9ae5bb5f7f58c1791cda43ab"
MULTI30K = {
    "train.en": ("d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f", 568_929),
    "train.de": ("726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6", 637_044),
    "train.fr": ("622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c", 604_242),
    "val.en": ("14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28", 21_650),
    "val.de": ("f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a", 24_681),
    "val.fr": ("ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9", 23_001),
    "test_2016_flickr.en": ("611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9", 21_077),
    "test_2016_flickr.de": ("9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8", 22_890),
    "test_2016_flickr.fr": ("6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90", 22_310),
}
PARTS = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
DEBIAN = tuple(
    Original(f"bookworm_main_Translation-{language}", sha256, size, AptDescriptions("bookworm", language))
    for language, sha256, size in (
        ("en", "62f59c3cdca9786e4f7adf9002f9f5729a684adcb4667e58e448dec9b5a46c7f", 32_699_363),
        ("fr", "1b5ce81d2dac68fb27997899d9e092b8281f984baa658c22139d8f2640aec6cc", 13_260_065),
    )
)
SHORTEST, LONGEST = 3, 50


def _multi30k_files(language: str) -> tuple[Original, ...]:
    return tuple(
        Original(
            f"multi30k/{name}.gz", *MULTI30K[name], GitHub("multi30k/dataset", COMMIT, f"data/task1/raw/{name}.gz")
        )
        for name in (f"{part}.{code}" for part in PARTS.values() for code in ("en", language))
    )


def _convert_multi30k(language: str, originals: Mapping[str, bytes]) -> Content:
    def lines(part: str, code: str) -> Ragged:
        name = f"multi30k/{part}.{code}.gz"
        return Ragged.of(unpack(name, originals[name]).decode().removesuffix("\n").split("\n"))

    return Content({name: Split(lines(part, "en"), lines(part, language)) for name, part in PARTS.items()})


def _convert_debian(originals: Mapping[str, bytes]) -> Content:
    english, french = (_read_descriptions(original.filename, originals[original.filename]) for original in DEBIAN)
    pairs: dict[str, list[tuple[str, str]]] = {"train": [], "valid": [], "test": []}
    seen: set[tuple[str, str]] = set()
    for key in sorted(english.keys() & french.keys(), key=lambda key: (english[key][0], key)):
        package, ours = english[key]
        draw = int(hashlib.sha256(package.encode()).hexdigest()[:8], 16) % 100
        split = "test" if draw < 3 else "valid" if draw < 6 else "train"
        for pair in _pair_sentences(ours, french[key][1]):
            if pair not in seen:
                seen.add(pair)
                pairs[split].append(pair)
    known = [{pair[side] for pair in pairs["train"]} for side in (0, 1)]
    for name in ("valid", "test"):
        pairs[name] = [(a, b) for a, b in pairs[name] if a not in known[0] and b not in known[1]]
    return Content(
        {name: Split(Ragged.of(a for a, _ in part), Ragged.of(b for _, b in part)) for name, part in pairs.items()}
    )


def _read_descriptions(filename: str, content: bytes) -> dict[str, tuple[str, list[str]]]:
    """Checksum of the English text -> (package, paragraphs with the title first)."""
    found = {}
    for entry in content.decode().split("\n\n"):
        fields = re.match(r"Package: (\S+)\nDescription-md5: (\w+)\nDescription-\w+:((?:.|\n)*)", entry)
        if not fields:
            if entry.strip():
                raise DataError(f"{filename} is no list of descriptions; it has {entry[:60]!r}")
            continue
        title, *lines = fields[3].rstrip("\n").split("\n")
        found[fields[2]] = (fields[1], [title.strip(), *_join_paragraphs(lines)])
    return found


def _join_paragraphs(lines: list[str]) -> Iterator[str]:
    """Running text; a line with more than one blank before it (a list or a listing) stands for itself."""
    running: list[str] = []
    for line in [*lines, " ."]:
        if line.strip() == "." or line.startswith("  "):
            if running:
                yield " ".join(running)
            running = []
            if line.startswith("  "):
                yield " ".join(line.split())
        else:
            running.append(" ".join(line.split()))


def _pair_sentences(ours: list[str], theirs: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs from texts of equally many paragraphs, and paragraphs of equally many sentences."""
    if len(ours) != len(theirs):
        return
    for a, b in zip(ours, theirs):
        left, right = (re.split(r"(?<=[.!?])\s+(?=[A-Z0-9«\"(ÀÂÇÉÈÊÎÔ])", text) for text in (a, b))
        if len(left) == len(right):
            yield from (pair for pair in zip(left, right) if all(SHORTEST <= len(s.split()) <= LONGEST for s in pair))


def _multi30k_entry(language: str, name: str, digest: str, size: int) -> Entry:
    return Entry(
        name=f"multi30k_en_{language}",
        kind="pairs",
        about=f"captions of pictures in English and {name}, raw text",
        licence="CC BY-NC-SA 4.0, non-commercial research",
        citation="Elliott, Frank, Sima'an and Specia, 2016, Multi30K: multilingual English-German image descriptions",
        splits="published; test is test_2016_flickr",
        counts={"train": 29_000, "valid": 1_014, "test": 1_000},
        originals=_multi30k_files(language),
        convert=functools.partial(_convert_multi30k, language),
        digest=digest,
        size=size,
        overlap={"valid": 1, "test": 0},
    )


ENTRIES = (
    _multi30k_entry("de", "German", "48da311e75dd01089b142313912e39f098bcfa25d2c0bde3597af2beed96b087", 4_617_883),
    _multi30k_entry("fr", "French", "920f48fa6503d103a5a0994b51b1f35cc8dec30596b21a8e81ee8372541ce709", 4_618_343),
    Entry(
        name="debian_en_fr",
        kind="pairs",
        about="titles, list items and sentences of 3 to 50 words from package descriptions, in English and French",
        licence="that of each package, all free",
        citation="Debian Description Translation Project, release bookworm",
        splits="ours: 3 of 100 packages are valid, 3 are test, chosen by the sha256 of the name",
        counts={"train": 60_083, "valid": 1_715, "test": 1_655},
        originals=DEBIAN,
        convert=_convert_debian,
        digest="c9bcf1b9ec43885074819087234cbfeffc782f217f9d98e3366a102a625fec9f",
        size=12_063_911,
        note="one domain with much repetition; no pair stands twice, and no side of a held-out pair stands in train. "
        "Made of the lists of bookworm as of 2026-11; should they change, put the old ones into SEQJAX_DATA",
    ),
)
