"""Models and trainings on the disk: whole or not there, checked when read, without pickles."""

from seqjax.checkpoint.checkpoints import Checkpoints
from seqjax.checkpoint.model import load, save_model

__all__ = ["Checkpoints", "load", "save_model"]
