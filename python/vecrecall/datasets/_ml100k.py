"""MovieLens 100K with features and a knowledge graph, from the files of RecBole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vecrecall.datasets._installed import installed_file
from vecrecall.datasets._tables import Attributes, Interactions, RecommenderData, Triples

SOURCE = "MovieLens 100K (package recbole)"

FOLLOWED = {
    "directors": ("film.film.directed_by", "film.director.film"),
    "countries": ("film.film.country", None),
    "fine_genres": ("film.film.genre", "film.film_genre.films_in_this_genre"),
}
"""Columns of the items that come from the graph: a relation, and the one that is its inverse."""


def load_ml100k() -> RecommenderData:
    """Load MovieLens 100K: 100,000 ratings of 1,682 films by 943 users, and what is known of both.

    Reads the files of the package recbole without importing it, so that what it depends on is not
    needed: ``pip install --no-deps recbole``. The data set may be used for research; it may not
    be redistributed, so nothing of it is part of this package.

    Returns
    -------
    RecommenderData
        ``interactions``: ratings as weights, seconds since 1970 as times. ``users``: ``age`` (int),
        ``gender``, ``occupation``, ``zip_code`` (texts). ``items``: ``title``, ``year`` (None for
        two), ``genres`` (empty for two of genre "unknown"), and from the graph ``directors``,
        ``countries`` and ``fine_genres``, lists of entities. ``graph``: 91,631 triples of entities
        of Freebase; ``links``: the entities of 1,598 items. Users and items have integers as keys,
        entities texts.

    Raises
    ------
    ImportError
        If recbole is not installed.
    FileNotFoundError
        If it comes without the files, which version 1.2.1 has.
    ValueError
        If a file is not as expected.

    Notes
    -----
    Most relations of the graph come with their inverse. Triples that are held out for a test have
    to be taken out of training in both directions, or the test is answered by the training data.

    References
    ----------
    F. M. Harper, J. A. Konstan: The MovieLens Datasets: History and Context. ACM Transactions on
    Interactive Intelligent Systems 5(4), 2015.

    W. X. Zhao et al.: KB4Rec: A Data Set for Linking Knowledge Bases with Recommender Systems. Data
    Intelligence 1(2), 2019.

    W. X. Zhao et al.: RecBole: Towards a Unified, Comprehensive and Efficient Framework for
    Recommendation Algorithms. CIKM 2021.

    Examples
    --------
    >>> from vecrecall.datasets import load_ml100k
    >>> data = load_ml100k()
    >>> data.items.column("genres", [1])
    [['Animation', "Children's", 'Comedy']]
    """
    users, items, ratings, times = _columns("inter", "user_id", "item_id", "rating", "timestamp")
    graph = Triples(*_columns("kg", "head_id", "relation_id", "tail_id"))
    linked, entities = _columns("link", "item_id", "entity_id")
    data = RecommenderData(
        Interactions(
            _integers(users),
            _integers(items),
            np.array(times, np.float64).astype(np.int64),
            np.array(ratings, np.float32),
            SOURCE,
        ),
        _users(),
        _items(),
        graph,
        dict(zip(_integers(linked), entities, strict=True)),
    )
    assert data.items is not None
    followed = {name: data.related(*relations) for name, relations in FOLLOWED.items()}
    data.items.columns.update(followed)
    return data


def _users() -> Attributes:
    keys, ages, genders, occupations, codes = _columns(
        "user", "user_id", "age", "gender", "occupation", "zip_code"
    )
    return Attributes(
        _integers(keys),
        {"age": _integers(ages), "gender": genders, "occupation": occupations, "zip_code": codes},
    )


def _items() -> Attributes:
    keys, titles, years, genres = _columns(
        "item", "item_id", "movie_title", "release_year", "class"
    )
    return Attributes(
        _integers(keys),
        {
            # Of one film the source knows neither, and has the same word in both columns.
            "title": [
                "" if title == year else title for title, year in zip(titles, years, strict=True)
            ],
            "year": [int(year) if year.isdecimal() else None for year in years],
            "genres": [[one for one in text.split() if one != "unknown"] for text in genres],
        },
    )


def _columns(ending: str, *names: str) -> list[list[str]]:
    """Read columns of a file with tabs, whose header has a type after each name."""
    rows = _rows(ending)
    header = [field.partition(":")[0] for field in next(rows)]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return [columns[header.index(name)] for name in names]


def _rows(ending: str) -> Iterator[list[str]]:
    path = installed_file(
        "recbole",
        f"dataset_example/ml-100k/ml-100k.{ending}",
        "load_ml100k",
        "pip install --no-deps recbole",
    )
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n").split("\t")


def _integers(texts: list[str]) -> list[int]:
    return [int(text) for text in texts]
