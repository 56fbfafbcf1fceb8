"""An append-only log of records that are on the disk when `append` returns.

A log is a folder of segments, files named by the number of their first record. A segment is a
header and frames; a frame is the records of one commit with one checksum, so that a commit is there
as a whole or not at all. A crash can leave a torn frame at the end of the last segment only: it was
never acknowledged, and the next writer cuts it off. Anything else that does not read is an error,
since acknowledged records would be lost.
"""

import errno
import hashlib
import io
import os
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vecrecall.storage._array_folder import flush_folder
from vecrecall.storage._atomic import named_errors

if sys.platform != "win32":
    import fcntl

_HEADER = b"vecrecall-log\x00\x00\x01"  # the last byte is the format
_MAGIC = b"\xf5vrC"
_FRAME = struct.Struct("<4sIQI")  # magic, bytes of the body, number of the first record, records
_LENGTH = struct.Struct("<I")
_DIGEST = 8
_NAME = "{:020d}.log"
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)  # of some network file systems
LARGEST_COMMIT = 1 << 30
"""Bytes of one commit: a length beyond it is no length."""


class Record(NamedTuple):
    """A record and its number; numbers go on from segment to segment, without gaps."""

    number: int
    content: bytes


class LogError(ValueError):
    """A log has something else where an acknowledged record must be."""


class Log:
    """The one writer of a log.

    Threads may append at the same time: those that wait while a commit is on its way to the disk
    share the next one (group commit).

    Parameters
    ----------
    path : Path
        The folder, made if need be. It is locked for one writer.
    first : int
        The number of the first record, where the log is new.

    Raises
    ------
    BlockingIOError
        If another writer has the folder.
    LogError
        If acknowledged records cannot be read.
    OSError
        If the folder cannot be written.
    """

    def __init__(self, path: Path, *, first: int = 1) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path)
        try:
            segments = _segments(path)
            if segments:
                first = _recover(path, segments)
            else:
                _begin_segment(path, first)
            self._next = first
            self._file = _open_last(path)
        except BaseException:
            os.close(self._lock)
            raise
        self._durable = first - 1
        self._failed: OSError | None = None
        self._waiting: list[bytes] = []
        self._waits = threading.Lock()  # for the list above
        self._commits = threading.Lock()  # held by the thread that writes for all that wait

    @property
    def last(self) -> int:
        """The number of the last record that is on the disk, 0 for none."""
        return self._durable

    def append(self, records: Sequence[bytes]) -> int:
        """Append records; they are on the disk when this returns.

        Parameters
        ----------
        records : sequence of bytes

        Returns
        -------
        int
            The number of the last of them; those of one call follow each other.

        Raises
        ------
        OSError
            If they may not be on the disk. Nothing can be appended from then on: what a failed
            write has left is known only when the log is opened again.
        """
        with self._waits:
            self._waiting += records
            last = self._next = self._next + len(records)
        with self._commits:
            if self._failed is not None:
                raise OSError(self._failed.errno, f"log failed before: {self._failed.strerror}")
            if self._durable < last - 1:
                self._commit()
        return last - 1

    def rotate(self) -> int:
        """Begin a new segment, so that those before can be removed one day.

        Returns
        -------
        int
            The number of its first record.
        """
        with self._commits:
            self._commit()
            first = self._durable + 1
            if _segments(self.path)[-1] < first:
                _begin_segment(self.path, first)
                self._file.close()
                self._file = _open_last(self.path)
            return first

    def trim(self, needed: int, *, keep_bytes: int) -> None:
        """Remove segments of old records, the oldest first.

        Parameters
        ----------
        needed : int
            Remove nothing from this number on.
        keep_bytes : int
            Remove a segment only if those after it have so many bytes.
        """
        with self._commits:
            segments = _segments(self.path)
            sizes = [(self.path / _NAME.format(first)).stat().st_size for first in segments]
            total = sum(sizes)
            for first, after, size in zip(segments, segments[1:], sizes, strict=False):
                if after > needed or total - size < keep_bytes:
                    break
                (self.path / _NAME.format(first)).unlink(missing_ok=True)
                total -= size
            flush_folder(self.path)

    def close(self) -> None:
        """Let another writer have the folder."""
        with self._commits:
            self._failed = OSError(0, "closed")
            try:
                self._file.close()  # which tries to write once more what has failed
            finally:
                os.close(self._lock)

    def _commit(self) -> None:
        """Write what waits, of all threads."""
        with self._waits:
            records, self._waiting = self._waiting, []
        try:
            for some in _commits(records):
                frame = _framed(self._durable + 1, some)
                self._file.write(frame)
                self._file.flush()
                os.fsync(self._file.fileno())
                self._durable += len(some)
        except OSError as error:
            self._failed = error
            raise


class LogReader:
    """Follows a log while another process writes it.

    Parameters
    ----------
    path : Path
    after : int
        The number of the last record that is known already.
    """

    def __init__(self, path: Path, after: int) -> None:
        self._path = path
        self._after = after
        self._segment: int | None = None
        self._offset = 0

    def read(self, upto: int | None = None) -> Iterator[Record]:
        """Read what is new.

        Parameters
        ----------
        upto : int, optional
            The last number to read; default all that are whole.

        Yields
        ------
        Record

        Raises
        ------
        LogError
            If there is a gap: records that are not known yet were removed.
        """
        while upto is None or self._after < upto:
            if self._segment is None and not self._enter():
                return
            for record in self._read_segment(upto):
                self._after = record.number
                yield record
            later = [first for first in _segments(self._path) if first == self._after + 1]
            if not later or later[0] == self._segment:
                return
            self._segment, self._offset = later[0], len(_HEADER)

    def _enter(self) -> bool:
        """Find the segment that has the next record."""
        segments = [first for first in _segments(self._path) if first <= self._after + 1]
        if not segments:
            if _segments(self._path):
                raise LogError(f"log: expected record {self._after + 1}, got a gap: {self._path}")
            return False
        self._segment, self._offset = segments[-1], len(_HEADER)
        return True

    def _open_segment(self) -> BinaryIO:
        """Open the segment, or where that was removed the one that has the next record."""
        removed, file = self._segment, self._path / _NAME.format(self._segment)
        try:
            return file.open("rb")
        except FileNotFoundError:
            if self._enter() and self._segment != removed:
                return self._open_segment()
        raise LogError(f"log: expected record {self._after + 1}, got a gap: {file}")

    def _read_segment(self, upto: int | None) -> Iterator[Record]:
        with self._open_segment() as source:
            source.seek(self._offset)
            while True:
                frame = _read_frame(source)
                if frame is None:
                    return
                first, records = frame
                if upto is not None and first + len(records) - 1 > upto:
                    return
                if first > self._after + 1:
                    raise LogError(
                        f"log: expected record {self._after + 1}, got {first}: {source.name}"
                    )
                self._offset = source.tell()
                for number, content in enumerate(records, first):
                    if number > self._after:
                        yield Record(number, content)


def read(path: Path, after: int = 0) -> Iterator[Record]:
    """Read the records of a log without a writer.

    Parameters
    ----------
    path : Path
    after : int
        Leave out those up to this number.

    Yields
    ------
    Record
    """
    return LogReader(path, after).read()


def first_number(path: Path) -> int | None:
    """Return the number of the first record that a log still has, None without segments."""
    return next(iter(_segments(path)), None)


def _commits(records: list[bytes]) -> Iterator[list[bytes]]:
    """Split records into commits whose length can be read."""
    some: list[bytes] = []
    size = 0
    for record in records:
        added = _LENGTH.size + len(record)
        if some and size + added > LARGEST_COMMIT:
            yield some
            some, size = [], 0
        some.append(record)
        size += added
    if some:
        yield some


def _framed(first: int, records: Sequence[bytes]) -> bytes:
    body = b"".join(_LENGTH.pack(len(record)) + record for record in records)
    head = _FRAME.pack(_MAGIC, len(body), first, len(records))
    return head + _digest(head, body) + body


def _digest(head: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(head + body, digest_size=_DIGEST).digest()


def _read_frame(source: BinaryIO) -> tuple[int, list[bytes]] | None:
    """Read one frame, None where there is no whole one."""
    head = source.read(_FRAME.size + _DIGEST)
    if len(head) < _FRAME.size + _DIGEST:
        return None
    magic, size, first, n = _FRAME.unpack(head[: _FRAME.size])
    if magic != _MAGIC or size > LARGEST_COMMIT + _LENGTH.size:
        return None
    body = source.read(size)
    if len(body) < size or _digest(head[: _FRAME.size], body) != head[_FRAME.size :]:
        return None
    records, at = [], 0
    for _ in range(n):
        (length,) = _LENGTH.unpack_from(body, at)
        records.append(body[at + _LENGTH.size : at + _LENGTH.size + length])
        at += _LENGTH.size + length
    return first, records


def _segments(path: Path) -> list[int]:
    """List the numbers that segments begin with, ascending."""
    names = (file.name for file in path.glob("*.log"))
    return sorted(int(name[:-4]) for name in names if name[:-4].isdigit())


def _begin_segment(path: Path, first: int) -> None:
    """Make an empty segment, whose header is on the disk before its name."""
    file = path / _NAME.format(first)
    temporary = file.with_suffix(".part")
    with named_errors(file):
        with temporary.open("wb") as target:
            target.write(_HEADER)
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(file)
        flush_folder(path)


def _open_last(path: Path) -> BinaryIO:
    return (path / _NAME.format(_segments(path)[-1])).open("ab")


def _recover(path: Path, segments: Sequence[int]) -> int:
    """Check every record, cut off a torn end, and return the number of the next record."""
    following = segments[0]
    for first in segments:
        file = path / _NAME.format(first)
        if first != following:
            raise LogError(f"log: expected record {following}, got a gap before {file}")
        with file.open("rb") as source:
            if source.read(len(_HEADER)) != _HEADER:
                raise LogError(f"log: expected a segment of format {_HEADER[-1]}, got {file}")
            end = source.tell()
            while (frame := _read_frame(source)) is not None:
                if frame[0] != following:
                    raise LogError(f"log: expected record {following}, got {frame[0]} in {file}")
                following += len(frame[1])
                end = source.tell()
        if end < file.stat().st_size:
            _cut(file, end, last=first == segments[-1])
    return following


def _cut(file: Path, end: int, *, last: bool) -> None:
    """Remove a torn frame; one with whole frames after it was not the last commit."""
    with file.open("rb") as source:
        source.seek(end)
        tail = source.read()
    at = tail.find(_MAGIC, 1)
    whole = False
    while at >= 0 and not whole:
        whole = _is_frame(tail, at)
        at = tail.find(_MAGIC, at + 1)
    if whole or not last:
        raise LogError(f"log: expected whole records, got a damaged one at byte {end} of {file}")
    with named_errors(file), file.open("r+b") as target:
        target.truncate(end)
        os.fsync(target.fileno())


def _is_frame(data: bytes, at: int) -> bool:
    source = io.BytesIO(data)
    source.seek(at)
    return _read_frame(source) is not None


def _locked(path: Path) -> int:
    """Keep a folder for one writer, until the descriptor is closed or the process ends."""
    descriptor = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT, 0o644)
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise BlockingIOError(
                error.errno, "another process writes the log", str(path)
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
    return descriptor
