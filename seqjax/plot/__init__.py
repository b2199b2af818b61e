"""Figures with matplotlib: gradient norms, runs, tasks, data sets. Saving a figure is the caller's."""

from seqjax.plot.datasets import dataset
from seqjax.plot.layers import layer_norms
from seqjax.plot.norms import COLOURS, norm_by_distance, norm_by_length, training
from seqjax.plot.runs import comparison, trend
from seqjax.plot.tasks import task

__all__ = [
    "COLOURS",
    "comparison",
    "dataset",
    "layer_norms",
    "norm_by_distance",
    "norm_by_length",
    "task",
    "training",
    "trend",
]
