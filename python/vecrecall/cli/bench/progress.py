"""Says on standard error what is going on, so that nobody thinks it hangs."""

import shutil
import sys


class Progress:
    """Lines of text; in a terminal one line, rewritten."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    def step(self, text: str) -> None:
        """Say what begins.

        Parameters
        ----------
        text : str
        """
        if self._terminal:
            self._rewrite(text)
        else:
            print(f"  {text}", file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        """Say what part of it begins; in a file that would be too much.

        Parameters
        ----------
        text : str
        """
        if self._terminal:
            self._rewrite(text)

    def clear(self) -> None:
        """Leave nothing behind in a terminal."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _rewrite(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{text[:width]}", end="", file=sys.stderr, flush=True)
