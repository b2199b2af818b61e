"""Measures of what a cell does to gradients over time, and of where it looks."""

from seqjax.diagnostics.attention import (
    attention_distance,
    attention_entropy,
    attention_rollout,
    attention_weights,
)
from seqjax.diagnostics.flow import GradientFlow, gradient_flow
from seqjax.diagnostics.horizon import MemoryHorizon, half_life, memory_horizon, time_constants
from seqjax.diagnostics.lyapunov import LyapunovExponents, lyapunov_exponents
from seqjax.diagnostics.noise import SignalToNoise, signal_to_noise
from seqjax.diagnostics.positions import PositionFlow, gradient_by_position
from seqjax.diagnostics.saliency import saliency
from seqjax.diagnostics.saturation import Saturation, saturation
from seqjax.diagnostics.spectrum import JacobianSpectrum, jacobian_spectrum, largest_singular_value
from seqjax.diagnostics.summary import Summary, log_mean, summarize
from seqjax.diagnostics.watching import watch

__all__ = [
    "GradientFlow",
    "JacobianSpectrum",
    "LyapunovExponents",
    "MemoryHorizon",
    "PositionFlow",
    "Saturation",
    "SignalToNoise",
    "Summary",
    "attention_distance",
    "attention_entropy",
    "attention_rollout",
    "attention_weights",
    "gradient_by_position",
    "gradient_flow",
    "half_life",
    "jacobian_spectrum",
    "largest_singular_value",
    "log_mean",
    "lyapunov_exponents",
    "memory_horizon",
    "saliency",
    "saturation",
    "signal_to_noise",
    "summarize",
    "time_constants",
    "watch",
]
