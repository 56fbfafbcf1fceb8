"""Training: vectors of every family from interactions, texts, tags and graphs.

A trainer takes columns (NumPy, Arrow, pandas, polars, lists) and gives an `Embedding`, which the
rest of the library serves. gensim and torch do the work: ``pip install 'vecrecall[train]'``. What
was trained elsewhere needs nothing of this: `vecrecall.FlatIndex` takes any matrix.
"""

from vecrecall._public import stamp as _stamp
from vecrecall.train._bnb import bnb
from vecrecall.train._capacity import CapacityEmbedding, capacity
from vecrecall.train._capacity_index import CapacityIndex
from vecrecall.train._capacity_report import CapacityReport
from vecrecall.train._documents import documents
from vecrecall.train._embedding import Embedding
from vecrecall.train._factors import Factors, factors
from vecrecall.train._features import Features
from vecrecall.train._images import images
from vecrecall.train._onnx_tower import OnnxTower
from vecrecall.train._residual import residual
from vecrecall.train._residual_embedding import ResidualEmbedding
from vecrecall.train._residual_report import ResidualRecall, ResidualReport
from vecrecall.train._sequences import sequences
from vecrecall.train._split_triples import TripleSplit, split_triples
from vecrecall.train._titles import TitleEncoder, titles
from vecrecall.train._training import TrainingError, TrainingProgress, TrainingStoppedError
from vecrecall.train._trans_e import LinkPrediction, TransE
from vecrecall.train._two_tower import TwoTower
from vecrecall.train._types import Types
from vecrecall.train._user_sequences import user_sequences

__all__ = [
    "CapacityEmbedding",
    "CapacityIndex",
    "CapacityReport",
    "Embedding",
    "Factors",
    "Features",
    "LinkPrediction",
    "OnnxTower",
    "ResidualEmbedding",
    "ResidualRecall",
    "ResidualReport",
    "TitleEncoder",
    "TrainingError",
    "TrainingProgress",
    "TrainingStoppedError",
    "TransE",
    "TripleSplit",
    "TwoTower",
    "Types",
    "bnb",
    "capacity",
    "documents",
    "factors",
    "images",
    "residual",
    "sequences",
    "split_triples",
    "titles",
    "user_sequences",
]

_stamp(globals())
