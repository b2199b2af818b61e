"""Moving MNIST: two digits that glide over a dark square and bounce off its sides."""

from collections.abc import Mapping

import numpy as np

from seqjax._internal.types import Num
from seqjax._internal.validation import whole_number
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.families.images import MNIST, convert_mnist
from seqjax.errors import ArgumentError

SPEED = 3.6  # pixels a frame: a tenth of the way that a digit has, as in the paper's generator


def moving_digits(
    images: Num[np.ndarray, "n H W"], count: int, seed: int, frames: int = 20, size: int = 64, digits: int = 2
) -> Num[np.ndarray, "count frames size size"]:
    r"""Videos `[count, frames, size, size]` uint8 of pictures in motion.

    Each picture starts at a random place, moves in a random direction with constant speed, and is mirrored at the
    sides; where pictures overlap the brighter pixel is seen. All is drawn by NumPy's Philox generator.

    >>> square = np.full((1, 2, 2), 9, np.uint8)
    >>> videos = moving_digits(square, count=1, seed=0, frames=2, size=5, digits=1)
    >>> print(videos[0, 0], videos[0, 1], sep="\n\n")
    [[0 0 0 0 0]
     [9 9 0 0 0]
     [9 9 0 0 0]
     [0 0 0 0 0]
     [0 0 0 0 0]]
    <BLANKLINE>
    [[9 9 0 0 0]
     [9 9 0 0 0]
     [0 0 0 0 0]
     [0 0 0 0 0]
     [0 0 0 0 0]]

    Srivastava, Mansimov and Salakhutdinov, 2015, "Unsupervised learning of video representations using LSTMs".

    Args:
        images: uint8 `[n, H, W]`.
        count: number of videos.
        seed: equal seeds give equal videos.
        frames: T.
        size: height and width of a frame.
        digits: pictures in a video.

    Raises:
        ArgumentError, ArgumentTypeError: the pictures are larger than a frame, or not `[n, H, W]`; the seed is no
            whole number in [0, 2**63).
    """
    if images.ndim != 3 or max(images.shape[1:]) > size:
        raise ArgumentError(f"images must be [n, height, width] of at most {size} pixels, found shape {images.shape}")
    height, width = images.shape[1:]
    draw = np.random.Generator(np.random.Philox(whole_number("seed", seed))).random((4, count, digits))
    chosen = (draw[0] * len(images)).astype(int)
    angle = 2 * np.pi * draw[1]
    times = SPEED * np.arange(frames)[:, None, None]
    top = _bounce(draw[2] * (size - height) + np.sin(angle) * times, size - height)
    left = _bounce(draw[3] * (size - width) + np.cos(angle) * times, size - width)
    videos = np.zeros((count, frames, size, size), np.uint8)
    for d in range(digits):
        for t in range(frames):
            rows = top[t, :, d, None, None] + np.arange(height)[:, None]
            columns = left[t, :, d, None, None] + np.arange(width)
            place = (np.arange(count)[:, None, None], t, rows, columns)
            videos[place] = np.maximum(videos[place], images[chosen[:, d]])
    return videos


def _bounce(position: np.ndarray, limit: int) -> np.ndarray:
    """A free path folded into [0, limit], in whole pixels."""
    folded = np.abs((position + limit) % (2 * limit) - limit) if limit else np.zeros_like(position)
    return np.minimum(folded.astype(int), limit)


def _convert_moving(originals: Mapping[str, bytes]) -> Content:
    still = convert_mnist(originals).splits
    made = {
        "train": moving_digits(still["train"].inputs[:-5000], 1000, seed=1),
        "valid": moving_digits(still["train"].inputs[-5000:], 200, seed=2),
        "test": moving_digits(still["test"].inputs, 400, seed=3),
    }
    return Content({name: Split(videos) for name, videos in made.items()})


ENTRIES = (
    Entry(
        name="moving_mnist",
        kind="video",
        about="videos of two moving digits, 20 frames of 64 x 64 bytes",
        licence="CC BY-SA 3.0 (MNIST)",
        citation="Srivastava et al., 2015, Unsupervised learning of video representations using LSTMs",
        splits="ours: made from the first 55,000, the last 5,000 and the test pictures of MNIST, seeds 1, 2, 3",
        counts={"train": 1000, "valid": 200, "test": 400},
        originals=(MNIST,),
        convert=_convert_moving,
        digest="b64db4ab0d4f1b004b925599d0fc61f39593d9a1ae226bd8d030162b87246744",
        size=131_072_000,
        note="the published test videos are a file of their own, so figures from these are comparable in kind alone; "
        "datasets.moving_digits makes more",
    ),
)
