"""Requests while they are answered, and the parts that large ones are cut into."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecrecall.serve._system import System

Fields = dict[str, bytes]
"""By field of the answer: the JSON of some rows, without the brackets around them."""


@dataclass(eq=False)
class Job:
    """A request that waits, or of which some users were answered.

    Attributes
    ----------
    kind : {"recall", "search"}
    request : RecallRequest or SearchRequest
    users : int
    k : int
    channels : int
        How many searches each user costs.
    key : hashable
        Requests with equal keys can be answered by one scan.
    expires : float
        By the clock of the event loop.
    answer : Future
        Done with a `Reply`, or canceled when the client has gone.
    arrived : float
    system : System, optional
        That of the first part, which answers the whole request.
    columns : Any
        What the request says, resolved for that system.
    next : int
        The first user who is not taken yet.
    done : int
        Users that are answered.
    """

    kind: str
    request: Any
    users: int
    k: int
    channels: int
    key: Hashable
    expires: float
    answer: asyncio.Future[Reply]
    arrived: float
    system: System | None = None
    columns: Any = None
    next: int = 0
    done: int = 0
    found: dict[int, Found] = field(default_factory=dict)  # by the first user of the piece

    @property
    def work(self) -> int:
        """Users x k x channels of the users that are not taken yet."""
        return (self.users - self.next) * self.k * self.channels


@dataclass(frozen=True)
class Piece:
    """Some users of a request."""

    job: Job
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Found:
    """The answer to a piece.

    Attributes
    ----------
    fields : dict of str to bytes
    missing : dict of str to str
        Channels that gave nothing, and why.
    """

    fields: Fields
    missing: dict[str, str]


@dataclass(frozen=True)
class Reply:
    """The answer to a request.

    Attributes
    ----------
    fields : dict of str to list of bytes
        The parts of each field, in order.
    missing : dict of str to str
        Channels that gave nothing to some users, and why.
    """

    fields: dict[str, list[bytes]]
    missing: dict[str, str]

    @classmethod
    def of(cls, found: dict[int, Found]) -> Reply:
        """Join the answers to the pieces of a request."""
        pieces = [found[start] for start in sorted(found)]
        fields = {name: [piece.fields[name] for piece in pieces] for name in pieces[0].fields}
        missing = {name: reason for piece in pieces for name, reason in piece.missing.items()}
        return cls(fields, missing)
