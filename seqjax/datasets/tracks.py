"""Where players and ball were in one football match."""

import json
from collections.abc import Mapping

import numpy as np

from seqjax.datasets.archives import member
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.origins import Original, Pip
from seqjax.errors import DataError
from seqjax.ragged import Ragged

MATCH = Original(
    "kloppy-3.19.1.tar.gz",
    "c2e592f8728a0bbe07566f048938b84edb0352064864996a150973a5d7c0ac0a",
    39_639_288,
    Pip("kloppy==3.19.1", source=True),
)
PATH = "kloppy-3.19.1/kloppy/tests/files/skillcorner_structured_data.json"
SHORTEST = 50  # frames: five seconds


def _football(originals: Mapping[str, bytes]) -> Content:
    try:
        frames = json.loads(member(MATCH.filename, originals[MATCH.filename], PATH))
        pieces = _pieces(frames)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{PATH} is no list of frames: {error}") from error
    kept = [(period, start, np.array(track, np.float32)) for period, start, track in pieces if len(track) >= SHORTEST]
    kept.sort(key=lambda piece: piece[:2])
    second = [start for period, start, _ in kept if period == 2]
    middle = (second[0] + second[-1]) // 2
    parts = {
        "train": [track for period, _, track in kept if period == 1],
        "valid": [track for period, start, track in kept if period == 2 and start < middle],
        "test": [track for period, start, track in kept if period == 2 and start >= middle],
    }
    return Content({name: Split(Ragged.of(tracks)) for name, tracks in parts.items()}, input_names=("x", "y"))


def _pieces(frames: list[dict]) -> list[tuple[int, int, list[tuple[float, float]]]]:
    """(half, first frame, positions) for each unbroken run of frames in which one track is seen."""
    pieces: list[tuple[int, int, list[tuple[float, float]]]] = []
    running: dict[int, list[tuple[float, float]]] = {}
    last = None
    for frame in frames:
        if frame["period"] is None:
            continue  # before the match, between the halves and after it
        if frame["frame"] != last:
            running = {}
        seen = {}
        for item in frame["data"]:
            track = running.get(item["track_id"])
            if track is None:
                track = []
                pieces.append((frame["period"], frame["frame"], track))
            track.append((item["x"], item["y"]))
            seen[item["track_id"]] = track
        running, last = seen, frame["frame"] + 1
    return pieces


ENTRIES = (
    Entry(
        name="football",
        kind="tracks",
        title="paths of players and ball in a match, `[T, 2]` metres from the centre of 105 x 68, ten a second",
        licence="MIT (SkillCorner open data)",
        citation="SkillCorner, broadcast tracking of Bayern - Dortmund, 2019-11-09, in the PyPI package kloppy 3.19.1",
        splits="ours: the first half is train, the second half is cut in two by time",
        counts={"train": 2_191, "valid": 1_033, "test": 927},
        originals=(MATCH,),
        convert=_football,
        note="unbroken runs of at least 5 s; the camera does not see everybody always",
    ),
)
