"""Training: vectors of every family from interactions, texts, tags and graphs.

A trainer takes columns (NumPy, Arrow, pandas, polars, lists) and gives an `Embedding`, which the
rest of the library serves. gensim and torch do the work: ``pip install 'vecrecall[train]'``. What
was trained elsewhere needs nothing of this: `vecrecall.FlatIndex` takes any matrix.
"""

from vecrecall._public import stamp as _stamp
from vecrecall.train._documents import documents
from vecrecall.train._embedding import Embedding
from vecrecall.train._sequences import sequences
from vecrecall.train._training import TrainingError, TrainingProgress, TrainingStoppedError

__all__ = [
    "Embedding",
    "TrainingError",
    "TrainingProgress",
    "TrainingStoppedError",
    "documents",
    "sequences",
]

_stamp(globals())
