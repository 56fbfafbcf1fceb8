"""Errors of shards, by name."""

from collections.abc import Mapping


class DistributedError(RuntimeError):
    """A sharded index cannot do what was asked; subclasses say why."""


class PlacementError(DistributedError):
    """The cluster has no room for an actor or a task; the message says what was asked."""


class ClosedError(DistributedError):
    """The index was closed, or the Ray that it was connected to has ended."""


class ShardError(DistributedError):
    """A shard's folder is missing, damaged, or of another build."""


class MissingShardsError(DistributedError):
    """Shards did not answer before the deadline.

    Attributes
    ----------
    missing : dict of int to str
        Why, by the number of the shard.
    """

    def __init__(self, message: str, missing: Mapping[int, str]) -> None:
        super().__init__(message)
        self.missing = dict(missing)

    def __reduce__(self) -> tuple[type["MissingShardsError"], tuple[str, dict[int, str]]]:
        return type(self), (str(self), self.missing)


class ChangeError(MissingShardsError):
    """Some shards did not acknowledge a change before the deadline.

    The others have made their part of it; those that are missing may have. It is safe to make it
    again by `ShardedIndex.update`, and by `ShardedIndex.remove` with ``missing="ignore"``.
    """
