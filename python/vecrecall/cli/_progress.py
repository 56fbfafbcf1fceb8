"""The progress of all commands, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from vecrecall.cli._output import terminal_console

if TYPE_CHECKING:
    from rich import progress as rich_progress
    from rich.console import Console


class Step:
    """A step in progress.

    Parameters
    ----------
    name : str
    total : int
        Number of parts.
    display : rich.progress.Progress, optional
    """

    def __init__(self, name: str, total: int, display: rich_progress.Progress | None) -> None:
        self._name = name
        self._total = total
        self._display = display
        if display is not None:
            self._task = display.add_task(name, total=total)

    def advance(self, count: int = 1) -> None:
        """Report that more parts are done.

        Parameters
        ----------
        count : int, default: 1
        """
        if self._display is not None:
            self._display.update(self._task, advance=count, refresh=True)

    def detail(self, text: str) -> None:
        """Report which part begins; shown on a terminal only.

        Parameters
        ----------
        text : str
        """
        if self._display is not None:
            description = f"{self._name}: {text}"
            self._display.update(self._task, description=description, refresh=True)

    def complete(self) -> None:
        """Fill the bar."""
        if self._display is not None:
            self._display.update(self._task, completed=self._total)

    def remove(self) -> None:
        """Remove the bar."""
        if self._display is not None:
            self._display.remove_task(self._task)


class Progress:
    """Shows which step is running, and times the steps.

    On a terminal a step is a progress bar of rich. Anywhere else, and without rich, it is a line,
    printed when the step begins.

    Parameters
    ----------
    keep : bool, default: False
        Whether finished steps stay on the terminal with their times. Otherwise the display is
        redrawn only when a step begins or reports, so that it takes no time from a measurement,
        and leaves nothing behind.
    file : text file, optional
        Default ``sys.stderr``.
    quiet : bool, default: False
        Whether to show nothing, and only to time.

    Attributes
    ----------
    seconds : dict of str to float
        By finished step.
    """

    def __init__(
        self, *, keep: bool = False, file: TextIO | None = None, quiet: bool = False
    ) -> None:
        self.seconds: dict[str, float] = {}
        self._keep = keep
        self._file = file or sys.stderr
        self._quiet = quiet
        console = None if quiet else terminal_console(self._file)
        self._display = None if console is None else _rich_display(console, keep)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def step(self, name: str, total: int = 1, *, terminal_only: bool = False) -> Iterator[Step]:
        """Show and time a step.

        Parameters
        ----------
        name : str
        total : int, default: 1
            Number of parts.
        terminal_only : bool, default: False
            Whether to print no line where there is no terminal.

        Yields
        ------
        Step
        """
        if self._display is not None:
            self._display.start()
        elif not terminal_only and not self._quiet:
            print(f"  {name}", file=self._file, flush=True)
        step = Step(name, total, self._display)
        begin = perf_counter()
        try:
            yield step
        finally:
            if not self._keep:
                step.remove()
        self.seconds[name] = perf_counter() - begin
        if self._keep:
            step.complete()

    def close(self) -> None:
        """End the display, until the next step begins."""
        if self._display is not None:
            self._display.stop()


def _rich_display(console: Console, keep: bool) -> rich_progress.Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.table import Column

    title = Column(no_wrap=True, overflow="ellipsis")
    times = (MofNCompleteColumn(), TimeElapsedColumn()) if keep else ()
    return Progress(
        TextColumn("{task.description:<26}", markup=False, table_column=title),
        BarColumn(bar_width=20),
        *times,
        console=console,
        transient=not keep,
        auto_refresh=keep,
    )
