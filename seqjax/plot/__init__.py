"""Figures with matplotlib: gradient norms, gates, saliency, attention, runs, tasks, data sets.

Each function returns a figure, which Jupyter shows where it is the last line of a cell; `figure.savefig(path)` saves
it. No window is opened, and nothing needs to be closed.
"""

from seqjax.plot._style import COLOURS
from seqjax.plot.attention import attention
from seqjax.plot.curves import learning_curves
from seqjax.plot.datasets import dataset
from seqjax.plot.dynamics import exponents, spectrum_by_lag
from seqjax.plot.layers import layer_norms
from seqjax.plot.maps import heat_map
from seqjax.plot.norms import norm_by_distance, norm_by_length, norm_by_step, training
from seqjax.plot.points import scatter
from seqjax.plot.positions import position_matrix
from seqjax.plot.runs import comparison, trend
from seqjax.plot.saturation import saturation
from seqjax.plot.tasks import task
from seqjax.plot.watched import watched
from seqjax.plot.words import ColouredText, coloured_text, gates, saliency

__all__ = [
    "COLOURS",
    "ColouredText",
    "attention",
    "coloured_text",
    "comparison",
    "dataset",
    "exponents",
    "gates",
    "heat_map",
    "layer_norms",
    "learning_curves",
    "norm_by_distance",
    "norm_by_length",
    "norm_by_step",
    "position_matrix",
    "saliency",
    "saturation",
    "scatter",
    "spectrum_by_lag",
    "task",
    "training",
    "trend",
    "watched",
]
