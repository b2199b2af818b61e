"""From what is stored to what a model reads."""

from typing import Any

import numpy as np

from seqjax._internal.validation import whole_number
from seqjax.batching.ragged import Ragged
from seqjax.errors import ArgumentError


def pixels(images: np.ndarray) -> np.ndarray:
    """Images read pixel by pixel, row after row: `[n, H, W]` to float32 `[n, H W, 1]`, bytes scaled to [0, 1].

    Le, Jaitly and Hinton, 2015, "A simple way to initialize recurrent networks of rectified linear units".

    Raises:
        ArgumentError: other axes.
    """
    if images.ndim != 3:
        raise ArgumentError(f"images must be [n, height, width], found shape {images.shape}")
    flat = images.reshape(len(images), -1, 1)
    return flat.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else flat.astype(np.float32)


def vectors(inputs: Any, divide: float = 1) -> Any:
    """Steps of any kind as float32 vectors: `[n, T, ...]` to `[n, T, D]`, a `Ragged` of `[T, ...]` to one of `[T, D]`.

    Rows of pictures, frames of videos, piano rolls, bits and waves become what cells read; a wave has D = 1.

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


def permute(sequences: np.ndarray, seed: int = 0) -> np.ndarray:
    """The steps of all sequences `[n, T, ...]` in one other order, the same for each seed: permuted MNIST.

    The order is that of T random numbers of NumPy's Philox generator.

    Raises:
        ArgumentError, ArgumentTypeError: the seed is no whole number in [0, 2**63).
    """
    numbers = np.random.Generator(np.random.Philox(whole_number("seed", seed))).random(sequences.shape[1])
    return sequences[:, np.argsort(numbers, kind="stable")]


def log_mel(
    wave: np.ndarray, rate: int = 8000, bands: int = 40, window: float = 0.025, hop: float = 0.010
) -> np.ndarray:
    """Log energies of overlapping frames in bands equally wide on the mel scale: `[samples]` to float32 `[T, bands]`.

    Frames of `window` seconds every `hop` seconds (the last filled with zeros), Hann window, power spectrum |X|^2,
    triangular filters between 0 Hz and rate / 2 with mel(f) = 2595 log10(1 + f / 700), then ln(energy + 1e-6).
    Integers are scaled to [-1, 1).

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


def _filters(rate: int, bands: int, transform: int) -> np.ndarray:
    """Triangles `[frequencies, bands]` whose corners are equally spaced in mel."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(transform, 1 / rate)[:, None]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return np.maximum(0, np.minimum(rising, falling))
