"""Lists of what users did, in order of time."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from vecrecall.train._columns import (
    Column,
    check_keys,
    check_optional_keys,
    check_times,
    number,
    numbering,
)


def user_sequences(
    users: Column, *columns: Column, times: Column | None = None
) -> list[list[Hashable]]:
    """Collect the keys of each user's interactions into one list, in order of time.

    With one column of items these are the lists of item2vec. With several, the keys of a row
    follow each other: `sequences` then trains all of them in one space. With a column for the
    user's type and one for the item's, a user without history has a vector near the items that
    users of this type take (`Types`).

    Parameters
    ----------
    users : column of hashable, n rows
    *columns : columns of hashable, n rows each
        What each row adds to its user's list; a missing value (None, NaN) adds nothing. Keys of
        different columns that are equal are one key.
    times : column of float or of dates, n rows, optional
        Rows of one user are sorted by it; rows of equal times, and all without it, keep their
        order.

    Returns
    -------
    list of list of hashable
        One per user, in the order in which users first come in `users`.

    Raises
    ------
    TypeError, ValueError
        If a column is not as described, with its name and row; columns are named ``columns[0]``
        and so on.

    References
    ----------
    Grbovic and Cheng, "Real-time Personalization using Embeddings for Search Ranking at Airbnb",
    KDD 2018, section 3.2 (types of users and items in one sequence).

    Examples
    --------
    >>> from vecrecall.train import user_sequences
    >>> user_sequences(["ann", "bob", "ann"], ["milk", "saw", "tea"], times=[2, 5, 1])
    [['tea', 'milk'], ['saw']]
    >>> user_sequences(["ann", "ann"], ["<30", "<30"], ["hot", None], ["tea", "milk"])
    [['<30', 'hot', 'tea', '<30', 'milk']]
    """
    if not columns:
        raise ValueError("columns: expected at least one, got none")
    owners = check_keys(users, "users")
    values = [
        check_optional_keys(column, f"columns[{i}]", len(owners))
        for i, column in enumerate(columns)
    ]
    order = np.arange(len(owners))
    if times is not None:
        order = np.argsort(check_times(times, "times", len(owners)), kind="stable")
    numbers = numbering(owners)
    owner_of = number(owners, numbers).tolist()
    found: list[list[Hashable]] = [[] for _ in numbers]
    for row in order.tolist():
        found[owner_of[row]].extend(column[row] for column in values if column[row] is not None)
    return found
