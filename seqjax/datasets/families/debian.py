"""Descriptions of Debian's packages: sentences in English and French, and texts with the lines that sum them up."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.packages import AptDescriptions
from seqjax.errors import DataError

Pair = tuple[str, str]
DEBIAN = tuple(
    Original(f"bookworm_main_Translation-{language}", sha256, size, AptDescriptions("bookworm", language))
    for language, sha256, size in (
        ("en", "62f59c3cdca9786e4f7adf9002f9f5729a684adcb4667e58e448dec9b5a46c7f", 32_699_363),
        ("fr", "1b5ce81d2dac68fb27997899d9e092b8281f984baa658c22139d8f2640aec6cc", 13_260_065),
    )
)
SHORTEST, LONGEST = 3, 50
"""Words of a sentence."""
SHORTEST_TEXT, LONGEST_TEXT = 10, 200
"""Words of a description."""


def _convert_sentences(originals: Mapping[str, bytes]) -> Content:
    english, french = (_read_descriptions(original.filename, originals[original.filename]) for original in DEBIAN)
    keys = sorted(english.keys() & french.keys(), key=lambda key: (english[key][0], key))
    return _share_out(
        (english[key][0], pair) for key in keys for pair in _pair_sentences(english[key][1], french[key][1])
    )


def _convert_summaries(originals: Mapping[str, bytes]) -> Content:
    name = DEBIAN[0].filename
    texts = (paragraphs for _, paragraphs in sorted(_read_descriptions(name, originals[name]).values()))
    return _share_out(_pair_summaries(texts))


def _pair_summaries(texts: Iterable[list[str]]) -> Iterator[tuple[str, Pair]]:
    """Behind the first paragraph, with each number as 0, the description and its summary."""
    for summary, *paragraphs in texts:
        whole = "\n".join(paragraphs)
        if SHORTEST_TEXT <= len(whole.split()) <= LONGEST_TEXT and len(summary.split()) >= SHORTEST:
            yield re.sub(r"\d+", "0", paragraphs[0]), (whole, summary)


def _share_out(found: Iterable[tuple[str, Pair]]) -> Content:
    """Each pair once, in the split of the name before it; no held-out one with a side that stands in train."""
    pairs: dict[str, list[Pair]] = {"train": [], "valid": [], "test": []}
    seen: set[Pair] = set()
    for name, pair in found:
        if pair not in seen:
            seen.add(pair)
            draw = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100
            pairs["test" if draw < 3 else "valid" if draw < 6 else "train"].append(pair)
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


def _pair_sentences(ours: list[str], theirs: list[str]) -> Iterator[Pair]:
    """Pairs from texts of equally many paragraphs, and paragraphs of equally many sentences."""
    if len(ours) != len(theirs):
        return
    for a, b in zip(ours, theirs):
        left, right = (re.split(r"(?<=[.!?])\s+(?=[A-Z0-9«\"(ÀÂÇÉÈÊÎÔ])", text) for text in (a, b))
        if len(left) == len(right):
            yield from (pair for pair in zip(left, right) if all(SHORTEST <= len(s.split()) <= LONGEST for s in pair))


ENTRIES = (
    Entry(
        name="debian_en_fr",
        kind="pairs",
        about="titles, list items and sentences of 3 to 50 words from package descriptions, in English and French",
        licence="that of each package, all free",
        citation="Debian Description Translation Project, release bookworm",
        splits="ours: 3 of 100 packages are valid, 3 are test, chosen by the sha256 of the name",
        counts={"train": 60_083, "valid": 1_715, "test": 1_655},
        originals=DEBIAN,
        convert=_convert_sentences,
        digest="c9bcf1b9ec43885074819087234cbfeffc782f217f9d98e3366a102a625fec9f",
        size=12_063_911,
        note="one domain with much repetition; no pair stands twice, and no side of a held-out pair stands in train. "
        "Made of the lists of bookworm as of 2026-11; should they change, put the old ones into SEQJAX_DATA",
    ),
    Entry(
        name="debian_summaries",
        kind="pairs",
        about="descriptions of packages in English, of 10 to 200 words, and the line that sums each of them up",
        licence="that of each package, all free",
        citation="the maintainers of Debian's packages, release bookworm",
        splits="ours: 3 of 100 first paragraphs are valid, 3 are test, chosen by the sha256 of the paragraph with each "
        "number as 0, as packages of one source share it",
        counts={"train": 56_004, "valid": 1_618, "test": 1_754},
        originals=DEBIAN[:1],
        convert=_convert_summaries,
        digest="61bc4c80be9c2715cbc92895be71043ea1fb7069f25b7c7c178d495f8df5196a",
        size=24_436_332,
        note="paragraphs and items of lists are lines of a text, summaries have 3 words or more; no pair stands twice, "
        "and no side of a held-out pair stands in train. See debian_en_fr for changed lists",
    ),
)
