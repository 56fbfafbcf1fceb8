"""The cache of the demos."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.cache import Cache, Cached, key_of
from vecrecall.cli.demo.memory import Peak
from vecrecall.train import Embedding

VECTORS = Embedding(["a", "b"], [[1.0, 0.0], [0.0, 1.0]])


def kept(cache: Cache, key: str, made: list[str], kind: str = "tags") -> Cached[Embedding]:
    def make(checkpoint: Path) -> Embedding:
        made.append(key)
        return VECTORS

    return cache.get(kind, key, make, Embedding.save, Embedding.load)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_second_time_it_is_loaded(tmp_path: Path) -> None:
    cache, key, made = Cache(tmp_path / "new" / "cache"), key_of({"d": 2}, ["a"]), list[str]()
    first, second = kept(cache, key, made), kept(cache, key, made)
    assert made == [key]
    assert (first.reused, second.reused) == (False, True)
    assert second.seconds == first.seconds
    assert second.peak_bytes == first.peak_bytes
    assert second.value.matrix.tobytes() == VECTORS.matrix.tobytes()
    assert names(cache.folder) == [f"tags-{key}"]


def test_the_key_is_of_data_settings_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> list[str]:
        return [
            key_of({"d": 2}, ["a"], np.arange(3)),
            key_of({"d": 3}, ["a"], np.arange(3)),
            key_of({"d": 2}, ["b"], np.arange(3)),
            key_of({"d": 2}, ["a"], np.arange(3.0)),
            key_of({"d": 2}, ["a"], np.arange(3), packages=("gensim",)),
        ]

    before = keys()
    assert len(set(before)) == len(before)
    assert keys() == before
    monkeypatch.setattr("vecrecall.cli.demo.cache.version_of", lambda name: "99")
    assert not set(keys()) & set(before)


def test_an_interrupted_training_finds_its_checkpoint(tmp_path: Path) -> None:
    cache, key = Cache(tmp_path), key_of({})

    def interrupted(checkpoint: Path) -> Embedding:
        VECTORS.save(checkpoint)
        raise KeyboardInterrupt

    def resumed(checkpoint: Path) -> Embedding:
        return Embedding.load(checkpoint)

    with pytest.raises(KeyboardInterrupt):
        cache.get("tags", key, interrupted, Embedding.save, Embedding.load)
    assert names(tmp_path) == [f"tags-{key}.checkpoint"]
    found = cache.get("tags", key, resumed, Embedding.save, Embedding.load)
    assert found.value.ids == VECTORS.ids
    assert names(tmp_path) == [f"tags-{key}"]


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    def save(value: int, path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).get("tags", key_of({}), lambda checkpoint: 1, save, lambda path: 1)
    assert names(tmp_path) == []


def test_another_run_may_have_made_the_same_meanwhile(tmp_path: Path) -> None:
    cache, key, made = Cache(tmp_path), key_of({}), list[str]()

    def make(checkpoint: Path) -> Embedding:
        kept(cache, key, made)
        return VECTORS

    assert not cache.get("tags", key, make, Embedding.save, Embedding.load).reused
    assert names(tmp_path) == [f"tags-{key}"]
    assert kept(cache, key, made).reused


@pytest.mark.parametrize("damage", ["no text", "a byte", "a file", "all"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    cache, key, made = Cache(tmp_path), key_of({}), list[str]()
    kept(cache, key, made)
    entry = tmp_path / f"tags-{key}"
    matrix = next(entry.rglob("matrix*"))
    if damage == "no text":
        (entry / "entry.json").write_text("")
    elif damage == "a byte":
        content = bytearray(matrix.read_bytes())
        content[-1] ^= 1
        matrix.write_bytes(content)
    elif damage == "a file":
        matrix.unlink()
    else:
        (entry / "entry.json").unlink()
    assert not kept(cache, key, made).reused
    assert kept(cache, key, made).reused
    assert len(made) == 2


def aged(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def test_the_entries_used_longest_ago_make_room(tmp_path: Path) -> None:
    keys, made = [key_of({"n": n}) for n in range(4)], list[str]()
    whole = Cache(tmp_path)
    for age, key in enumerate(keys[:3]):
        kept(whole, key, made)
        aged(tmp_path / f"tags-{key}", 1000 - age)
    kept(whole, keys[0], made)  # used again, so the second is now the oldest
    (tmp_path / "notes.txt").write_text("not ours")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a").write_bytes(bytes(10_000))
    size = sum(f.stat().st_size for f in tmp_path.glob("tags-*/**/*") if f.is_file())
    kept(Cache(tmp_path, max_bytes=size + 10), keys[3], made)
    left = {f"tags-{key}" for key in (keys[0], keys[2], keys[3])}
    assert set(names(tmp_path)) == left | {"notes.txt", "photos"}
    kept(Cache(tmp_path, max_bytes=0), keys[3], made)
    assert set(names(tmp_path)) == {f"tags-{keys[3]}", "notes.txt", "photos"}
    assert len(made) == 4


def test_half_written_entries_go_after_a_day(tmp_path: Path) -> None:
    parts = [tmp_path / f"tags-{key_of({})}.part-{n:012x}" for n in range(2)]
    for part in parts:
        part.mkdir()
    aged(parts[0], 90_000)
    kept(Cache(tmp_path), key_of({}), [])
    assert not parts[0].exists()
    assert parts[1].exists()


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VECRECALL_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert Cache().folder == tmp_path / ".cache" / "vecrecall"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert Cache().folder == tmp_path / "caches" / "vecrecall"
    monkeypatch.setenv("VECRECALL_CACHE", "~/elsewhere")
    assert Cache().folder == tmp_path / "elsewhere"
    assert Cache(tmp_path / "given").folder == tmp_path / "given"


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_folder_that_cannot_be_used(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match="the cache cannot be written"):
        kept(Cache(tmp_path / where), key_of({}), [])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is that of the process")
def test_the_peak_of_memory_is_that_of_each() -> None:
    with Peak() as large:
        np.ones(1 << 24).sum()  # 128 MiB
    with Peak() as small:
        np.ones(1 << 10).sum()
    assert large.bytes - small.bytes > 1 << 26
    assert Peak.of_process() >= large.bytes


def test_errors_of_making_stay_what_they_are(tmp_path: Path) -> None:
    def fail(error: Exception) -> Callable[[Path], int]:
        def make(checkpoint: Path) -> int:
            raise error

        return make

    for error in (ValueError("x"), OSError("y")):
        with pytest.raises(type(error), match=str(error)):
            Cache(tmp_path).get("tags", key_of({}), fail(error), lambda *_: 1, lambda _: 1)
    with pytest.raises(ValueError, match="kind: expected lower-case"):
        Cache(tmp_path).get("../tags", key_of({}), lambda _: 1, lambda *_: 1, lambda _: 1)
