"""Figures of matplotlib in files."""

import io
from pathlib import Path
from typing import Any

from vecrecall.storage._atomic import write_report

DOTS_PER_INCH = 120


def save_figure(figure: Any, path: Path, kind: str | None = None) -> None:
    """Write a figure; without a kind the suffix of the file names it, PNG where it has none.

    Drawn in memory first: a disk that is full leaves the file as it was.
    """
    content = io.BytesIO()
    figure.savefig(content, format=kind or path.suffix[1:] or "png", dpi=DOTS_PER_INCH)
    write_report(path, content.getvalue())
