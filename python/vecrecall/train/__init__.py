"""Training: vectors of every family from interactions, texts, tags and graphs.

A trainer takes columns (NumPy, Arrow, pandas, polars, lists) and gives an `Embedding`, which the
rest of the library serves. gensim and torch do the work: ``pip install 'vecrecall[train]'``. What
was trained elsewhere needs nothing of this: `vecrecall.FlatIndex` takes any matrix.
"""

from vecrecall._public import stamp as _stamp
from vecrecall.train._embedding import Embedding
from vecrecall.train._features import Features
from vecrecall.train._onnx_tower import OnnxTower
from vecrecall.train._training import TrainingError, TrainingProgress, TrainingStoppedError
from vecrecall.train._two_tower import TwoTower

__all__ = [
    "Embedding",
    "Features",
    "OnnxTower",
    "TrainingError",
    "TrainingProgress",
    "TrainingStoppedError",
    "TwoTower",
]

_stamp(globals())
