"""The command ``vecrecall bench``: measurements, invalid input, failing peers."""

from __future__ import annotations

import json
import os
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench import command, indexes, interleaved, machine, peers, search
from vecrecall.cli.bench import vectors as file_of_rows
from vecrecall.cli.bench.machine import Limits, Machine
from vecrecall.cli.bench.truth import Truth
from vecrecall.cli.main import main

PEERS = ("vecrecall", "numpy")
N, DIM, K = 300, 8, 5


@pytest.fixture(autouse=True)
def few_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy is always there; limits that take no seconds to measure, timings that are short."""
    monkeypatch.setattr(command, "PEERS", {name: peers.PEERS[name] for name in PEERS})
    monkeypatch.setattr(
        command.machine,
        "measure",
        lambda threads: Machine("a model", 2, vr.isa(), threads, Limits(1.0, 4.0, 1.0)),
    )


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.npy"
    np.save(path, np.random.default_rng(0).standard_normal((N, DIM)))
    return path


def measured(path: Path, *arguments: str) -> dict[str, Any]:
    target = path.with_suffix(".json")
    options = ["--vectors", str(path), "-k", str(K), "--repeats", "1", "--json", str(target)]
    assert main(["bench", *options, *arguments]) == 0
    report: dict[str, Any] = json.loads(target.read_text())
    return report


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vecrecall")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err


def test_report(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = measured(vectors, "--threads", "1")
    assert {key.partition(".")[0].removesuffix("[]") for key in command.KEYS} == set(report)
    assert report["data"] == {
        "vectors": str(vectors),
        "items": N,
        "dim": DIM,
        "queries": N,
        "queries_from": "a sample of the vectors",
        "metric": "ip",
        "k": K,
    }
    assert set(report["peers"]) == set(PEERS)
    for peer in report["peers"].values():
        own = {key.split(".")[2].removesuffix("[]") for key in command.KEYS if "<name>." in key}
        assert own == set(peer)
        assert set(peer["ms"]) == set(peer["times_ours"]) == {"1", "16", "256"}
        assert all(len(times) == 1 and times[0] > 0 for times in peer["ms"].values())
        assert peer["recall"] == 1
    assert set(report["peers"]["vecrecall"]["times_ours"].values()) == {1.0}
    assert report["failed"] == {}
    shown, progress = capsys.readouterr()
    assert all(name in shown for name in PEERS)
    assert "a sample of the vectors" in shown
    assert "building numpy" in progress


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_metrics_and_queries(vectors: Path, metric: str) -> None:
    queries = vectors.with_name("queries.npy")
    np.save(queries, np.random.default_rng(1).standard_normal((20, DIM), dtype=np.float32))
    report = measured(vectors, "--metric", metric, "--queries", str(queries))
    assert report["data"]["queries_from"] == str(queries)
    assert set(report["peers"]["numpy"]["ms"]) == {"1", "16", "20"}
    assert report["peers"]["numpy"]["recall"] == 1


def test_what_is_not_installed_is_named(
    vectors: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = peers.Peer("no-such-package", "no_such_package", True, peers.PEERS["numpy"].build)
    known = {**command.PEERS, "missing": missing}
    monkeypatch.setattr(command, "PEERS", known)
    monkeypatch.setattr(search, "PEERS", known)
    assert measured(vectors)["not_installed"] == ["missing"]
    assert "not installed: missing (pip install 'vecrecall[bench]')" in capsys.readouterr().out


def test_slow_indexes_are_left_out_of_many_items(
    vectors: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = {**command.PEERS, "graph": peers.PEERS["numpy"]._replace(slow=True)}
    monkeypatch.setattr(command, "PEERS", slow)
    monkeypatch.setattr(command, "SMALL", N - 1)
    assert measured(vectors)["left_out"] == ["graph"]
    assert "left out, since building takes long: graph (--approximate)" in capsys.readouterr().out


def test_one_by_one_where_memory_is_short(vectors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.machine, "available", lambda: 1)
    report = measured(vectors)
    assert not report["together"]
    assert set(report["peers"]) == set(PEERS)
    assert all(set(peer["times_ours"]) == {"1", "16", "256"} for peer in report["peers"].values())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2), np.complex64), "got dtype complex64"),
        (np.zeros(3), "got shape (3,)"),
        (np.zeros((2, 3, 4)), "got shape (2, 3, 4)"),
        (np.zeros((0, 4)), "expected at least one row"),
        (np.zeros((4, 0)), "expected at least one column"),
        (np.array([[1.0], [np.nan]]), "got NaN or infinity in row 1"),
        (np.array([[1e300], [1.0]]), "got an overflow in row 0"),
        (np.array([[1, None]]), "expected a .npy file of numbers"),
        (np.array([["a"]]), "expected real numbers"),
    ],
    ids=["complex", "1d", "3d", "empty", "no columns", "nan", "overflow", "objects", "text"],
)
def test_bad_vectors(
    array: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.npy"
    np.save(path, array)
    err = refused(capsys, ["--vectors", str(path), "-k", "1"])
    assert "vectors: expected" in err
    assert message in err


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"1,2\n3,4\n", b"PK\x03\x04"])
def test_files_that_are_none(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "vectors.npy"
    path.write_bytes(content)
    assert "vectors: expected a .npy file" in refused(capsys, ["--vectors", str(path)])


def test_a_truncated_file(vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors.write_bytes(vectors.read_bytes()[:-100])
    assert "vectors: expected a .npy file" in refused(capsys, ["--vectors", str(vectors)])


def test_bad_options(vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--vectors", str(vectors)]
    wide, flat = tmp_path / "wide.npy", tmp_path / "zeros.npy"
    np.save(wide, np.ones((3, DIM + 1)))
    np.save(flat, np.zeros((3, DIM)))
    assert "vectors: no such file: " in refused(capsys, ["--vectors", str(tmp_path / "none.npy")])
    assert "got something else" in refused(capsys, ["--vectors", str(tmp_path)])
    assert "k: expected" in refused(capsys, [*given, "-k", "0"])
    assert f"to {N}, got {N + 1}" in refused(capsys, [*given, "-k", str(N + 1)])
    assert "-k" in refused(capsys, [*given, "-k", "-1"])
    assert "--repeats" in refused(capsys, [*given, "--repeats", "0"])
    assert "threads: expected" in refused(capsys, [*given, "--threads", "0"])
    assert "--metric" in refused(capsys, [*given, "--metric", "dot"])
    assert "--vectors" in refused(capsys, [])
    assert f"queries: expected shape (n, {DIM})" in refused(
        capsys, [*given, "--queries", str(wide)]
    )
    assert "is all zeros, which has no cosine similarity" in refused(
        capsys, [*given, "--queries", str(flat), "--metric", "cosine"]
    )
    assert "json: expected a file" in refused(capsys, [*given, "--json", str(tmp_path)])


@pytest.mark.parametrize("metric", ["ip", "cosine"])
def test_what_the_peers_read(
    metric: indexes.Metric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_of_rows, "NUMBERS", 7 * DIM)  # blocks of 7 rows, the last short
    rows = np.random.default_rng(0).standard_normal((30, DIM), dtype=np.float32)
    rows[3] *= np.float32(1e30)  # its squares are too large for float32
    path = tmp_path / "rows.npy"
    for order in (rows, np.asfortranarray(rows)):
        file_of_rows.write(order, path, metric)
        wide = rows.astype(np.float64)
        if metric == "cosine":
            wide /= np.linalg.norm(wide, axis=1, keepdims=True)
        np.testing.assert_array_equal(np.load(path), wide.astype(np.float32))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("metric", ["ip", "cosine"])
def test_a_full_disk(
    metric: str, vectors: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ITEMS", "/dev/full")  # absolute: not below the folder
    err = refused(capsys, ["--vectors", str(vectors), "-k", "1", "--metric", metric])
    assert "No space left on device" in err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    shown = capsys.readouterr().out
    options = ("--vectors", "--queries", "-k", "--metric", "--threads", "--repeats", "--json")
    assert [word for word in options if word not in shown] == []
    assert [key for key in command.KEYS if key not in shown] == []


class Unreadable:
    """Can be sent, but not received."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


def worker(name: str, pipe: Connection) -> None:
    """Fail as the name says, else answer."""
    if name == "never ready":
        raise ValueError("expected\nmore")
    pipe.send(name)
    while (task := pipe.recv()) is not False:
        if name == "raises":
            raise MemoryError
        if name == "dies":
            print("the last words", file=sys.stderr, flush=True)
            os.abort()
        if name == "unreadable":
            task = Unreadable()
        if task == "hang":
            time.sleep(60)
        pipe.send((0.5, task))


def test_peers_that_fail() -> None:
    names = ("good", "never ready", "raises", "dies", "unreadable")
    packages = {**dict.fromkeys(names, ""), "missing": "no-such-package"}
    with interleaved.InterleavedRunner(worker, packages, (), threads=1) as run:
        assert run.ready == {name: name for name in names if name != "never ready"}
        run.run({f"{name}, {task}": (name, task) for task in "ab" for name in names}, repeats=2)
        assert run.times == {"good, a": [0.5, 0.5], "good, b": [0.5, 0.5]}
        assert run.answers == {"good, a": "a", "good, b": "b"}
        assert run.absent == {
            "missing": interleaved.NOT_INSTALLED,
            "never ready": "failed (getting ready): ValueError: expected more",
            "raises": "failed (raises, a): MemoryError",
            "dies": "failed (dies, a): its process was ended by SIGABRT: the last words",
            "unreadable": "failed (unreadable, a): sent an unreadable answer: invalid literal for "
            "int() with base 10: 'no number'",
        }


def test_a_peer_that_hangs() -> None:
    with interleaved.InterleavedRunner(worker, {"good": ""}, ()) as run:
        run.limit = 0.2  # a process needs longer to start
        run.run({"good": ("good", "hang")}, repeats=2)
        assert run.times == {}
        assert run.absent == {"good": "failed (good): took longer than 0.2 s"}


def test_one_timing_of_what_takes_long() -> None:
    with interleaved.InterleavedRunner(worker, {"good": ""}, ()) as run:
        run.measure(3, long=0.4)
    assert run.times == {"good": [0.5]}


def test_truth_counts_near_ties_as_found() -> None:
    # Rows 2 and 3 differ by less than float32 sums can tell, row 4 by more.
    items = np.array([[3, 0], [2, 0], [1, 0], [1 - 2.0**-23, 0], [0.5, 0]], np.float32)
    queries = np.array([[1, 0], [1, 0]], np.float32)
    truth = Truth(items, queries, 3, "ip")
    assert truth.recall(np.array([[2, 1, 0], [0, 1, 3]]), 3) == 1
    assert truth.recall(np.array([[0, 1, 4]]), 3) == pytest.approx(2 / 3)
    assert truth.recall(np.array([[0, 0, -1]]), 3) == pytest.approx(1 / 3)
    assert truth.recall(np.array([[0, 5]]), 2) == pytest.approx(1 / 2)


def test_a_near_tie_is_no_substitute_for_a_better_item() -> None:
    items = np.array([[3, 0], [2, 0], [1, 0], [1 - 2.0**-23, 0]], np.float32)
    truth = Truth(items, np.ones((1, 2), np.float32), 3, "ip")
    assert truth.recall(np.array([[1, 2, 3]]), 3) == pytest.approx(2 / 3)


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("size", [1e30, 1e20, 1e-22, 1e-25])
def test_scores_that_float32_cannot_hold_tie(metric: indexes.Metric, size: float) -> None:
    rng = np.random.default_rng(4)
    items = rng.standard_normal((200, 4), dtype=np.float32) * np.float32(size)
    queries = rng.standard_normal((20, 4), dtype=np.float32) * np.float32(size)
    ours = vr.FlatIndex(items, metric=metric).search(queries, 5).ids
    assert Truth(items, queries, 5, metric).recall(ours, 5) == 1


def test_an_overflow_is_no_substitute_for_a_better_item() -> None:
    items = np.array([[1e30], [2e30], [1], [-1e30]], np.float32)
    truth = Truth(items, np.full((1, 1), 1e10, np.float32), 2, "ip")
    assert truth.recall(np.array([[0, 1]]), 2) == 1
    assert truth.recall(np.array([[0, 3]]), 2) == 1 / 2


@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
def test_truth_is_that_of_all_items_in_float64(
    metric: indexes.Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blocks of few items, the last short.
    monkeypatch.setattr("vecrecall.cli.bench.truth.NUMBERS", 7 * 20)
    rng = np.random.default_rng(3)
    items = rng.standard_normal((100, 4), dtype=np.float32)
    queries = rng.standard_normal((20, 4), dtype=np.float32)
    q, x = queries.astype(np.float64), items.astype(np.float64)
    away = {
        "ip": -(q @ x.T),
        "cosine": -(q @ x.T) / np.linalg.norm(x, axis=1),
        "l2": ((q[:, None] - x) ** 2).sum(-1),
    }
    exact = np.argsort(away[metric], axis=1)[:, :5]
    truth = Truth(items, queries, 5, metric)
    assert truth.count == len(queries)
    assert truth.recall(exact, 5) == truth.recall(exact[:, :2], 2) == 1
    for place in range(5):  # each place counts, in one list of twenty
        worse = exact.copy()
        worse[-1, place] = np.argmax(away[metric][-1])
        assert truth.recall(worse, 5) == pytest.approx(1 - 1 / 100)


def test_truth_of_many_numbers_is_of_fewer_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecrecall.cli.bench.truth.PRODUCTS", 10)
    items = np.eye(20, dtype=np.float32)
    truth = Truth(items, items, 1, "ip")
    assert truth.count == 16
    assert truth.recall(np.arange(20)[:, None] % 16, 1) == 1  # the last four are wrong


@pytest.mark.parametrize("shape", [(0, 2), (3, 1), (3, 3), (2,)])
def test_lists_of_another_shape(shape: tuple[int, ...]) -> None:
    truth = Truth(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32), 2, "ip")
    with pytest.raises(ValueError, match=r"^found: expected shape \(m, 2\), m > 0, got \("):
        truth.recall(np.zeros(shape, np.int64), 2)


@pytest.mark.parametrize(
    "search_some",
    [lambda q, k: np.zeros((1, k)), lambda q, k: np.zeros((len(q), k - 1)), lambda q, k: []],
    ids=["one row", "short rows", "nothing"],
)
def test_a_peer_that_does_not_answer_all_fails(search_some: Any) -> None:
    queries = np.zeros((4, 2), np.float32)
    with pytest.raises(ValueError, match=r"^expected ids of shape \(4, 3\), got \("):
        search.time_task(indexes.BuiltIndex(search_some), queries, search.Task(4, 3))


def test_wrong_answers_of_ours_are_found(
    vectors: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured_wrongly(self: Any, *arguments: Any, **options: Any) -> Any:
        found = right(self, *arguments, **options)
        found["vecrecall"]["recall"] -= 1 / 1024
        return found

    right = search.SearchRunner.measure
    monkeypatch.setattr(search.SearchRunner, "measure", measured_wrongly)
    target = vectors.with_suffix(".json")
    given = ["--vectors", str(vectors), "-k", str(K), "--repeats", "1", "--json", str(target)]
    assert main(["bench", *given]) == 1
    problem = "batch 16: vecrecall: expected the exact lists, found 99.9023% of them"
    assert problem in json.loads(target.read_text())["wrong"]
    assert problem in capsys.readouterr().out


def test_without_our_times(
    vectors: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "SHORT", 1e-9)  # seconds: no peer is ready by then
    assert main(["bench", "--vectors", str(vectors), "-k", str(K)]) == 1
    assert "vecrecall: failed (getting ready): took longer than" in capsys.readouterr().out


def test_how_many_queries_were_checked(
    vectors: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vecrecall.cli.bench.truth.PRODUCTS", 20 * N * DIM)
    assert measured(vectors)["checked"] == 20
    assert "recall: of the first 20 queries" in capsys.readouterr().out


def test_disagreements_are_of_exact_peers() -> None:
    found = {
        "good": {"exact": True, "recall": 1.0},
        "bad": {"exact": True, "recall": 0.9},
        "approximate": {"exact": False, "recall": 0.5},
    }
    assert search.wrong_lists(found) == ["bad: expected the exact lists, found 90.0000% of them"]


def test_table() -> None:
    assert markdown_table(["a", "b"], [["x", "12"], ["long", "3"]]) == (
        "| a    |  b |\n|------|---:|\n| x    | 12 |\n| long |  3 |"
    )
    assert [format_number(x) for x in (1234.5, 12.34, 1.234, 0.1234, 0.01234)] == [
        "1234",
        "12.3",
        "1.23",
        "0.123",
        "0.0123",
    ]


def test_both_int8_limits_are_shown() -> None:
    with_unit = Machine("a model", 2, "amx", 2, Limits(113.0, 3200.0, 21.0, int8_vectors=452.0))
    assert "and 3200 int8 (452 without the matrix unit) billion" in with_unit.describe()
    assert with_unit.as_json()["limits"]["int8_vectors"] == 452.0
    assert Machine.from_json(json.loads(json.dumps(with_unit.as_json()))) == with_unit
    without = Machine("a model", 2, "avx512vnni", 2, Limits(113.0, 452.0, 21.0))
    assert "and 452 int8 billion" in without.describe()
    assert without.as_json()["limits"]["int8_vectors"] is None


@pytest.mark.parametrize(
    ("rounds", "vectors"),
    [([(1.0, 9.0, 4.0), (2.0, 8.0, 5.0)], 5.0), ([(1.0, 9.0, None), (2.0, 8.0, None)], None)],
)
def test_the_best_round_counts(
    rounds: list[tuple[float, float, float | None]],
    vectors: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    products, reads = iter(rounds), iter([3.0, 2.0])
    monkeypatch.setattr(machine._core, "product_limits", lambda threads: next(products))
    monkeypatch.setattr(machine._core, "read_limit", lambda threads: next(reads))
    assert machine.limits(2, rounds=2) == Limits(2.0, 9.0, 3.0, vectors)
