"""Measures of what a cell does to gradients over time, and of where it looks."""

from seqjax.diagnostics.attention import (
    attention_distance,
    attention_entropy,
    attention_rollout,
    attention_weights,
)
from seqjax.diagnostics.flow import GradientFlow, gradient_flow, half_life, log_mean

__all__ = [
    "GradientFlow",
    "attention_distance",
    "attention_entropy",
    "attention_rollout",
    "attention_weights",
    "gradient_flow",
    "half_life",
    "log_mean",
]
