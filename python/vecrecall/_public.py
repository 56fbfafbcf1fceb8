"""Names as users import them."""

from typing import Any


def stamp(namespace: dict[str, Any]) -> None:
    """Let the names in ``__all__`` say that they belong to the module whose namespace this is.

    So names in pickles, tracebacks and documentation stay when a file moves.
    """
    for name in namespace["__all__"]:
        value = namespace[name]
        module = getattr(value, "__module__", None)
        if isinstance(module, str) and module.startswith("vecrecall."):
            value.__module__ = namespace["__name__"]
