"""Measurements on the test split that findings are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vecrecall.arrays._pooling import pool
from vecrecall.cli.demo import groups
from vecrecall.cli.demo.data import HELD_OUT, IntArray
from vecrecall.cli.demo.embeddings import USER_DECAY, FloatArray
from vecrecall.cli.demo.evaluation import CUTOFFS, ByUser, by_user
from vecrecall.cli.demo.full import findings
from vecrecall.cli.demo.full.cache import Cost
from vecrecall.cli.demo.full.data import Split
from vecrecall.cli.demo.full.families import Found
from vecrecall.cli.demo.full.findings import Finding
from vecrecall.cli.demo.full.grouping import Grouping
from vecrecall.cli.demo.full.measures import Floats
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._protocol import SearchableIndex

WIDTHS = (64, 32, 16)
"""Widths of vectors by frequency, compared with the full width."""


def collect(
    split: Split,
    found: Mapping[str, Found],
    grouped: Mapping[str, Grouping],
    measured: Mapping[str, ByUser],
    costs: Mapping[str, Cost],
    seed: int,
) -> list[Finding]:
    """Hold every sentence that the data allow against them.

    Parameters
    ----------
    split : Split
    found : mapping of str to Found
        By family.
    grouped : mapping of str to Grouping
    measured : mapping of str to ByUser
        By channel.
    costs : mapping of str to Cost
        Of trainings.
    seed : int

    Returns
    -------
    list of Finding
    """
    at_100 = {name: own.recall[:, -1] for name, own in measured.items()}
    result = [
        findings.better(claim, names, at_100[names[0]], at_100[names[1]])
        for claim, names in PAIRS.items()
        if at_100.keys() >= set(names)
    ]
    pairs = {
        name: (at_100[f"feed-{name}"], at_100[f"cluster-{name}"])
        for name in grouped
        if at_100.keys() >= {f"feed-{name}", f"cluster-{name}"}
    }
    if pairs:
        result.append(findings.feeds(pairs))
    if at_100.keys() >= {"cluster-lstm", "cluster-bnb"}:
        result.append(_costly(split, at_100, costs))
    if "item2vec" in found:
        result.append(_survive(split, found["item2vec"].items, seed))
        if any(split.dataset.tags):
            result.append(_tighter(split, found["item2vec"]))
    wide = next((found[name] for name in ("lstm", "svd") if name in found), None)
    if wide is not None:
        result.append(_saves(split, wide))
    return result


PAIRS = {
    "the first three tags beat all tags": ("user2vec-fine", "user2vec-fine-all"),
    "crosstag beats user2vec": ("crosstag", "user2vec"),
}
"""Sentences that one channel finds more than another."""


def _costly(split: Split, at_100: Mapping[str, Floats], costs: Mapping[str, Cost]) -> Finding:
    def recall(name: str) -> Floats:
        return np.asarray((at_100[f"cluster-{name}"] + at_100[f"feed-{name}"]) / 2)

    def seconds(*families: str) -> float:
        return sum(costs[f"{name}-{split.name}"].seconds for name in families)

    return findings.costly(
        recall("lstm"), recall("bnb"), seconds("lstm"), seconds("item2vec", "tag2vec")
    )


def _survive(split: Split, items: FloatArray, seed: int) -> Finding:
    """Group users as they were some items ago, and refresh the groups with what they are now."""
    from vecrecall.cluster._user_groups import UserGroups

    histories = [h for h in split.dataset.histories if h.size > HELD_OUT]
    before = _users(items, [history[:-HELD_OUT] for history in histories])
    now = _users(items, histories)
    both = before.any(axis=1) & now.any(axis=1)
    before, now = before[both], now[both]
    grouped = groups.grouped(before, seed)
    assert grouped is not None
    old = grouped[1]
    label = old.assign(now).labels[:, 0]
    refreshed, _ = old.refresh(now)
    new = UserGroups.fit(now, len(old), metric="cosine", random_state=seed + 1)
    kept = (refreshed.labels == label).astype(np.float64)
    return findings.survive(kept, (new.labels == label).astype(np.float64))


def _users(items: FloatArray, histories: Sequence[IntArray]) -> FloatArray:
    newest_first = [history[::-1] for history in histories]
    weights = [USER_DECAY ** np.arange(history.size) for history in newest_first]
    return pool(items, newest_first, weights, normalize=True)


def _tighter(split: Split, own: Found) -> Finding:
    from vecrecall.train import Embedding, residual

    dataset = split.dataset
    category = [tags[0] if tags else None for tags in dataset.tags]
    known = np.flatnonzero(own.items.any(axis=1))
    embedding = Embedding(known.tolist(), own.items[known])
    model = residual(
        embedding,
        categories=[category[item] for item in known],
        penalty=5.0,
        counts=dataset.item_counts[known],
    )
    after = np.zeros_like(own.items)
    after[known] = model.embedding.matrix
    labels = model.labels
    assert own.users is not None
    return findings.tighter(
        _cohesion(embedding.matrix, labels),
        _cohesion(model.embedding.matrix, labels),
        _recall(split, FlatIndex(own.items, metric="cosine", invalid="skip"), own.users),
        _recall(split, FlatIndex(after, metric="cosine", invalid="skip"), own.users),
    )


def _cohesion(rows: FloatArray, labels: np.ndarray) -> Floats:
    """Return the cosine of each row of a category to the mean of its category."""
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    sums = np.zeros((int(labels.max()) + 1, rows.shape[1]))
    known = labels >= 0
    np.add.at(sums, labels[known], unit[known])
    centers = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return np.asarray((unit[known] * centers[labels[known]]).sum(axis=1), np.float64)


def _saves(split: Split, own: Found) -> Finding:
    from vecrecall.train import Embedding, capacity

    assert own.users is not None
    embedding = Embedding(range(len(own.items)), own.items, metric="ip")
    cut = capacity(embedding, split.dataset.item_counts, widths=WIDTHS)
    return findings.saves(
        _recall(split, cut.to_index(), own.users),
        _recall(split, embedding.to_index(), own.users),
        cut.report.bytes_after,
        cut.report.bytes_before,
    )


def _recall(split: Split, index: SearchableIndex, users: FloatArray) -> Floats:
    """Return the recall at the last cutoff of a search by user vectors."""
    dataset, evaluated = split.dataset, split.dataset.evaluated
    seen = [dataset.histories[user] for user in evaluated]
    queries = users[evaluated]
    ids = np.full((evaluated.size, max(CUTOFFS)), -1, np.int64)
    known = np.flatnonzero(queries.any(axis=1))
    found = index.search(queries[known], max(CUTOFFS), exclude=[seen[row] for row in known])
    ids[known] = found.ids
    return by_user(ids, [dataset.held_out[user] for user in evaluated]).recall[:, -1]
