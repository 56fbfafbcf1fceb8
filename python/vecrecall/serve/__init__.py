"""A recall service over HTTP: ``vecrecall serve``.

It needs the packages of ``pip install 'vecrecall[serve]'``, which nothing else of the library
imports.
"""

from vecrecall._extras import needed as _needed

for _module in ("msgspec", "orjson", "prometheus_client", "starlette", "uvicorn"):
    _needed(_module, "serve", "vecrecall serve")

from vecrecall._public import stamp as _stamp  # noqa: E402  # after what it needs
from vecrecall.serve._command import Options, ServeError, run  # noqa: E402

__all__ = ["Options", "ServeError", "run"]

_stamp(globals())
