"""Ray, imported where it is used, and what is asked of it everywhere."""

import time
from typing import Any

from vecrecall._extras import needed
from vecrecall.distributed._errors import ClosedError

NAMESPACE = "vecrecall"


def ray() -> Any:
    """Import Ray, or say which extra brings it."""
    return needed("ray", "ray", "vecrecall.distributed")


def started() -> Any:
    """Import Ray, and start or join one as Ray does it itself where that has not been done."""
    module = ray()
    if not module.is_initialized():
        module.init()
    return module


def session() -> str:
    """Name the connection to Ray of this process: another one after a shutdown."""
    module = ray()
    if not module.is_initialized():
        raise ClosedError(
            "Ray: expected a running one, got none: it was shut down; call ray.init and "
            "vecrecall.distributed.connect again"
        )
    return str(module.get_runtime_context().get_worker_id())


def cause(error: BaseException) -> BaseException:
    """Return what was raised in a task or actor; other errors as they are."""
    inner = getattr(error, "cause", None)
    return inner if isinstance(inner, BaseException) else error


class Deadline:
    """A point in time that no wait goes beyond."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def share(self, part: float) -> "Deadline":
        """Return one at which a part of what is left has passed."""
        return Deadline(self.left * part)

    @property
    def left(self) -> float:
        """Seconds that are left, 0 at the least."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether none is left."""
        return self.left <= 0
