"""The log: what `append` has returned for is there after any end, and nothing else is made up."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from waiting import until

from vecrecall.storage import _log
from vecrecall.storage._log import Log, LogError, LogReader


def contents(path: Path, after: int = 0) -> list[bytes]:
    records = list(_log.read(path, after))
    assert [record.number for record in records] == list(range(after + 1, after + 1 + len(records)))
    return [record.content for record in records]


def segment(path: Path, first: int = 1) -> Path:
    return path / f"{first:020d}.log"


def test_records_come_back_in_order(tmp_path: Path) -> None:
    log = Log(tmp_path)
    assert log.last == 0
    assert log.append([b"a", b"", b"ccc" * 1000]) == 3
    assert log.append([b"\xff"]) == 4
    assert log.last == 4
    log.close()
    assert contents(tmp_path) == [b"a", b"", b"ccc" * 1000, b"\xff"]
    assert contents(tmp_path, after=2) == [b"ccc" * 1000, b"\xff"]
    again = Log(tmp_path)
    assert again.append([b"five"]) == 5
    again.close()
    assert contents(tmp_path, after=4) == [b"five"]


def test_one_writer(tmp_path: Path) -> None:
    log = Log(tmp_path)
    with pytest.raises(BlockingIOError, match="another process writes the log"):
        Log(tmp_path)
    log.close()
    Log(tmp_path).close()
    with pytest.raises(OSError, match="log failed before: closed"):
        log.append([b"late"])


def test_a_torn_end_is_cut_off_wherever_it_is_torn(tmp_path: Path) -> None:
    """Cut after each byte, and overwritten from each byte on, the commits before stay."""
    log = Log(tmp_path)
    log.append([b"one"])
    whole = segment(tmp_path).stat().st_size
    log.append([b"two", b"three"])
    log.close()
    data = segment(tmp_path).read_bytes()
    for end in range(whole, len(data)):
        for tail in (b"", bytes(len(data) - end), b"\xff" * (len(data) - end)):
            segment(tmp_path).write_bytes(data[:end] + tail)
            expected = [b"one"]
            if data[:end] + tail == data:
                expected += [b"two", b"three"]
            assert contents(tmp_path) == expected
            again = Log(tmp_path)
            assert again.append([b"next"]) == len(expected) + 1
            again.close()
            assert contents(tmp_path) == [*expected, b"next"]


def test_damage_before_whole_records_is_an_error(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for record in (b"one", b"two", b"three"):
        log.append([record])
    log.close()
    data = segment(tmp_path).read_bytes()
    last = data.rindex(b"\xf5vrC")
    header = len(_log._HEADER)
    for place in range(header, last):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        segment(tmp_path).write_bytes(damaged)
        with pytest.raises(LogError, match="got a damaged one at byte"):
            Log(tmp_path)
    segment(tmp_path).write_bytes(b"something else" + data[14:])
    with pytest.raises(LogError, match="expected a segment of format 1"):
        Log(tmp_path)


def test_segments_follow_each_other(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.append([b"1", b"2"])
    assert log.rotate() == 3
    assert log.rotate() == 3  # an empty one is enough
    log.append([b"3"])
    log.rotate()
    log.append([b"4"])
    assert contents(tmp_path) == [b"1", b"2", b"3", b"4"]
    log.trim(4, keep_bytes=1 << 20)
    assert _log.first_number(tmp_path) == 1
    sizes = [segment(tmp_path, first).stat().st_size for first in (1, 3, 4)]
    log.trim(4, keep_bytes=sizes[1] + sizes[2] + 1)
    assert _log.first_number(tmp_path) == 1  # without it there would be fewer
    log.trim(4, keep_bytes=sizes[1] + sizes[2])
    assert _log.first_number(tmp_path) == 3
    with pytest.raises(LogError, match="expected record 2, got a gap"):
        list(LogReader(tmp_path, 1).read())
    log.trim(3, keep_bytes=0)
    assert _log.first_number(tmp_path) == 3  # which is needed
    log.trim(4, keep_bytes=0)
    assert _log.first_number(tmp_path) == 4
    log.trim(99, keep_bytes=0)
    assert _log.first_number(tmp_path) == 4  # that which is written
    log.close()
    segment(tmp_path, 9).write_bytes(_log._HEADER)
    with pytest.raises(LogError, match="expected record 5, got a gap"):
        Log(tmp_path)


def test_a_reader_goes_on_where_what_it_has_read_was_removed(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.append([b"1", b"2"])
    idle, late = LogReader(tmp_path, 0), LogReader(tmp_path, 0)
    assert [of.content for of in idle.read()] == [b"1", b"2"]
    assert [of.content for of in late.read(upto=1)] == []  # a commit is whole
    log.rotate()
    log.append([b"3"])
    log.trim(3, keep_bytes=0)
    assert _log.first_number(tmp_path) == 3
    assert [of.content for of in idle.read()] == [b"3"]
    with pytest.raises(LogError, match="expected record 1, got a gap"):
        list(late.read())
    log.close()
    segment(tmp_path, 3).unlink()
    with pytest.raises(LogError, match="expected record 4, got a gap"):
        list(idle.read())


def test_a_reader_follows(tmp_path: Path) -> None:
    log = Log(tmp_path)
    reader = LogReader(tmp_path, 0)
    assert list(reader.read()) == []
    expected, found = [], []
    rng = random.Random(0)
    for n in range(200):
        record = str(n).encode()
        expected.append(record)
        log.append([record])
        if rng.random() < 0.1:
            log.rotate()
        if rng.random() < 0.3:
            found += [one.content for one in reader.read(upto=n)]  # all but the last
            assert found == expected[:n]
    found += [one.content for one in reader.read()]
    assert found == expected
    log.close()


def test_a_reader_does_not_see_half_a_commit(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.append([b"one", b"two"])
    log.close()
    data = segment(tmp_path).read_bytes()
    reader = LogReader(tmp_path, 0)
    for end in range(len(_log._HEADER), len(data)):
        segment(tmp_path).write_bytes(data[:end])
        assert list(reader.read()) == []
    segment(tmp_path).write_bytes(data)
    assert [one.content for one in reader.read()] == [b"one", b"two"]


def test_threads_share_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of a thread follow each other; those that come during a flush share the next one."""
    log = Log(tmp_path)
    flushes = []
    flush = os.fsync
    n_threads, rounds = 8, 20
    together = threading.Barrier(n_threads)

    def slow(descriptor: int) -> None:
        flushes.append(descriptor)
        if len(flushes) % 2:  # the first of a round: meanwhile all others come
            until(lambda: len(log._waiting) == 2 * (n_threads - 1))
        flush(descriptor)

    monkeypatch.setattr(_log.os, "fsync", slow)
    numbers: dict[int, list[int]] = {name: [] for name in range(n_threads)}

    def work(name: int) -> None:
        for n in range(rounds):
            together.wait(60)
            numbers[name].append(log.append([b"%d %d" % (name, n), b"%d" % n]))

    threads = [threading.Thread(target=work, args=[name]) for name in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    log.close()
    found = contents(tmp_path)
    assert len(found) == 2 * n_threads * rounds
    for name, own in numbers.items():
        for n, last in enumerate(own):
            assert found[last - 2 : last] == [b"%d %d" % (name, n), b"%d" % n]
    assert len(flushes) == 2 * rounds


def test_a_failed_write_ends_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path)
    log.append([b"one"])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_log.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        log.append([b"two"])
    monkeypatch.undo()
    with pytest.raises(OSError, match="log failed before: No space left"):
        log.append([b"three"])
    log.close()
    again = Log(tmp_path)  # whether "two" is there was never promised
    assert contents(tmp_path) in ([b"one"], [b"one", b"two"])
    again.close()


_WRITER = """
import sys
from pathlib import Path
from vecrecall.storage._log import Log
log = Log(Path(sys.argv[1]))
print("ready", log.last, flush=True)
n = log.last
while True:
    n = log.append([b"%d" % (n + 1 + i) for i in range(n % 5 + 1)])
    print(n, flush=True)
    if n % 7 == 0:
        log.rotate()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_kills(tmp_path: Path) -> None:
    """After each of 20 kills everything that was acknowledged is there."""
    acknowledged = 0
    rng = random.Random(1)
    for _ in range(20):
        command = [sys.executable, "-c", _WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = process.stdout.readline().split()
            assert int(first[1]) >= acknowledged
            for _ in range(rng.randrange(30)):
                acknowledged = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
            acknowledged = int(rest[-1]) if rest else max(acknowledged, int(first[1]))
        found = contents(tmp_path)
        assert len(found) >= acknowledged
        assert found == [b"%d" % (n + 1) for n in range(len(found))]
