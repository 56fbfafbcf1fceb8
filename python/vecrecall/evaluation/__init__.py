"""How good lists are, and indexes tuned to a recall."""

from vecrecall.evaluation._metrics import hit_rate_at_k, ndcg_at_k, recall_at_k
from vecrecall.evaluation._tuning import Tuning, TuningPoint, TuningWarning, tune

__all__ = [
    "Tuning",
    "TuningPoint",
    "TuningWarning",
    "hit_rate_at_k",
    "ndcg_at_k",
    "recall_at_k",
    "tune",
]
