"""`ReloadingIndex`: the newest version of a path, while it is saved and searched."""

from __future__ import annotations

import gc
import json
import logging
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison import arrays, assert_same_bits
from waiting import until

import vecrecall as vr

N, DIM, K = 50, 8, 5
QUERY = np.ones((1, DIM), np.float32)


def rows(version: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(version).standard_normal((N, DIM), dtype=np.float32)


def save(path: Path, version: int, *, broken: bool = False) -> None:
    """Write items whose ids tell their version; a stand-in for `FlatIndex.save` that can break."""
    path.mkdir(exist_ok=True)
    name = f"vectors-{uuid.uuid4().hex}.npy"
    np.save(path / name, rows(version))
    part = path / "manifest.part"
    part.write_text(json.dumps({"vectors": name, "version": version, "broken": broken}))
    part.replace(path / "manifest.json")
    for old in path.glob("*.npy"):
        if old.name != name:
            old.unlink()


def load(path: Path, *, mmap: bool, verify: bool) -> vr.FlatIndex:
    while True:
        manifest = json.loads((path / "manifest.json").read_text())
        if manifest["broken"]:
            raise ValueError("vectors: expected a whole file, got a broken one")
        with suppress(FileNotFoundError):  # another save has replaced it
            return vr.FlatIndex(np.load(path / manifest["vectors"]), ids_of(manifest["version"]))


def ids_of(version: int) -> np.ndarray[Any, Any]:
    return version * N + np.arange(N)


def version_of(result: vr.SearchResult) -> int:
    """Say of which version the answer is; it must be that version's exact answer."""
    versions = np.unique(result.ids // N)
    assert versions.size == 1
    version = int(versions[0])
    expected = vr.FlatIndex(rows(version), ids_of(version)).search(QUERY, K)
    assert_same_bits(result, *arrays(expected))
    return version


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(tmp_path / "index", 0)
    return tmp_path / "index"


def test_serves_what_is_there(path: Path) -> None:
    served = vr.ReloadingIndex(str(path), load=load)
    assert version_of(served.search(QUERY, K)) == 0
    assert not served.refresh()


def test_searches_with_every_filter(path: Path) -> None:
    served = vr.ReloadingIndex(path, load=load)
    filters: dict[str, Any] = {"exclude": [[3, 7]], "allow": np.arange(30), "min_score": 0.5}
    expected = served.index.search(QUERY, N, **filters)
    assert 0 < expected.counts[0] < 28  # every filter has left something out
    assert_same_bits(served.search(QUERY, N, threads=1, **filters), *arrays(expected))


def test_refresh_serves_the_newest(path: Path) -> None:
    served = vr.ReloadingIndex(path, load=load)
    save(path, 1)
    save(path, 2)
    assert version_of(served.search(QUERY, K)) == 0
    assert served.refresh()
    assert version_of(served.search(QUERY, K)) == 2
    assert not served.refresh()


def test_an_index_that_is_held_stays(path: Path) -> None:
    served = vr.ReloadingIndex(path, load=load)
    index = served.index
    mask = index.mask([0, 1, 2])
    save(path, 1)
    assert served.refresh()
    assert set(index.search(QUERY, 3, allow=mask).ids[0]) == {0, 1, 2}


def test_options_reach_the_loader(path: Path) -> None:
    got = []

    def record(path: Path, *, mmap: bool, verify: bool) -> vr.FlatIndex:
        got.append((mmap, verify))
        return load(path, mmap=mmap, verify=verify)

    vr.ReloadingIndex(path, load=record)
    vr.ReloadingIndex(path, load=record, mmap=False, verify=True)
    assert got == [(True, False), (False, True)]


def test_a_version_that_does_not_load_is_not_served(path: Path) -> None:
    served = vr.ReloadingIndex(path, load=load)
    save(path, 1, broken=True)
    for _ in range(2):  # tried again, since the reason may be gone
        with pytest.raises(ValueError, match="got a broken one"):
            served.refresh()
        assert isinstance(served.error, ValueError)
        assert version_of(served.search(QUERY, K)) == 0
    save(path, 2)
    assert served.refresh()
    assert served.error is None
    assert version_of(served.search(QUERY, K)) == 2


def test_a_folder_that_goes_away_is_still_served(path: Path) -> None:
    served = vr.ReloadingIndex(path, load=load)
    (path / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError):
        served.refresh()
    assert version_of(served.search(QUERY, K)) == 0


def test_nothing_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        vr.ReloadingIndex(tmp_path, load=load)


@pytest.mark.parametrize("poll", [0, -1.0, np.inf, np.nan])
def test_bad_intervals(path: Path, poll: float) -> None:
    with pytest.raises(ValueError, match=r"^poll: expected a (finite )?number"):
        vr.ReloadingIndex(path, load=load, poll=poll)


def test_an_interval_that_no_thread_can_wait(path: Path) -> None:
    with pytest.raises(ValueError, match=r"^poll: expected at most .* s, got 1e\+300"):
        vr.ReloadingIndex(path, load=load, poll=1e300)


def test_bad_loaders(path: Path) -> None:
    with pytest.raises(TypeError, match=r"^load: expected a callable, got int"):
        vr.ReloadingIndex(path, load=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^load: expected a FlatIndex in return, got NoneType"):
        vr.ReloadingIndex(path, load=lambda *_, **__: None)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("option", ["mmap", "verify"])
def test_bad_flags(path: Path, option: str) -> None:
    with pytest.raises(TypeError, match=f"^{option}: expected "):
        vr.ReloadingIndex(path, load=load, **{option: "yes"})  # type: ignore[arg-type]


def test_a_save_in_the_middle_of_a_load(path: Path) -> None:
    """The loaded files are not those that the manifest then names; the next attempt is."""
    saves = iter([1])

    def interrupted(path: Path, **options: bool) -> vr.FlatIndex:
        before = load(path, mmap=True, verify=False)
        for version in saves:
            save(path, version)
        return before

    served = vr.ReloadingIndex(path, load=interrupted)
    assert version_of(served.search(QUERY, K)) == 1
    assert not served.refresh()


def test_polling(path: Path) -> None:
    with vr.ReloadingIndex(path, load=load, poll=0.01) as served:
        save(path, 1)
        until(lambda: version_of(served.search(QUERY, K)) == 1)
        save(path, 2, broken=True)
        until(lambda: isinstance(served.error, ValueError))
        assert version_of(served.search(QUERY, K)) == 1
        save(path, 3)
        until(lambda: version_of(served.search(QUERY, K)) == 3)
        until(lambda: served.error is None)


def test_close_ends_the_polling(path: Path) -> None:
    before = set(threading.enumerate())
    served = vr.ReloadingIndex(path, load=load, poll=0.01)
    assert len(set(threading.enumerate()) - before) == 1
    served.close()
    served.close()
    assert set(threading.enumerate()) == before
    assert version_of(served.search(QUERY, K)) == 0


def test_a_channel_over_it(path: Path) -> None:
    served = vr.ReloadingIndex(path, load=load)
    channel = vr.channels.UserToItem(served, vector="user")
    batch = vr.RequestBatch(vectors={"user": QUERY}, seen=[[1]])
    assert_same_bits(
        channel.recall(batch, K), *arrays(served.index.search(QUERY, K, exclude=[[1]]))
    )
    save(path, 1)
    served.refresh()
    assert version_of(channel.recall(batch, K)) == 1


@contextmanager
def finishing(stop: threading.Event) -> Iterator[None]:
    try:
        yield
    finally:
        stop.set()


def test_searches_during_saves_and_refreshes(path: Path) -> None:
    """Every answer is one version's exact answer, and a thread never goes back to an older one."""
    last, stop = 40, threading.Event()
    served = vr.ReloadingIndex(path, load=load, poll=0.001)

    def search() -> None:
        seen = 0
        while seen < last and not stop.is_set():
            version = version_of(served.search(QUERY, K))
            assert version >= seen
            seen = version

    def refresh() -> int:
        changes = 0
        while not stop.is_set():
            changes += served.refresh()
        return changes

    with served, ThreadPoolExecutor(5) as pool, finishing(stop):
        searches = [pool.submit(search) for _ in range(3)]
        refreshes = [pool.submit(refresh) for _ in range(2)]
        for version in range(1, last + 1):
            save(path, version)
        for future in searches:
            future.result(timeout=300)
        stop.set()
        assert sum(future.result(timeout=300) for future in refreshes) <= last


@pytest.mark.parametrize("mmap", [True, False])
def test_an_index_that_was_saved(tmp_path: Path, mmap: bool) -> None:
    """A mapped index is still searched when its files are replaced and deleted."""
    vr.FlatIndex(rows(0), ids_of(0)).save(tmp_path)
    with vr.ReloadingIndex(tmp_path, mmap=mmap, verify=True) as served:
        first = served.index
        for version in (1, 2):
            vr.FlatIndex(rows(version), ids_of(version)).save(tmp_path)
            assert version_of(served.search(QUERY, K)) == version - 1
            assert served.refresh()
            assert version_of(served.search(QUERY, K)) == version
        assert version_of(first.search(QUERY, K)) == 0
        assert not served.refresh()


def test_a_saved_index_that_is_damaged(tmp_path: Path) -> None:
    vr.FlatIndex(rows(0), ids_of(0)).save(tmp_path)
    served = vr.ReloadingIndex(tmp_path)
    vr.FlatIndex(rows(1), ids_of(1)).save(tmp_path)
    largest = max(tmp_path.glob("*.npy"), key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"^path: "):
        served.refresh()
    assert version_of(served.search(QUERY, K)) == 0


def saved(path: Path, version: int, *, n: int = N, dim: int = DIM, metric: Any = "ip") -> None:
    vectors = np.random.default_rng(version).standard_normal((n, dim), dtype=np.float32)
    vr.FlatIndex(vectors, version * N + np.arange(n), metric=metric).save(path)


@pytest.mark.parametrize("form", ["index", "./index", "../here/index"])
def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    saved(here / "index", 0)
    monkeypatch.chdir(here)
    served = vr.ReloadingIndex(form)
    assert served.path.is_absolute()
    (tmp_path / "index").mkdir()
    monkeypatch.chdir(tmp_path)
    saved(here / "index", 1)
    assert served.refresh()
    assert version_of(served.search(QUERY, K)) == 1


def test_a_symbolic_link_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "v0", 0)
    saved(tmp_path / "v1", 1)
    link = tmp_path / "current"
    link.symlink_to("v0")
    monkeypatch.chdir(tmp_path)
    served = vr.ReloadingIndex("current")
    monkeypatch.chdir("/")
    before = served.version
    (tmp_path / "next").symlink_to("v1")
    (tmp_path / "next").replace(link)
    assert served.refresh()
    assert served.version != before
    assert version_of(served.search(QUERY, K)) == 1
    (tmp_path / "next").symlink_to("v0")
    (tmp_path / "next").replace(link)
    assert served.refresh()
    assert served.version == before


def test_a_folder_of_the_process_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "index", 0)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert not vr.ReloadingIndex(tmp_path / "index").refresh()  # an absolute path needs none
    with pytest.raises(FileNotFoundError, match=r"path: expected an absolute path.*: 'index'"):
        vr.ReloadingIndex("index")
    with pytest.raises(FileNotFoundError, match="path: expected an absolute path"):
        vr.FlatIndex(rows(0)).save("index")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"dim": DIM + 1}, r"^path: expected a version of dim 8 as before .*, got 9 in /"),
        ({"metric": "l2"}, r"^path: expected a version of metric 'ip' as before .*, got 'l2' in /"),
        ({"n": 0}, r"^path: expected a version with items .*, got none in /"),
    ],
)
def test_versions_that_are_refused(tmp_path: Path, other: dict[str, Any], message: str) -> None:
    saved(tmp_path, 0)
    served = vr.ReloadingIndex(tmp_path)
    willing = vr.ReloadingIndex(tmp_path, allow_change=True, allow_empty=True)
    saved(tmp_path, 1, **other)
    for failures in (1, 2):
        with pytest.raises(ValueError, match=message):
            served.refresh()
        assert served.failures == failures
        assert served.stale
        assert version_of(served.search(QUERY, K)) == 0
    assert willing.refresh()
    assert (len(willing.index), willing.index.dim, willing.index.metric) == (
        other.get("n", N), other.get("dim", DIM), other.get("metric", "ip"),
    )  # fmt: skip
    saved(tmp_path, 2)
    assert served.refresh()
    assert version_of(served.search(QUERY, K)) == 2
    assert (served.failures, served.total_failures, served.stale) == (0, 2, False)


def test_one_permission_is_not_the_other(tmp_path: Path) -> None:
    saved(tmp_path, 0)
    change, empty = (
        vr.ReloadingIndex(tmp_path, allow_change=True),
        vr.ReloadingIndex(tmp_path, allow_empty=True),
    )
    saved(tmp_path, 1, n=0, metric="l2")
    with pytest.raises(ValueError, match="with items"):
        change.refresh()
    with pytest.raises(ValueError, match="of metric"):
        empty.refresh()


def test_an_empty_index_to_begin_with(tmp_path: Path) -> None:
    saved(tmp_path, 0, n=0)
    with pytest.raises(ValueError, match=r"^path: expected a version with items"):
        vr.ReloadingIndex(tmp_path)
    served = vr.ReloadingIndex(tmp_path, allow_empty=True)
    saved(tmp_path, 1)
    assert served.refresh()


@pytest.mark.parametrize("no", [False, np.False_, 0])
def test_a_check_of_ones_own(path: Path, no: object) -> None:
    seen: list[int] = []

    def check(index: vr.FlatIndex) -> object:
        version = int(index.ids[0]) // N
        seen.append(version)
        if version == 2:
            raise KeyError("item 7 is missing")
        return no if version == 1 else None

    served = vr.ReloadingIndex(path, load=load, check=check)
    save(path, 1)
    with pytest.raises(ValueError, match=r"^check: expected a version that passes, got "):
        served.refresh()
    save(path, 2)
    with pytest.raises(KeyError, match="item 7 is missing"):
        served.refresh()
    assert isinstance(served.error, KeyError)
    assert version_of(served.search(QUERY, K)) == 0
    save(path, 3)
    assert served.refresh()
    assert seen == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"^check: expected a version that passes"):
        vr.ReloadingIndex(path, load=load, check=lambda index: False)


@pytest.mark.parametrize(
    ("option", "value"), [("check", 3), ("allow_change", "no"), ("allow_empty", 1)]
)
def test_bad_rules(path: Path, option: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{option}: expected "):
        vr.ReloadingIndex(path, load=load, **{option: value})  # type: ignore[arg-type]


def test_the_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vecrecall")
    served = vr.ReloadingIndex(path, load=load)
    save(path, 1, broken=True)
    for _ in range(3):  # one message for one reason
        with pytest.raises(ValueError, match="broken"):
            served.refresh()
    (path / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError):
        served.refresh()
    save(path, 2)
    served.refresh()
    served.refresh()
    assert {record.name for record in caplog.records} == {"vecrecall.reloading"}
    assert [(record.levelname, str(path) in record.message) for record in caplog.records] == [
        ("INFO", True), ("WARNING", True), ("WARNING", True), ("INFO", True), ("INFO", True),
    ]  # fmt: skip
    assert "got a broken one" in caplog.records[1].message
    assert "FileNotFoundError" in caplog.records[2].message
    assert "after 4 failures" in caplog.records[4].message


def test_ages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"monotonic": 1000.0, "time": 5e9}
    for clock in now:
        monkeypatch.setattr(time, clock, lambda clock=clock: now[clock])
    served = vr.ReloadingIndex(path, load=load)
    now["monotonic"] += 7
    now["time"] -= 100  # set back, which changes no age
    assert (served.loaded_at, served.age, served.since_check) == (5e9, 7.0, 7.0)
    assert not served.refresh()
    assert (served.age, served.since_check) == (7.0, 0.0)
    now["monotonic"] += 2
    save(path, 1, broken=True)
    with pytest.raises(ValueError, match="broken"):
        served.refresh()
    assert (served.age, served.since_check) == (9.0, 2.0)
    save(path, 2)
    assert served.refresh()
    assert (served.loaded_at, served.age, served.since_check) == (5e9 - 100, 0.0, 0.0)


def test_polls_that_do_not_come(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = vr.ReloadingIndex(path, load=load, poll=100.0)
    served.close()
    assert not served.stale
    later = time.monotonic() + 301
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert served.stale


def test_a_version_that_is_refused_leaves_the_memory(path: Path) -> None:
    refs: list[weakref.ref[vr.FlatIndex]] = []

    def check(index: vr.FlatIndex) -> bool:
        refs.append(weakref.ref(index))
        return int(index.ids[0]) == 0

    with vr.ReloadingIndex(path, load=load, poll=0.01, check=check) as served:
        save(path, 1)
        until(lambda: served.failures >= 2)
    gc.collect()
    assert refs[0]() is served.index
    assert all(ref() is None for ref in refs[1:])
