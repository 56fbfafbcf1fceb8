"""Accuracy by user, with standard errors over users."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vecrecall.cli.demo.data import IntArray
from vecrecall.cli.demo.evaluation import CUTOFFS, ByUser, Lists, by_user

Floats = npt.NDArray[np.float64]

METRICS = ("hit_rate", "recall")


def error_of(values: Floats) -> float:
    """Return the standard error of the mean, 0 for fewer than two values.

    Parameters
    ----------
    values : ndarray, shape (n_users,)

    Returns
    -------
    float
    """
    if values.size < 2:
        return 0.0
    return float(values.std(ddof=1) / math.sqrt(values.size))


def difference(mine: Floats, other: Floats) -> dict[str, float]:
    """Compare two values of the same users.

    Parameters
    ----------
    mine, other : ndarray, shape (n_users,)

    Returns
    -------
    dict
        ``mean`` of the differences, its ``se``, and ``z``, the mean in standard errors: 0 where
        no user differs.
    """
    paired = mine - other
    mean, se = float(paired.mean()) if paired.size else 0.0, error_of(paired)
    return {"mean": mean, "se": se, "z": mean / se if se > 0 else 0.0}


def summary(found: ByUser) -> dict[str, Any]:
    """Average over users.

    Parameters
    ----------
    found : ByUser

    Returns
    -------
    dict
        ``hit_rate``, ``hit_rate_se``, ``recall``, ``recall_se``, each by cutoff.
    """
    result: dict[str, Any] = {}
    for metric in METRICS:
        values = getattr(found, metric)
        names = [(str(k), values[:, place]) for place, k in enumerate(CUTOFFS)]
        result[metric] = {k: float(column.mean()) for k, column in names}
        result[f"{metric}_se"] = {k: error_of(column) for k, column in names}
    return result


def over(found: ByUser, baseline: ByUser) -> dict[str, dict[str, float]]:
    """Compare the recall of two channels, user by user.

    Parameters
    ----------
    found, baseline : ByUser

    Returns
    -------
    dict
        `difference` by cutoff.
    """
    return {
        str(k): difference(found.recall[:, place], baseline.recall[:, place])
        for place, k in enumerate(CUTOFFS)
    }


def coverage(ids: IntArray, n_items: int) -> float:
    """Return the share of the catalog that is in the first of any user's list.

    Parameters
    ----------
    ids : ndarray, shape (n_users, k)
    n_items : int

    Returns
    -------
    float
    """
    first = ids[:, : max(CUTOFFS)]
    return np.unique(first[first >= 0]).size / max(1, n_items)


def measure_all(lists: Mapping[str, Lists], held_out: Sequence[IntArray]) -> dict[str, ByUser]:
    """Compare the lists of many channels with the held-out items.

    Parameters
    ----------
    lists : mapping of str to Lists
    held_out : sequence of ndarray

    Returns
    -------
    dict of str to ByUser
    """
    return {name: by_user(own.ids, held_out) for name, own in lists.items()}
