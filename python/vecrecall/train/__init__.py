"""Training: vectors of every family from interactions, texts, tags and graphs.

A trainer takes columns (NumPy, Arrow, pandas, polars, lists) and gives an `Embedding`, which the
rest of the library serves. gensim and torch do the work: ``pip install 'vecrecall[train]'``. What
was trained elsewhere needs nothing of this: `vecrecall.FlatIndex` takes any matrix.
"""

from vecrecall._public import stamp as _stamp
from vecrecall.train._embedding import Embedding
from vecrecall.train._split_triples import TripleSplit, split_triples
from vecrecall.train._training import TrainingError, TrainingProgress, TrainingStoppedError
from vecrecall.train._trans_e import LinkPrediction, TransE

__all__ = [
    "Embedding",
    "LinkPrediction",
    "TrainingError",
    "TrainingProgress",
    "TrainingStoppedError",
    "TransE",
    "TripleSplit",
    "split_triples",
]

_stamp(globals())
