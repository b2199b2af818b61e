"""Attention arithmetic: functions on arrays, `[*B, T, N, H]`, and masks as values."""

from seqjax.attention.bias import Bias, alibi, alibi_slopes, relative, relative_buckets, shaw
from seqjax.attention.cache import Cache, Keys, Places, empty, extend, overflow, places, poison
from seqjax.attention.dot_product import dot_product
from seqjax.attention.mask import Mask
from seqjax.attention.masks import causal, padding, prefix, segments, window
from seqjax.attention.positions import learned, rotary, sinusoidal

__all__ = [
    "Bias", "Cache", "Keys", "Mask", "Places", "alibi", "alibi_slopes", "causal", "dot_product", "empty", "extend",
    "learned", "overflow", "padding", "places", "poison", "prefix", "relative", "relative_buckets", "rotary",
    "segments", "shaw", "sinusoidal", "window",
]  # fmt: skip
