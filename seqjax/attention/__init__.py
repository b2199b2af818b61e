"""Attention arithmetic: functions on arrays, `[*B, T, N, H]`, and masks as values."""

from seqjax.attention.alignment import attend, context, monotonic
from seqjax.attention.bias import Bias, alibi, alibi_slopes, relative, relative_buckets, shaw
from seqjax.attention.cache import Cache, Keys, empty, extend, overflow, poison
from seqjax.attention.dot_product import dot_product
from seqjax.attention.mask import Mask
from seqjax.attention.masks import causal, padding, prefix, segments, window
from seqjax.attention.memory import Memory
from seqjax.attention.placement import Places, places
from seqjax.attention.positions import learned, rotary, sinusoidal
from seqjax.attention.score_parameters import init_score, project_keys
from seqjax.attention.scores import additive, concat, dot, general, location

__all__ = [
    "Bias", "Cache", "Keys", "Mask", "Memory", "Places", "additive", "alibi", "alibi_slopes", "attend", "causal",
    "concat", "context", "dot", "dot_product", "empty", "extend", "general", "init_score", "learned", "location",
    "monotonic", "overflow", "padding", "places", "poison", "prefix", "project_keys", "relative",
    "relative_buckets", "rotary", "segments", "shaw", "sinusoidal", "window",
]  # fmt: skip
