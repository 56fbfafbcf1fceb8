"""How good lists are, and indexes tuned to a recall."""

from vecrecall.evaluation._recall import recall_at_k
from vecrecall.evaluation._tuning import Tuning, TuningPoint, TuningWarning, tune

__all__ = ["Tuning", "TuningPoint", "TuningWarning", "recall_at_k", "tune"]
