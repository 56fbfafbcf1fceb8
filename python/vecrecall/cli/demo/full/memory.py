"""The peak of this process's memory during a piece of work."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path
from types import TracebackType

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class Peak:
    """Measures the peak of resident memory in a ``with`` block.

    Where the system cannot forget an earlier peak, the peak of the whole process is given.

    Attributes
    ----------
    bytes : int
        Set at the end of the block.
    """

    highest = 0
    """Of all blocks so far."""

    def __enter__(self) -> Peak:
        Peak.highest = max(Peak.highest, _peak())
        with contextlib.suppress(OSError):
            _CLEAR.write_text("5")  # from now on the peak is that of the block
        self.bytes = 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bytes = _peak()
        Peak.highest = max(Peak.highest, self.bytes)


def _peak() -> int:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) << 10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10
