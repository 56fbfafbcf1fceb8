"""A shard as files have it: a saved index, and a log of the changes since.

The folder of an index is named by the number of the last change in it, so that the two are put in
place as one. The newest that is whole counts.
"""

import json
import shutil
import threading
from pathlib import Path

import numpy as np

from vecrecall.distributed import _changes, _manifest
from vecrecall.distributed._changes import Change
from vecrecall.distributed._errors import ShardError
from vecrecall.distributed._manifest import Manifest
from vecrecall.search._flat_index import FlatIndex
from vecrecall.search._ivf_index import IVFIndex, load_index
from vecrecall.storage import _atomic
from vecrecall.storage._array_folder import flush_folder
from vecrecall.storage._log import Log, LogError, LogReader

_BASE = "base-{:020d}"
_TOKENS = "tokens-{:020d}.json"
_KNOWN_TOKENS = 4096  # changes that are not made again
_TRIES = 5


class Shard:
    """One shard in memory, mapped, with the changes that are known.

    Parameters
    ----------
    path : Path
        Of the sharded index.
    manifest : Manifest
    number : int
    verify : bool
        Compare checksums.

    Raises
    ------
    ShardError
        If it is missing, damaged or of another build, or holds an id of another shard.
    """

    def __init__(
        self, path: Path, manifest: Manifest, number: int, *, verify: bool = False
    ) -> None:
        self.folder = _manifest.folder_of(path, number)
        self.manifest = manifest
        self.number = number
        self._verify = verify
        self._advancing = threading.Lock()
        self.tokens: dict[str, int] = {}
        self._load()

    def advance(self, upto: int | None = None) -> int:
        """Make changes of the log up to one, or all of them; return the number of the last made."""
        with self._advancing:
            if upto is None or self.position < upto:
                try:
                    self._follow()
                except LogError:  # the writer has put older changes into a new base
                    self._load()
                    self._follow()
            return self.position

    def rewind(self, position: int) -> None:
        """Make the changes up to one and no others, again where later ones were made already.

        Raises
        ------
        ShardError
            If all bases have later changes, or the log does not have this one.
        """
        with self._advancing:
            if self.position > position:
                self._load(position)
            try:
                self._follow(position)
            except LogError:  # as in `advance`
                self._load(position)
                self._follow(position)
            if self.position != position:
                raise ShardError(
                    f"shard {self.number}: expected change {position} as the last, got "
                    f"{self.position} in {self.folder}: the index has changed meanwhile"
                )

    def _follow(self, upto: int | None = None) -> None:
        try:
            for record in self._reader.read(upto):
                self.apply(_changes.unpacked(record.content), record.number)
        except LogError:
            raise
        except BaseException:
            self._load()  # the reader is behind the change that could not be made
            raise

    def apply(self, change: Change, number: int) -> None:
        """Make a change of the log."""
        _changes.apply(self.index, change)
        self.position = number
        self.tokens[change.token] = number
        while len(self.tokens) > _KNOWN_TOKENS:
            del self.tokens[next(iter(self.tokens))]

    def _load(self, upto: int | None = None) -> None:
        base = _manifest.check_shard(self.folder, self.manifest.build, self.number)
        for attempt in range(_TRIES):
            position = newest_base(self.folder, upto)
            if position is None:
                of = "" if upto is None else f" with no change after {upto}"
                raise ShardError(
                    f"shard {self.number}: expected a saved index{of}, got none in {self.folder}"
                )
            try:
                self._take(position, base)
            except FileNotFoundError as error:  # another base has just taken its place
                if attempt + 1 == _TRIES or newest_base(self.folder, upto) == position:
                    raise ShardError(f"shard {self.number}: expected a file, got {error}") from None
            except (OSError, ValueError) as error:
                raise ShardError(f"shard {self.number}: {error}") from None
            else:
                return

    def _take(self, position: int, base: str) -> None:
        folder = base_of(self.folder, position)
        if position == 0 and word_of(folder) != base:
            raise ShardError(
                f"shard {self.number}: expected the index of build {self.manifest.build}, "
                f"got another in {folder}"
            )
        index = load_index(folder, verify=self._verify)
        check_fits(index, self.manifest, self.number)
        self.index, self.position = index, position
        self.tokens = _read_tokens(self.folder, position)
        self._reader = LogReader(self.folder / "log", position)


class ShardWriter:
    """The one writer of a shard: what it has acknowledged is on the disk.

    Parameters
    ----------
    shard : Shard
    fold_bytes : int
        Write a new base once the log has so many bytes.

    Raises
    ------
    BlockingIOError
        If another process writes the shard.
    ShardError
        If acknowledged changes cannot be read.
    """

    def __init__(self, shard: Shard, fold_bytes: int) -> None:
        self.shard = shard
        self._fold_bytes = fold_bytes
        try:
            self._log = Log(shard.folder / "log", first=shard.position + 1)
        except LogError as error:
            raise ShardError(f"shard {shard.number}: {error}") from None
        shard.advance()
        self._written = _size(shard.folder / "log")
        self._folding: threading.Thread | None = None

    def check(self, change: Change) -> None:
        """Refuse what could not be done."""
        if change.token not in self.shard.tokens:
            _changes.check(self.shard.index, change)

    def commit(self, change: Change) -> int:
        """Make a change durable and then make it; return its number."""
        known = self.shard.tokens.get(change.token)
        if known is not None:
            return known
        self.check(change)
        record = _changes.packed(change)
        number = self._log.append([record])
        self.shard.advance(number)
        self._written += len(record)
        if self._written > self._fold_bytes and self._folding is None:
            self._written = 0
            self._begin_fold()
        return number

    def close(self) -> None:
        """Let another writer have the shard."""
        if self._folding is not None:
            self._folding.join()
        self._log.close()

    def _begin_fold(self) -> None:
        """Write the index of this moment as a base, while changes go on."""
        frozen, position = self.shard.index._frozen(), self.shard.position
        tokens = dict(self.shard.tokens)

        def fold() -> None:
            try:
                self._fold(frozen, position, tokens)
            finally:
                self._folding = None

        self._folding = threading.Thread(target=fold, name="vecrecall-fold", daemon=True)
        self._folding.start()

    def _fold(self, frozen: FlatIndex, position: int, tokens: dict[str, int]) -> None:
        folder = self.shard.folder
        before = newest_base(folder)
        text = json.dumps(tokens).encode("ascii")
        _atomic.write(folder / _TOKENS.format(position), lambda file: file.write(text))
        frozen.save(base_of(folder, position))
        flush_folder(folder)
        self._log.rotate()
        assert before is not None
        for old in bases(folder):
            if old < before:  # that before is kept for those that are loading it
                shutil.rmtree(base_of(folder, old), ignore_errors=True)
                (folder / _TOKENS.format(old)).unlink(missing_ok=True)
        self._log.trim(before + 1, keep_bytes=0)


def bases(folder: Path) -> list[int]:
    """List the bases of a shard that are whole, by the number of the last change in each."""
    found = (file.parent.name[5:] for file in folder.glob(f"base-*/{_atomic.MANIFEST}"))
    return sorted(int(name) for name in found if name.isdigit())


def newest_base(folder: Path, upto: int | None = None) -> int | None:
    """Return the last of the bases, or of those up to a change; None for none."""
    return max((one for one in bases(folder) if upto is None or one <= upto), default=None)


def base_of(folder: Path, position: int) -> Path:
    """Return the folder of a base."""
    return folder / _BASE.format(position)


def word_of(folder: Path) -> str:
    """Return a word for a saved index."""
    return str(_atomic.read_manifest(folder).get("checksum"))


def check_fits(index: FlatIndex, manifest: Manifest, number: int) -> None:
    """Refuse an index that is no shard of its build."""
    kind: type[FlatIndex] = IVFIndex if manifest.form == "ivf" else FlatIndex
    got = (type(index), index.metric, index.dim, index.dtype)
    if got != (kind, manifest.metric, manifest.dim, manifest.dtype):
        raise ShardError(
            f"shard {number}: expected {manifest.form} items of dim {manifest.dim}, dtype "
            f"{manifest.dtype!r} and metric {manifest.metric!r}, got {index!r}"
        )
    ids = index.ids
    shards = manifest.routing.shards(ids)
    wrong = np.flatnonzero(shards != number)
    if wrong.size:
        raise ShardError(
            f"shard {number}: expected ids that no other shard may hold, got id {ids[wrong[0]]}, "
            f"which belongs to shard {shards[wrong[0]]}"
        )


def _read_tokens(folder: Path, position: int) -> dict[str, int]:
    try:
        text = (folder / _TOKENS.format(position)).read_text("ascii")
    except FileNotFoundError:
        return {}
    found = json.loads(text)
    return {str(token): int(number) for token, number in found.items()}


def _size(log: Path) -> int:
    return sum(file.stat().st_size for file in log.glob("*.log"))
