"""Tables that read well in a terminal and in Markdown."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make a table of Markdown whose columns are aligned.

    Parameters
    ----------
    head : sequence of str
    rows : sequence of sequence of str
        Each as long as `head`; the first cell is set left, the others right.

    Returns
    -------
    str
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join([first, *others])} |"

    rule = [f"{'-' * (width + 1)}:" for width in widths]
    rule[0] = "-" * (widths[0] + 2)
    return "\n".join([line(head), f"|{'|'.join(rule)}|", *map(line, rows)])


def figure(value: float) -> str:
    """Write a time or a ratio with three digits that matter.

    Parameters
    ----------
    value : float

    Returns
    -------
    str
    """
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.{1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4}f}"
