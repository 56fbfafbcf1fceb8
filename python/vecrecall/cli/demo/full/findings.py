"""Sentences of the article, each held against the data.

A sentence holds here if the difference over the same users is more than `LIMIT` standard errors in
its favor, and fails if it is as much against it. In between nothing can be said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from vecrecall.cli.demo.full.measures import Floats, difference

LIMIT = 2.0
"""Standard errors; about 1 in 20 differences is as large by chance, in either direction."""

HELD, UNCLEAR, FAILED = "held", "unclear", "not held"


@dataclass(frozen=True)
class Finding:
    """One sentence and what became of it.

    Attributes
    ----------
    claim : str
    verdict : {"held", "unclear", "not held"}
    figures : dict of str to float
    text : str
        The figures in words.
    cost : str
        Times in words, where they are part of the sentence.
    """

    claim: str
    verdict: str
    figures: dict[str, float]
    text: str
    cost: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as data, without its cost, which differs from run to run."""
        own = asdict(self)
        del own["cost"]
        return own


def verdict(z: float) -> str:
    """Judge a difference in standard errors.

    Parameters
    ----------
    z : float

    Returns
    -------
    str
    """
    return HELD if z > LIMIT else FAILED if z < -LIMIT else UNCLEAR


def better(claim: str, names: tuple[str, str], mine: Floats, other: Floats) -> Finding:
    """Judge whether one channel finds more than another.

    Parameters
    ----------
    claim : str
    names : (str, str)
        Of both, for the text.
    mine, other : ndarray, shape (n_users,)
        Recall of the same users.

    Returns
    -------
    Finding
    """
    found = difference(mine, other)
    figures = {"first": float(mine.mean()), "second": float(other.mean()), **found}
    text = (
        f"recall@100 {figures['first']:.3f} by {names[0]}, {figures['second']:.3f} by {names[1]}: "
        f"{_signed(found)}"
    )
    return Finding(claim, verdict(found["z"]), figures, text)


def feeds(pairs: Mapping[str, tuple[Floats, Floats]]) -> Finding:
    """Judge whether feeds find more than the lists of centers, over all groupings together.

    Parameters
    ----------
    pairs : mapping of str to (ndarray, ndarray)
        By grouping the recall of the feed and of the stored list, of the same users.

    Returns
    -------
    Finding
    """
    live = np.mean([pair[0] for pair in pairs.values()], axis=0)
    stored = np.mean([pair[1] for pair in pairs.values()], axis=0)
    found = better("the feed in a cluster beats the offline list", ("feeds", "lists"), live, stored)
    each = {name: difference(*pair) for name, pair in pairs.items()}
    figures = {**found.figures, **{f"{name}_mean": own["mean"] for name, own in each.items()}}
    words = ", ".join(f"{name} {_signed(own)}" for name, own in each.items())
    return Finding(found.claim, found.verdict, figures, f"{found.text} ({words})")


def costly(mine: Floats, other: Floats, seconds: float, other_seconds: float) -> Finding:
    """Judge whether groups by LSTM find more; the cost of their training is told.

    Parameters
    ----------
    mine, other : ndarray, shape (n_users,)
        Recall by groups of LSTM vectors, and by those of bnb vectors.
    seconds, other_seconds : float
        Of training.

    Returns
    -------
    Finding
        What is held against the data is the gain.
    """
    found = better("LSTM groups gain but cost", ("LSTM groups", "bnb groups"), mine, other)
    cost = f"training took {seconds:.0f} s, that of bnb vectors {other_seconds:.0f} s"
    return replace(found, cost=cost)


def survive(kept: Floats, kept_by_new: Floats) -> Finding:
    """Judge whether labels survive a refresh.

    Parameters
    ----------
    kept : ndarray, shape (n_users,)
        1 for users who have the label after the refresh that they had before, else 0.
    kept_by_new : ndarray, shape (n_users,)
        The same for groups that were fitted again.

    Returns
    -------
    Finding
    """
    found = difference(kept, kept_by_new)
    half = difference(kept, np.full(kept.size, 0.5))
    over_half = half["z"] if half["se"] else half["mean"] * np.inf
    figures = {"refresh": float(kept.mean()), "new_fit": float(kept_by_new.mean()), **found}
    text = (
        f"{figures['refresh']:.1%} of the users keep their label through a refresh, "
        f"{figures['new_fit']:.1%} through a new fit: {_signed(found)}"
    )
    judged = verdict(min(found["z"], over_half))
    return Finding("labels survive a refresh", judged, figures, text)


def tighter(before: Floats, after: Floats, recall: Floats, recall_after: Floats) -> Finding:
    """Judge whether residuals bring the items of a category together; the price in recall is told.

    Parameters
    ----------
    before, after : ndarray, shape (n_items,)
        Each item's cosine to the center of its category.
    recall, recall_after : ndarray, shape (n_users,)

    Returns
    -------
    Finding
        What is held against the data are the cosines.
    """
    found, lost = difference(after, before), difference(recall_after, recall)
    figures = {
        "before": float(before.mean()),
        "after": float(after.mean()),
        **found,
        **{f"recall_{name}": value for name, value in lost.items()},
    }
    text = (
        f"mean cosine to the category's center {figures['before']:.3f} before, "
        f"{figures['after']:.3f} after: {_signed(found)}; recall@100 {_signed(lost)}"
    )
    return Finding("residuals tighten categories", verdict(found["z"]), figures, text)


def saves(mine: Floats, other: Floats, size: int, other_size: int) -> Finding:
    """Judge whether capacity by frequency takes less memory and finds as much.

    Parameters
    ----------
    mine, other : ndarray, shape (n_users,)
        Recall with capacity, and with the full width.
    size, other_size : int
        Bytes of the vectors.

    Returns
    -------
    Finding
        It holds if memory is less and recall is not lower by more than `LIMIT` standard errors.
    """
    found = difference(mine, other)
    share = size / max(1, other_size)
    figures = {
        "first": float(mine.mean()),
        "second": float(other.mean()),
        "memory_share": share,
        **found,
    }
    text = (
        f"{share:.0%} of the memory; recall@100 {figures['first']:.3f}, "
        f"{figures['second']:.3f} at full width: {_signed(found)}"
    )
    held = share < 1 and found["z"] >= -LIMIT
    return Finding("capacity saves memory at equal recall", HELD if held else FAILED, figures, text)


def _signed(found: dict[str, float]) -> str:
    return f"{found['mean']:+.3f} ± {found['se']:.3f}"
