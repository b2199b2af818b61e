"""Measures of what a cell does to gradients over time."""

from seqjax.diagnostics.flow import GradientFlow, gradient_flow, half_life, log_mean

__all__ = ["GradientFlow", "gradient_flow", "half_life", "log_mean"]
