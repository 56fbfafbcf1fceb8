"""A setting that a library keeps in the index itself, made an argument of each search."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Gate:
    """Lets searches with one value of a setting run side by side, those with another wait.

    Parameters
    ----------
    get, put : callable
        Read and write the setting.
    """

    def __init__(self, get: Callable[[], int], put: Callable[[int], object]) -> None:
        self._get = get
        self._put = put
        self._turn = threading.Lock()  # so that who waits is not overtaken forever
        self._idle = threading.Condition()
        self._inside = 0
        self._before = 0

    def own(self) -> int:
        """Tell the setting's value outside of searches."""
        with self._idle:
            return self._before if self._inside else self._get()

    @contextmanager
    def with_value(self, value: int | None) -> Iterator[None]:
        """Run the body with this value, None for its own, and leave the setting as it was."""
        with self._turn, self._idle:
            wanted = value
            if wanted is None:
                wanted = self._before if self._inside else self._get()
            while self._inside and self._get() != wanted:
                self._idle.wait()
            if not self._inside:
                self._before = self._get()
                if self._before != wanted:
                    self._put(wanted)
            self._inside += 1
        try:
            yield
        finally:
            with self._idle:
                self._inside -= 1
                if not self._inside:
                    if self._get() != self._before:
                        self._put(self._before)
                    self._idle.notify_all()
