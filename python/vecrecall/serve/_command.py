"""``vecrecall serve``: from arguments to a running service."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sys
import warnings
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vecrecall._runtime import get_num_threads, set_num_threads
from vecrecall.channels._recaller import ChannelWarning
from vecrecall.serve import _logs
from vecrecall.serve._app import App
from vecrecall.serve._config import SYSTEM, Config, ConfigError, exit_code
from vecrecall.serve._metrics import Metrics
from vecrecall.serve._runtime import LocalState, Runtime
from vecrecall.serve._server import Server, listen, settle
from vecrecall.serve._service import Service
from vecrecall.serve._store import Store
from vecrecall.serve._writer import source_of

log = logging.getLogger("vecrecall.serve")

TOKEN = "VECRECALL_TOKEN"
EXIT_BAD_INPUT = 2


@dataclass(frozen=True)
class Options:
    """Arguments of the command line; None where the configuration says it.

    Attributes
    ----------
    source : Path
        The folder of a saved system, or a TOML file.
    """

    source: Path
    host: str | None = None
    port: int | None = None
    workers: int | None = None
    drain: float | None = None
    state: Path | None = None
    token_file: Path | None = None
    log_level: str = "info"


class ServeError(ValueError):
    """The service cannot start as it is told to."""


def run(options: Options) -> int:
    """Serve until a signal comes.

    Parameters
    ----------
    options : Options

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    ServeError
        If an argument or the configuration is not as it should be.
    """
    try:
        config = configured(options)
        token = token_of(config.server)
        check_address(config.server.host, token)
        sock = listen(config.server.host, config.server.port)
    except (ConfigError, OSError) as error:
        raise ServeError(str(error)) from error
    _logs.start(options.log_level)
    warnings.simplefilter("ignore", ChannelWarning)  # they are in answers and figures
    host, port = sock.getsockname()[:2]
    log.info("listening", extra={"fields": {"host": host, "port": port}})
    store = Store(Path(config.state.path or ""))
    if config.server.workers > 1:
        from vecrecall.serve import _supervisor

        return _supervisor.run(config, sock, options.log_level)
    set_num_threads(config.server.threads or get_num_threads())
    runtime = Runtime(lambda: LocalState(config, store))
    return serve(runtime, config, token, sock)


def serve(
    runtime: Runtime, config: Config, token: str | None, sock: socket.socket, *, eager: bool = True
) -> int:
    """Answer on a socket until a signal comes, or the state cannot be loaded.

    With `eager` this process says that it is alive while it loads.
    """
    metrics = Metrics()
    service = Service(runtime.current, runtime, config.limits, metrics)
    app = App(
        service,
        config.limits,
        metrics,
        body_timeout=config.server.body_timeout,
        token=token,
        ready=runtime.problem,
    ).asgi()
    server = Server(app, config.server, runtime.end)
    runtime.loaded.add_done_callback(lambda done: server.end() if done.exception() else settle())
    runtime.start()
    if not eager:
        wait([runtime.loaded])
    server.run(sockets=[sock])
    runtime.close()
    error = runtime.loaded.exception() if runtime.loaded.done() else None
    if error is None:
        return 0
    print(f"vecrecall serve: error: {error}", file=sys.stderr)
    return exit_code(error)


def configured(options: Options) -> Config:
    """Read the configuration, and put in what the command line says.

    Raises
    ------
    ConfigError, OSError
        If it is not as it should be.
    """
    source = options.source
    if source.is_dir() and not (source / SYSTEM).exists():
        raise ConfigError(f"{source}: expected the folder of a saved system, got no {SYSTEM}")
    config = source_of(source)
    told = {name: getattr(options, name) for name in ("host", "port", "workers", "drain")}
    told["token_file"] = None if options.token_file is None else str(options.token_file)
    server = msgspec.structs.replace(
        config.server, **{name: value for name, value in told.items() if value is not None}
    )
    base = source if source.is_dir() else source.parent
    path = options.state or Path(config.state.path or base.absolute() / "state")
    state = msgspec.structs.replace(config.state, path=str(path.absolute()))
    return msgspec.structs.replace(config, server=server, state=state)


def token_of(server: msgspec.Struct) -> str | None:
    """Read the bearer token, None without one.

    Raises
    ------
    ConfigError, OSError
        If its file is empty, or cannot be read.
    """
    file = getattr(server, "token_file", None)
    if file is not None:
        token = Path(file).read_text(encoding="utf-8").strip()
        if not token:
            raise ConfigError(f"{file}: expected a token, got an empty file")
        return token
    token = os.environ.get(TOKEN, "")
    return token.strip() or None


def check_address(host: str, token: str | None) -> None:
    """Refuse to listen where others may come, without a token.

    Raises
    ------
    ConfigError
        If a token is needed.
    """
    if token is None and not _is_loopback(host):
        raise ConfigError(
            f"host: expected a loopback address without a token, got {host}; give a token by "
            f"--token-file or {TOKEN}"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
