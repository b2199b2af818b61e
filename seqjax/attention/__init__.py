"""Attention arithmetic: functions on arrays."""

from seqjax.attention.bias import Bias, alibi, alibi_slopes, relative, relative_buckets, shaw
from seqjax.attention.cache import Cache, Keys, Places, empty, extend, overflow, places, poison
from seqjax.attention.positions import learned, rotary, sinusoidal

__all__ = [
    "Bias", "Cache", "Keys", "Places", "alibi", "alibi_slopes", "empty", "extend", "learned", "overflow", "places",
    "poison", "relative", "relative_buckets", "rotary", "shaw", "sinusoidal",
]  # fmt: skip
