"""Models and trainings on the disk: complete or not there, checked when read, without pickles."""

from seqjax.checkpoint.checkpoints import Checkpoints
from seqjax.checkpoint.model import Model, load, save_model

__all__ = ["Checkpoints", "Model", "load", "save_model"]
