"""The peak of this process's memory, in all or during a piece of work."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class Peak:
    """Measures the peak of resident memory in a ``with`` block.

    Where the system cannot forget an earlier peak, it is that of the process so far.

    Attributes
    ----------
    bytes : int
        Set at the end of the block; 0 if the system does not tell.
    """

    _highest = 0  # before the last time that the system was told to forget

    def __enter__(self) -> Peak:
        Peak._highest = Peak.of_process()
        with suppress(OSError):
            _CLEAR.write_text("5")
        self.bytes = 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bytes = _peak()

    @classmethod
    def of_process(cls) -> int:
        """Return the highest peak since the process began.

        Returns
        -------
        int
        """
        return max(cls._highest, _peak())


def _peak() -> int:
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10
