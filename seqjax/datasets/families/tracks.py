"""Where players and ball were in one football match."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.archives import members
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.packages import Pip
from seqjax.errors import DataError

MATCH = Original(
    "kloppy-3.19.1.tar.gz",
    "c2e592f8728a0bbe07566f048938b84edb0352064864996a150973a5d7c0ac0a",
    39_639_288,
    Pip("kloppy==3.19.1", source=True),
)
FRAMES, FACTS = (f"kloppy-3.19.1/kloppy/tests/files/skillcorner_{part}_data.json" for part in ("structured", "match"))
RATE = 10  # frames a second
SHORTEST = 50  # frames: five seconds


class _Piece(NamedTuple):
    """An unbroken run of frames in which one track is seen."""

    period: int
    start: int
    objects: list[int | None]
    places: list[tuple[float, float, float]]


def _convert_football(originals: Mapping[str, bytes]) -> Content:
    files = members(MATCH.filename, originals[MATCH.filename], FRAMES, FACTS)
    try:
        facts = json.loads(files[FACTS])
        kinds = {facts["ball"]["trackable_object"]: 1} | {r["trackable_object"]: 2 for r in facts["referees"]}
        pieces = _find_pieces(json.loads(files[FRAMES]))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{MATCH.filename} holds no match as expected: {error!r}") from error
    kept = sorted((p for p in pieces if len(p.places) >= SHORTEST), key=lambda p: (p.period, p.start))
    second = [p.start for p in kept if p.period == 2]
    middle = (second[0] + second[-1]) // 2
    parts = {
        "train": [p for p in kept if p.period == 1],
        "valid": [p for p in kept if p.period == 2 and p.start < middle],
        "test": [p for p in kept if p.period == 2 and p.start >= middle],
    }
    splits = {
        name: Split(
            Ragged.of([np.array(p.places, np.float32) for p in part]),
            groups=np.array([max(kinds.get(o, 0) for o in p.objects) for p in part], np.int32),
        )
        for name, part in parts.items()
    }
    return Content(splits, input_names=("x", "y", "seconds"), group_names=("player", "ball", "referee"))


def _find_pieces(frames: list[dict[str, Any]]) -> list[_Piece]:
    pieces: list[_Piece] = []
    running: dict[int, _Piece] = {}
    last = None
    for frame in frames:
        if frame["period"] is None:
            continue  # before the match, between the halves and after it
        if frame["frame"] != last:
            running = {}
        seen = {}
        for item in frame["data"]:
            piece = running.get(item["track_id"])
            if piece is None:
                piece = _Piece(frame["period"], frame["frame"], [], [])
                pieces.append(piece)
            piece.objects.append(item.get("trackable_object"))
            piece.places.append((item["x"], item["y"], frame["frame"] / RATE))
            seen[item["track_id"]] = piece
        running, last = seen, frame["frame"] + 1
    return pieces


ENTRIES = (
    Entry(
        name="football",
        kind="tracks",
        about="paths of players and ball in a match, ten places a second: x and y in metres from the centre, seconds",
        licence="MIT (SkillCorner open data)",
        citation="SkillCorner, broadcast tracking of Bayern - Dortmund, 2019-11-09, in the PyPI package kloppy 3.19.1",
        splits="ours: the first half is train, the second half is cut in two by time",
        counts={"train": 2_191, "valid": 1_033, "test": 927},
        originals=(MATCH,),
        convert=_convert_football,
        digest="97ae468da65b4939b56e2fc3e7a5302576743fe047f134a78e65d8c2cd8f825c",
        size=5_170_874,
        note="105 x 68 m; unbroken runs of at least 5 s, as the camera does not see everybody always; seconds are "
        "those of the recording, so that runs of one time can be put together; groups are players, ball and referees",
    ),
)
