"""From what is stored to what a model reads."""

from typing import overload

import numpy as np

from seqjax._internal.types import Float, Num
from seqjax._internal.validation import whole_number
from seqjax.batching.ragged import Ragged
from seqjax.errors import ArgumentError


def pixels(images: Num[np.ndarray, "n H W"]) -> Float[np.ndarray, "n T 1"]:
    """Images read pixel by pixel, row after row: `[n, H, W]` to float32 `[n, H W, 1]`, bytes scaled to [0, 1].

    >>> pixels(np.array([[[0, 255], [51, 102]]], np.uint8))[..., 0]
    array([[0. , 1. , 0.2, 0.4]], dtype=float32)

    Le, Jaitly and Hinton, 2015, "A simple way to initialize recurrent networks of rectified linear units".

    Raises:
        ArgumentError: other axes.
    """
    if images.ndim != 3:
        raise ArgumentError(f"images must be [n, height, width], found shape {images.shape}")
    flat = images.reshape(len(images), -1, 1)
    return flat.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else flat.astype(np.float32)


@overload
def vectors(inputs: Ragged, divide: int | float = 1) -> Ragged: ...


@overload
def vectors(inputs: Num[np.ndarray, "n T ..."], divide: int | float = 1) -> Float[np.ndarray, "n T D"]: ...


def vectors(inputs: Ragged | np.ndarray, divide: int | float = 1) -> Ragged | np.ndarray:
    """Steps of any kind as float32 vectors: `[n, T, ...]` to `[n, T, D]`, a `Ragged` of `[T, ...]` to one of `[T, D]`.

    Rows of pictures, frames of videos, piano rolls, bits and waves become what cells read; a wave has D = 1.

    >>> videos = np.zeros((3, 20, 64, 64), np.uint8)
    >>> vectors(videos, 255).shape
    (3, 20, 4096)
    >>> waves = Ragged.of([np.array([0, 16384], np.int16), np.array([-8192], np.int16)])
    >>> [wave.tolist() for wave in vectors(waves, 32768)]
    [[[0.0], [0.5]], [[-0.25]]]

    Args:
        inputs: numbers.
        divide: what each value is divided by, such as 255 for bytes and 32768 for waves of 16 bits.

    Raises:
        ArgumentError: an array without a time axis.
    """
    if isinstance(inputs, Ragged):
        return Ragged(vectors(inputs.values[None], divide)[0], inputs.offsets)
    if inputs.ndim < 2:
        raise ArgumentError(f"inputs must be [n, T, ...], found shape {inputs.shape}")
    flat = inputs.reshape(*inputs.shape[:2], -1).astype(np.float32)
    return flat if divide == 1 else flat / np.float32(divide)


def permute(sequences: Num[np.ndarray, "n T ..."], seed: int = 0) -> Num[np.ndarray, "n T ..."]:
    """The steps of all sequences `[n, T, ...]` in one other order, the same for each seed: permuted MNIST.

    The order is that of T random numbers of NumPy's Philox generator.

    >>> permute(np.array([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]])).tolist()
    [[0, 3, 1, 2, 4], [5, 8, 6, 7, 9]]

    Raises:
        ArgumentError, ArgumentTypeError: the seed is no whole number in [0, 2**63).
    """
    numbers = np.random.Generator(np.random.Philox(whole_number("seed", seed))).random(sequences.shape[1])
    return sequences[:, np.argsort(numbers, kind="stable")]


def log_mel(
    wave: Num[np.ndarray, " samples"], rate: int = 8000, bands: int = 40, window: float = 0.025, hop: float = 0.010
) -> Float[np.ndarray, "T bands"]:
    """Log energies of overlapping frames in bands equally wide on the mel scale: `[samples]` to float32 `[T, bands]`.

    Frames of `window` seconds every `hop` seconds (the last filled with zeros), Hann window, power spectrum |X|^2,
    triangular filters between 0 Hz and rate / 2 with mel(f) = 2595 log10(1 + f / 700), then ln(energy + 1e-6).
    Integers are scaled to [-1, 1).

    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000)  # half a second of 1,000 Hz
    >>> features = log_mel(tone, bands=10)
    >>> features.shape, int(features.mean(axis=0).argmax())  # the band around 1,000 Hz
    ((49, 10), 4)

    Davis and Mermelstein, 1980, "Comparison of parametric representations for monosyllabic word recognition".

    Raises:
        ArgumentError: the wave has other axes or is empty.
    """
    if wave.ndim != 1 or not len(wave):
        raise ArgumentError(f"wave must be one channel of samples, found shape {wave.shape}")
    scale = np.iinfo(wave.dtype).max + 1 if np.issubdtype(wave.dtype, np.integer) else 1
    size, step = round(window * rate), round(hop * rate)
    frames = 1 + max(0, -(-(len(wave) - size) // step))
    padded = np.zeros((frames - 1) * step + size)
    padded[: len(wave)] = wave / scale
    cut = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]
    transform = 1 << (size - 1).bit_length()
    power = np.abs(np.fft.rfft(cut * np.hanning(size), transform)) ** 2
    return np.log(power @ _filters(rate, bands, transform) + 1e-6).astype(np.float32)


def _filters(rate: int, bands: int, transform: int) -> Float[np.ndarray, "frequencies bands"]:
    """Triangles `[frequencies, bands]` whose corners are equally spaced in mel."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(transform, 1 / rate)[:, None]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return np.maximum(0, np.minimum(rising, falling))
