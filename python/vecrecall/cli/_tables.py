"""Tables and numbers of reports, as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Cell(NamedTuple):
    """A cell of a table.

    Attributes
    ----------
    text : str
    style : str
        A style of rich, which a terminal shows and plain text does not.
    """

    text: str
    style: str = ""


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table whose columns are aligned.

    Parameters
    ----------
    header : sequence of str
    rows : sequence of sequence of str
        Each as long as `header`. Line breaks become spaces, and bars are escaped.
    left : int, default: 1
        Number of columns, the first ones, that are aligned left. The others are aligned right.

    Returns
    -------
    str
    """
    cells = [[_on_one_line(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        aligned = (
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join(aligned)} |"

    rules = [
        "-" * (width + 2) if place < left else f"{'-' * (width + 1)}:"
        for place, width in enumerate(widths)
    ]
    return "\n".join([line(cells[0]), f"|{'|'.join(rules)}|", *map(line, cells[1:])])


def _on_one_line(cell: str) -> str:
    return " ".join(cell.splitlines()).replace("|", "\\|")


def format_number(value: float) -> str:
    """Return a time or a ratio with three significant digits.

    Parameters
    ----------
    value : float
        Not negative. Values of 100 and more have no decimals, values below 0.1 have four.

    Returns
    -------
    str
    """
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.{1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4}f}"
