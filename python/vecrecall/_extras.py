"""Optional dependencies, imported where they are used."""

import importlib
from typing import Any


def needed(module: str, extra: str, what: str) -> Any:
    """Import a module, or say which extra brings it.

    Parameters
    ----------
    module : str
    extra : str
        Of this package.
    what : str
        What needs the module, for the message.

    Raises
    ------
    ImportError
        If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{what} needs {module.partition('.')[0]}: pip install 'vecrecall[{extra}]'"
        ) from error
