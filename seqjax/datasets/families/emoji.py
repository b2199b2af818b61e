"""Pictures and what they are called: one picture in, a name out."""

import hashlib
import io
import json
from collections.abc import Mapping

import numpy as np

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.archives import members
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.packages import Npm
from seqjax.errors import DataError

EMOJI = Original(
    "emoji-datasource-twitter-16.0.0.tgz",
    "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
    61_683_754,
    Npm("emoji-datasource-twitter@16.0.0"),
)
LIST, SHEET = "package/emoji.json", "package/img/twitter/sheets/32.png"
SIZE, BORDER = 32, 1


def _convert_emoji(originals: Mapping[str, bytes]) -> Content:
    files = members(EMOJI.filename, originals[EMOJI.filename], LIST, SHEET)
    sheet = _read_picture(files[SHEET])
    entries = sorted(json.loads(files[LIST]), key=lambda entry: entry["unified"])
    categories = tuple(sorted({entry["category"] for entry in entries}))
    rows: dict[str, list[tuple[np.ndarray, str, int]]] = {"train": [], "valid": [], "test": []}
    for entry in entries:
        name = (entry["name"] or entry["short_name"].replace("_", " ")).lower()
        draw = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 10
        top, left = (entry[key] * (SIZE + 2 * BORDER) + BORDER for key in ("sheet_y", "sheet_x"))
        picture = sheet[top : top + SIZE, left : left + SIZE]
        split = {8: "valid", 9: "test"}.get(draw, "train")
        rows[split].append((picture, name, categories.index(entry["category"])))
    splits = {
        split: Split(
            np.array([picture for picture, _, _ in part], np.uint8).reshape(-1, SIZE, SIZE, 4),
            Ragged.of([name for _, name, _ in part]),
            np.array([category for _, _, category in part], np.int32),
        )
        for split, part in rows.items()
    }
    return Content(splits, group_names=categories)


def _read_picture(content: bytes) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("emoji are read with Pillow: pip install pillow") from error
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            return np.asarray(image.convert("RGBA"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{SHEET} is no picture: {error}") from error


ENTRIES = (
    Entry(
        name="emoji",
        kind="images",
        about="pictures of 32 x 32 with four channels of bytes, and their names; groups are categories",
        licence="names MIT; pictures CC BY 4.0 (Twitter)",
        citation="Twemoji, in the npm package emoji-datasource-twitter 16.0.0",
        splits="ours: eight, one and one tenth by the sha256 of the name",
        counts={"train": 1_519, "valid": 205, "test": 187},
        originals=(EMOJI,),
        convert=_convert_emoji,
        digest="db057a0a68db46b5d7871bcd39ec48aa4a166bb0fa696b5d586326fbd78f3c17",
        size=7_878_301,
        note="1,911 emoji, without variants of skin",
    ),
)
