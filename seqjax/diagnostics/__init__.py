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
from seqjax.diagnostics.matrices import gain_bound, spectral_norm, spectral_radius
from seqjax.diagnostics.mean_field import DepthScale, depth_scale
from seqjax.diagnostics.noise import SignalToNoise, signal_to_noise
from seqjax.diagnostics.positions import PositionFlow, gradient_by_position
from seqjax.diagnostics.regulariser import norm_change
from seqjax.diagnostics.saliency import saliency
from seqjax.diagnostics.saturation import Saturation, saturation
from seqjax.diagnostics.sensitivity import diagonal_moments, parameter_sensitivity
from seqjax.diagnostics.spectrum import JacobianSpectrum, jacobian_spectrum, largest_singular_value
from seqjax.diagnostics.summary import Summary, log_mean, summarize
from seqjax.diagnostics.unrolling import gradient_variance
from seqjax.diagnostics.watching import watch

__all__ = [
    "DepthScale",
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
    "depth_scale",
    "diagonal_moments",
    "gain_bound",
    "gradient_by_position",
    "gradient_flow",
    "gradient_variance",
    "half_life",
    "jacobian_spectrum",
    "largest_singular_value",
    "log_mean",
    "lyapunov_exponents",
    "memory_horizon",
    "norm_change",
    "parameter_sensitivity",
    "saliency",
    "saturation",
    "signal_to_noise",
    "spectral_norm",
    "spectral_radius",
    "summarize",
    "time_constants",
    "watch",
]
