"""Lists that a channel has made of an index: they are made again after the index has changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vecrecall.arrays._results import SearchResult
from vecrecall.channels._protocol import Channel
from vecrecall.channels._requests import RequestBatch

log = logging.getLogger("vecrecall.serve")

_PAUSE = 0.5  # seconds after a change, in which others come
_SHARE = 9.0  # pauses take so many times the time of the work


class MadeOfIndex:
    """A channel with lists that were made of an index.

    Parameters
    ----------
    name, index : str
        Of the channel, and of the index that it is made of.
    make : callable
        Makes the channel.
    """

    def __init__(self, name: str, index: str, make: Callable[[], Channel]) -> None:
        self.name, self.index = name, index
        self._make = make
        self._channel = make()

    def recall(self, batch: RequestBatch, k: int) -> SearchResult:
        """Recall by the newest lists."""
        return self._channel.recall(batch, k)

    def make_again(self) -> None:
        """Replace the lists as one."""
        self._channel = self._make()


@dataclass(eq=False)
class Remaker:
    """Makes lists again, in a thread that runs while there is something to do.

    Attributes
    ----------
    channels : callable
        Gives the channels as they are now.
    on_made : callable
        Called with the name of a channel that has new lists.
    """

    channels: Callable[[], list[MadeOfIndex]]
    on_made: Callable[[str], object]

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._stale: set[str] = set()  # names of indexes
        self._runs = False

    def changed(self, index: str) -> None:
        """Take note that an index has changed."""
        with self._lock:
            self._stale.add(index)
            if self._runs:
                return
            self._runs = True
        threading.Thread(target=self._run, name="vecrecall-lists", daemon=True).start()

    def _run(self) -> None:
        pause = _PAUSE
        while True:
            time.sleep(pause)
            with self._lock:
                stale, self._stale = self._stale, set()
                if not stale:
                    self._runs = False
                    return
            start = time.monotonic()
            for channel in self.channels():
                if channel.index in stale:
                    self._make(channel)
            pause = max(_PAUSE, _SHARE * (time.monotonic() - start))

    def _make(self, channel: MadeOfIndex) -> None:
        try:
            channel.make_again()
        except Exception:
            log.exception("lists cannot be made again", extra={"fields": {"channel": channel.name}})
        else:
            self.on_made(channel.name)
