"""Files that other packages have installed, found without importing these packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def installed_file(package: str, inside: str, what: str, install: str) -> Path:
    """Return the path of a file of an installed package.

    Parameters
    ----------
    package : str
        A package at the top level, which is not imported.
    inside : str
        The file's path in the package.
    what : str
        What needs it, for the message.
    install : str
        The command that installs the package.

    Raises
    ------
    ImportError
        If the package is not installed.
    FileNotFoundError
        If it does not have the file.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{what} needs {package}: {install}")
    path = Path(next(iter(spec.submodule_search_locations))) / inside
    if not path.is_file():
        raise FileNotFoundError(f"{what}: the installed {package} has no {inside}")
    return path
