"""What each data set is made of, one family a file; a new family is a file here and its name in this list."""

from seqjax.datasets.families import (
    audio,
    debian,
    emoji,
    forecasting,
    images,
    music,
    series,
    tagged,
    texts,
    tracks,
    translation,
    video,
)

FAMILIES = (images, video, texts, tagged, translation, debian, music, series, forecasting, audio, tracks, emoji)
