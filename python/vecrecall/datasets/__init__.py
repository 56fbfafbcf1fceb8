"""Data of recommenders: known data sets from installed packages, and your own files.

A loader gives plain columns: `Interactions`, `Attributes` of users or items, `Triples` of a
knowledge graph, together a `RecommenderData`. They are what `vecrecall.train` takes. No data set is
part of this package, and nothing is downloaded: loaders read what other packages have installed.
"""

from vecrecall._public import stamp as _stamp
from vecrecall.datasets._mind import Impressions, MindData, load_mind
from vecrecall.datasets._ml100k import load_ml100k
from vecrecall.datasets._movielens import load_movielens
from vecrecall.datasets._own_files import read_attributes, read_interactions
from vecrecall.datasets._peoples_daily import TaggedParagraphs, load_peoples_daily
from vecrecall.datasets._tables import Attributes, Interactions, RecommenderData, Triples

__all__ = [
    "Attributes",
    "Impressions",
    "Interactions",
    "MindData",
    "RecommenderData",
    "TaggedParagraphs",
    "Triples",
    "load_mind",
    "load_ml100k",
    "load_movielens",
    "load_peoples_daily",
    "read_attributes",
    "read_interactions",
]

_stamp(globals())
