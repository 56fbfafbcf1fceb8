"""The reports of all commands: styled by rich on a terminal, Markdown anywhere else.

Text that goes to a file or a pipe does not depend on rich or on the width of a terminal. Without
the package rich, which the extras ``demo`` and ``bench`` bring, a terminal gets the same text.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

from vecrecall.cli._tables import Cell, markdown_table

if TYPE_CHECKING:
    from rich.console import Console


def terminal_console(file: TextIO) -> Console | None:
    """Return a console of rich, or None where text must be plain.

    Parameters
    ----------
    file : text file

    Returns
    -------
    Console, optional
        None if the file is not a terminal or rich is not installed.
    """
    if not file.isatty() or find_spec("rich") is None:
        return None
    from rich.console import Console

    return Console(file=file, highlight=False)


class Output:
    """Headings, lines and tables on standard output.

    Parameters
    ----------
    file : text file, optional
        Default ``sys.stdout``.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stdout
        self._console = terminal_console(self._file)

    def heading(self, title: str) -> None:
        """Print the title of a section.

        Parameters
        ----------
        title : str
        """
        if self._console is None:
            self._print(f"\n## {title}\n")
            return
        from rich.text import Text

        self._console.rule(Text(title))

    def line(self, text: str = "", style: str = "") -> None:
        """Print text as it is, even where it looks like markup.

        Parameters
        ----------
        text : str
        style : str, optional
            A style of rich.
        """
        if self._console is None:
            self._print(text)
            return
        from rich.text import Text

        self._console.print(Text(text, style=style))

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str | Cell]],
        *,
        left: int = 1,
        ratios: Sequence[int] | None = None,
    ) -> None:
        """Print a table.

        Parameters
        ----------
        header : sequence of str
        rows : sequence of sequence of str or Cell
            Each as long as `header`.
        left : int, default: 1
            Number of columns, the first ones, that are aligned left.
        ratios : sequence of int, optional
            How the columns divide the width of a terminal; cells of all but the last column are cut
            there. Default as wide as the cells need.
        """
        cells = [[Cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
        if self._console is None:
            texts = [[cell.text for cell in row] for row in cells]
            self._print(f"{markdown_table(header, texts, left)}\n")
            return
        self._print_rich_table(self._console.width, header, cells, left, ratios)

    def _print_rich_table(
        self,
        width: int,
        header: Sequence[str],
        rows: Sequence[Sequence[Cell]],
        left: int,
        ratios: Sequence[int] | None,
    ) -> None:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(expand=ratios is not None, header_style="bold")
        for place, title in enumerate(header):
            table.add_column(
                Text(title),
                justify="left" if place < left else "right",
                ratio=ratios[place] if ratios else None,
                no_wrap=ratios is None or place + 1 < len(header),
            )
        for row in rows:
            table.add_row(*(Text(cell.text, style=cell.style) for cell in row))
        if ratios is None:  # numbers are never cut: lines that are too long go on below
            columns = zip(header, *([cell.text for cell in row] for row in rows), strict=True)
            width = max(width, sum(3 + max(map(len, column)) for column in columns) + 1)
        Console(file=self._file, width=width, highlight=False).print(table)

    def _print(self, text: str) -> None:
        print(text, file=self._file, flush=True)
