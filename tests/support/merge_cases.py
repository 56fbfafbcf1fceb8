"""Cases for merge tests: made by hand or at random, for the oracle and for the package alike."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import merge_reference
import numpy as np
import numpy.typing as npt
from merge_reference import Cap, Entry, Merged, Policy, Row

import vecrecall as vr
from vecrecall import policies

FORMS = ("arrays", "ragged", "result", "float64")
NORMALIZE = ("none", "minmax", "zscore", "max", "l2")


@dataclass(frozen=True)
class Case:
    """A call of `merge`: `channels` holds one row of `(id, score)` a query for every channel."""

    channels: Mapping[str, Sequence[Row]]
    k: int
    policy: Policy
    exclude: Sequence[Sequence[int]] | None = None
    caps: Sequence[Cap] = ()

    @property
    def nq(self) -> int:
        return len(next(iter(self.channels.values())))

    def rows(self, which: slice) -> Case:
        """Only these queries."""
        exclude = None if self.exclude is None else self.exclude[which]
        channels = {name: rows[which] for name, rows in self.channels.items()}
        return replace(self, channels=channels, exclude=exclude)


def oracle(case: Case) -> Merged:
    return merge_reference.merge(case.channels, case.k, case.policy, case.exclude, case.caps)


def channel(rows: Sequence[Row], form: str) -> Any:
    """A channel as callers may pass it. Padded arrays end in -1, whose scores mean nothing."""
    if form == "ragged":
        ids = np.array([item for row in rows for item, _ in row], np.int64)
        scores = np.array([score for row in rows for _, score in row], np.float32)
        offsets = np.cumsum([0, *map(len, rows)])
        return vr.Ragged(ids, offsets), vr.Ragged(scores, offsets)
    width = max([len(row) for row in rows], default=0) + (form != "arrays")
    ids = np.full((len(rows), width), -1, np.int64)
    padding = np.nan if form == "float64" else -np.inf
    scores = np.full((len(rows), width), padding, np.float32)
    counts = np.zeros(len(rows), np.int32)
    for i, row in enumerate(rows):
        for place, (item, score) in enumerate(row):
            ids[i, place], scores[i, place] = item, score
        counts[i] = len(row)
    if form == "float64":
        return ids, scores.astype(np.float64)
    return vr.SearchResult(ids, scores, counts) if form == "result" else (ids, scores)


def made(policy: Policy) -> Any:
    return getattr(policies, policy.name)(**policy.arguments)


def made_caps(caps: Sequence[Cap]) -> Any:
    """None, one, or a sequence, as callers write it."""
    made = [vr.Caps(np.array(c.ids, np.int64), np.array(c.groups, np.int64), c.limit) for c in caps]
    return None if not made else made[0] if len(made) == 1 else made


def vecrecall(case: Case, forms: Sequence[str] = ("arrays",), **options: Any) -> Any:
    """The package's answer; channel `c` is passed in the form `forms[c mod len(forms)]`."""
    channels = {
        name: channel(rows, forms[c % len(forms)])
        for c, (name, rows) in enumerate(case.channels.items())
    }
    exclude: Any = case.exclude
    if exclude is not None and forms[0] == "ragged":
        exclude = vr.Ragged.from_lists(exclude)
    with warnings.catch_warnings():
        if case.policy.arguments.get("absent") == "zero":
            warnings.simplefilter("ignore", policies.AbsentWarning)
        return vr.merge(
            channels,
            case.k,
            made(case.policy),
            exclude=exclude,
            caps=made_caps(case.caps),
            **options,
        )


# --- random cases


def random_scores(rng: np.random.Generator, n: int, kind: str) -> npt.NDArray[np.float32]:
    """`ties`: few values. `smooth`: all different. `wild`: every size of float32. `flat`: one.

    `infinite`: what a search gives where float32 ends.
    """
    if kind == "infinite":
        return rng.choice([-np.inf, -1, 0, 0.5, 3e38, np.inf], n).astype(np.float32)
    if kind == "ties":
        return (rng.integers(-3, 4, n) / 3).astype(np.float32)
    if kind == "wild":
        sizes = 10 ** rng.uniform(-45, 38.5, n)
        return np.where(rng.random(n) < 0.1, 0.0, rng.choice([-1, 1], n) * sizes).astype(np.float32)
    if kind == "flat":
        return np.full(n, rng.choice([0.0, -0.0, 0.1, -7.3]), np.float32)
    return rng.standard_normal(n).astype(np.float32)


def random_row(rng: np.random.Generator, width: int, pool: npt.NDArray[np.int64]) -> list[Entry]:
    """Items with repeats, in an order that no score explains; -1 anywhere, with any score."""
    n = int(rng.integers(0, width + 1)) if rng.random() < 0.9 else 0
    ids = rng.choice(pool, n)
    scores = random_scores(rng, n, str(rng.choice(["ties", "smooth", "wild", "flat", "infinite"])))
    holes = rng.random(n) < rng.choice([0, 0.2])
    ids[holes] = -1
    scores[holes] = rng.choice([np.nan, np.inf, -np.inf, 0, 5], int(holes.sum()))
    return [(int(i), float(s)) for i, s in zip(ids, scores, strict=True)]


def random_case(
    rng: np.random.Generator,
    policy: str,
    n_channels: int | None = None,
    nq: int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Case:
    """Anything that is allowed: `policy` with random arguments, or with those that are given."""
    n_channels = int(rng.integers(1, 7)) if n_channels is None else n_channels
    nq = int(rng.integers(0, 6)) if nq is None else nq
    pool = rng.permutation(int(rng.integers(1, 40))).astype(np.int64)
    pool *= int(rng.choice([1, 2**40]))
    pool[rng.random(len(pool)) < 0.05] = 2**63 - 1
    names = [f"channel {c}" for c in rng.permutation(n_channels)]  # no order but the mapping's
    widths = rng.choice([0, 1, 4, 15, 30], n_channels)
    k = int(rng.choice([1, 2, 5, 12, 30, 100]))
    exclude = None
    if rng.random() < 0.5:
        known = np.append(pool, 777)  # 777 may be an item of no channel
        exclude = [rng.choice(known, int(rng.integers(0, 8))).tolist() for _ in range(nq)]
    return Case(
        channels={
            name: [random_row(rng, int(width), pool) for _ in range(nq)]
            for name, width in zip(names, widths, strict=True)
        },
        k=k,
        policy=Policy(
            policy, random_arguments(rng, policy, names, k) if arguments is None else arguments
        ),
        exclude=exclude,
        caps=[random_cap(rng, pool) for _ in range(int(rng.choice([0, 0, 1, 2, 3])))],
    )


def random_cap(rng: np.random.Generator, pool: npt.NDArray[np.int64]) -> Cap:
    """Some items of the channels and one of none of them, in a few groups."""
    ids = rng.permutation(np.unique(np.append(pool[rng.random(len(pool)) < 0.7], 778)))
    groups = rng.integers(0, 4, len(ids)) * 2**33
    return Cap(ids.tolist(), groups.tolist(), int(rng.integers(1, 5)))


def random_arguments(
    rng: np.random.Generator, policy: str, names: Sequence[str], k: int
) -> dict[str, Any]:
    """Valid arguments of a policy. The order within its mappings means nothing."""

    def by_name(values: Any) -> dict[str, Any]:
        return {names[c]: values[c].item() for c in rng.permutation(len(names))}

    n = len(names)
    weights = None
    if rng.random() < 0.8:
        weights = by_name(rng.choice([0, 0.1, 0.5, 1, 3, 1e-3], n) * rng.choice([1.0, 0.7]))
    if policy == "RRF":
        return {"weights": weights, "k": float(rng.choice([0, 0.5, 1, 60]))}
    if policy in ("WeightedSum", "Maximum"):
        absent = rng.choice([None, None, "zero", "min"])
        return {"weights": weights, "normalize": str(rng.choice(NORMALIZE)), "absent": absent}
    if policy == "Interleave":
        return {
            "weights": None if weights is None else by_name(rng.integers(1, 5, n)),
            "on_duplicate": str(rng.choice(["refill", "skip"])),
        }
    if policy == "Priority":
        return {
            "quotas": by_name(rng.choice([0, 1, 2, 3, 8, k, 2 * k], n)),
            "mode": str(rng.choice(["per_channel", "cumulative"])),
            "backfill": bool(rng.random() < 0.6),
        }
    # Whole numbers and quarters: the split of such shares is exact in any sane arithmetic.
    shares = rng.choice([0, 1, 1, 2, 3, 7], n) * rng.choice([1, 0.25])
    shares[rng.integers(n)] = 1
    arguments: dict[str, Any] = {"shares": by_name(shares)}
    low = np.zeros(n, np.int64)
    if rng.random() < 0.5:
        for c in rng.permutation(n):
            low[c] = rng.integers(0, min(k - low.sum(), 5) + 1)
        arguments["minimum"] = by_name(low)
    if rng.random() < 0.5:
        arguments["maximum"] = by_name(low + rng.choice([0, 1, 3, 10, 200], n))
    return arguments
