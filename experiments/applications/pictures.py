"""Pictures of one's own, brought into the form that a model was trained on."""

import numpy as np

from seqjax._internal.types import Num
from seqjax.errors import ArgumentError, DataError

BOX = 20 / 28  # of the side: the digits of MNIST lie in a box of 20 x 20 pixels


def read_picture(path: str, mode: str) -> Num[np.ndarray, "H W ..."]:
    """A picture as bytes: mode "L" in greys, "RGBA" in colours with an alpha channel.

    Raises:
        DataError: there is no picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            clear = Image.new("RGBA", image.size, "white" if mode == "L" else (0, 0, 0, 0))
            return np.asarray(Image.alpha_composite(clear, image.convert("RGBA")).convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no picture that can be read: {error}") from error


def centred(picture: Num[np.ndarray, "H W"], side: int) -> Num[np.ndarray, "S S"]:
    """Bright ink on black, cut out and in a box as MNIST's, its centre of mass in the middle (LeCun et al. 1998).

    Raises:
        ArgumentError: all pixels are alike.
    """
    from PIL import Image

    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    ink = np.abs(picture.astype(np.float64) - np.median(edge))
    if ink.max() < 16:
        raise ArgumentError("--apply: the picture is of one colour, so there is no digit in it")
    rows, columns = (np.flatnonzero((ink > 0.3 * ink.max()).any(axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX * side / max(ink.shape)
    height, width = (max(1, round(size * scale)) for size in ink.shape)
    small = Image.fromarray((255 * ink / ink.max()).astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    found = np.asarray(small, np.float64)
    at = [np.average(np.arange(n), weights=found.sum(1 - axis)) for axis, n in enumerate(found.shape)]
    top, left = (int(np.clip(round(side / 2 - m), 0, side - n)) for m, n in zip(at, found.shape))
    whole = np.zeros((side, side), np.uint8)
    whole[top : top + height, left : left + width] = found
    return whole


def square(picture: Num[np.ndarray, "H W C"], side: int) -> Num[np.ndarray, "S S C"]:
    """A picture in colours in a square of this side, with clear edges where it is not one itself."""
    from PIL import Image

    image = Image.fromarray(picture)
    whole = Image.new(image.mode, (max(image.size),) * 2)
    whole.paste(image, ((whole.width - image.width) // 2, (whole.height - image.height) // 2))
    return np.asarray(whole.resize((side, side), Image.Resampling.BOX))
