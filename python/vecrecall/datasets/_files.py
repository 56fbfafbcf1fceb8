"""Tables in files, with errors that name the fault in a file."""

from __future__ import annotations

import lzma
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from vecrecall._extras import needed
from vecrecall.arrays import _scalars

if TYPE_CHECKING:
    import pandas as pd

TEXT = {".csv": ",", ".tsv": "\t"}
PACKED = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz"}
PARQUET = (".parquet", ".pq")
ENDINGS = ".csv or .tsv, possibly followed by .gz, .bz2 or .xz, or .parquet or .pq"


def named_path(path: object, name: str) -> Path:
    """Check what names a file or folder; messages name it as it was given."""
    _scalars.check_path(path, name)
    return Path(path)  # type: ignore[arg-type]


def read_table(path: Path, what: str, reader: str) -> pd.DataFrame:
    """Read a table as text or Parquet.

    Parameters
    ----------
    path : Path
        Its ending tells the kind: `ENDINGS`.
    what : str
        What the rows are, for the message of a file without any.
    reader : str
        What needs pandas, for the message where it is missing.

    Returns
    -------
    DataFrame
        With all fields of text files as texts.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds no such table; names the file.
    ImportError
        If pandas is missing, or pyarrow for Parquet.
    """
    pd = needed("pandas", "pandas", reader)
    try:
        frame = _read(path)
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path}: no {what} in the file") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{path}: {error}") from error  # of a decompressor, or of pyarrow
    except (EOFError, zlib.error, lzma.LZMAError) as error:  # truncated, or not compressed at all
        raise ValueError(f"{path}: {error}") from error
    except ValueError as error:  # includes parse and decoding errors of pandas and pyarrow
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error  # on one line
    if frame is None:
        raise ValueError(f"{path}: expected a name that ends in {ENDINGS}")
    return frame


def _read(path: Path) -> pd.DataFrame | None:
    import pandas as pd

    name = path.name.lower()
    if name.endswith(PARQUET):
        try:
            return pd.read_parquet(path)
        except ImportError:
            raise ImportError("reading Parquet needs pyarrow: pip install pyarrow") from None
    for ending, separator in TEXT.items():
        if name.endswith((ending, *(ending + packed for packed in PACKED))):
            return _read_text(path, separator)
    return None


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    """Read every field as it is written. Only empty fields are missing: "NA" is a name."""
    import pandas as pd

    frame = pd.read_csv(
        path,
        sep=separator,
        dtype=str,
        keep_default_na=False,
        na_values=[""],
        compression=PACKED.get(path.suffix.lower()),
        encoding="utf-8-sig",
    )
    if not isinstance(
        frame.index, pd.RangeIndex
    ):  # pandas would take the first columns as an index
        raise ValueError("expected rows no longer than the header")
    return frame
