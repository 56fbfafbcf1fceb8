"""Reading of interactions, as `vecrecall.datasets` does, with titles and tags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vecrecall.cli.demo import DemoError
from vecrecall.cli.demo.data import Dataset, split
from vecrecall.datasets import _fields as fields
from vecrecall.datasets._files import read_table
from vecrecall.datasets._movielens import load_movielens
from vecrecall.datasets._own_files import log_columns

if TYPE_CHECKING:
    import pandas as pd

OPTIONAL = ("title", "tags")


def load(path: Path | None) -> Dataset:
    """Read interactions and split them.

    Parameters
    ----------
    path : Path, optional
        A table for `vecrecall.datasets.read_interactions`, with the columns user, item, time and
        optionally title and tags. Default MovieLens latest-small.

    Returns
    -------
    Dataset

    Raises
    ------
    DemoError
        If the file cannot be used.
    """
    if path is None:
        return split(*_movielens())
    try:
        log = _read(path)
    except FileNotFoundError:
        raise DemoError(f"data: no such file: {path}") from None
    except OSError as error:
        raise DemoError(f"{path}: {error.strerror or error}") from error
    except (ImportError, ValueError) as error:
        raise DemoError(str(error)) from error
    return split(log, str(path))


def _movielens() -> tuple[pd.DataFrame, str]:
    import pandas as pd

    data = load_movielens()
    films, log = data.items, data.interactions
    assert films is not None
    columns = (films.columns["title"], films.columns["year"], films.columns["genres"])
    shown = pd.DataFrame(
        [
            (f"{title} ({year})" if title else None, "|".join(genres) or None)
            for title, year, genres in zip(*columns, strict=True)
        ],
        films.keys,
        OPTIONAL,
        dtype=object,
    )
    frame = pd.DataFrame({"user": log.users, "item": log.items, "time": log.times})
    return frame.join(shown, "item"), log.source


def _read(path: Path) -> pd.DataFrame:
    frame = read_table(path, "interactions", "the demo")
    return log_columns(frame, path, {}, OPTIONAL).assign(
        **{name: _texts(frame, name, path) for name in OPTIONAL}
    )


def _texts(frame: pd.DataFrame, name: str, path: Path) -> pd.Series:
    import pandas as pd

    if name not in frame:
        return pd.Series(None, index=frame.index, dtype=object)
    return fields.texts(frame[name], path)
