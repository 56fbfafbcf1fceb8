"""The HTTP interface of ``vecrecall serve`` as an application of Ray Serve."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from vecrecall._extras import needed
from vecrecall.arrays import _scalars
from vecrecall.distributed import _manifest
from vecrecall.distributed._errors import ClosedError, DistributedError
from vecrecall.distributed._sharded_index import ShardedIndex, connect
from vecrecall.storage import _atomic

_INDEX = "items"
_CONNECT = set(inspect.signature(connect).parameters) - {"path", "num_cpus"}  # which `app` has


def app(
    path: str | Path,
    *,
    num_replicas: int = 1,
    num_cpus: float = 1,
    max_ongoing_requests: int = 1024,
    token: str | None = None,
    **options: Any,
) -> Any:
    """Make an application of Ray Serve with the HTTP interface of ``vecrecall serve``.

    Parameters
    ----------
    path : str or Path
        Of `build_shards`: then there is one index, ``"items"``, whose updates are durable in its
        shards. Or what ``vecrecall serve`` takes, a TOML file or the folder of a saved system,
        with its state next to it; then `num_replicas` is 1, since one process writes the state.
    num_replicas : int
        Processes that answer. Each connects to actors of its own.
    num_cpus : float
        Of each of these processes.
    max_ongoing_requests : int
        Requests that a process has at a time; Ray Serve keeps others waiting. Those that wait for
        the same search are answered by one; beyond its limits a process answers 503.
    token : str, optional
        What clients must send as ``Authorization: Bearer``.
    **options
        Of `connect`, for shards.

    Returns
    -------
    ray.serve.Application
        For ``ray.serve.run``. Its ``user_config``, ``{"path": other}``, serves another build,
        without a request that fails, as ``POST /v1/versions`` does in the process that it reaches.

    Raises
    ------
    ImportError
        If Ray Serve or the packages of ``vecrecall[serve]`` are not installed.
    OSError, TypeError, ValueError
        If an argument is not as described, or there is nothing at the path.
    """
    serve = needed("ray.serve", "ray", "app")
    needed("vecrecall.serve", "serve", "app")
    folder = _scalars.check_path(path, "path").absolute()
    n = _scalars.check_positive_int(num_replicas, "num_replicas")
    if not is_sharded(folder):
        if n > 1:
            raise ValueError(f"num_replicas: expected 1 for a saved system, got {n}")
        if options:
            raise TypeError(f"{min(options)}: expected options of connect with shards alone")
    unknown = sorted(options.keys() - _CONNECT)
    if unknown:
        raise TypeError(
            f"{unknown[0]}: expected options of connect, {sorted(_CONNECT)}, got {unknown}"
        )
    deployment = serve.deployment(
        num_replicas=n,
        ray_actor_options={"num_cpus": _scalars.check_nonnegative(num_cpus, "num_cpus")},
        max_ongoing_requests=_scalars.check_positive_int(
            max_ongoing_requests, "max_ongoing_requests"
        ),
        user_config={"path": str(folder)},
    )(Ingress)
    return deployment.bind(str(folder), token, options)


def is_sharded(folder: Path) -> bool:
    """Tell shards from what else can be served."""
    if not folder.exists():
        raise FileNotFoundError(2, "No such file or directory", str(folder))
    if not (folder / _atomic.MANIFEST).exists():
        return False
    _manifest.read(folder)
    return True


class Ingress:
    """The application in one process of Ray Serve."""

    def __init__(self, path: str, token: str | None, options: dict[str, Any]) -> None:
        from vecrecall.serve._app import App
        from vecrecall.serve._metrics import Metrics
        from vecrecall.serve._runtime import LocalState, Runtime
        from vecrecall.serve._service import Service
        from vecrecall.serve._store import Store

        config = _config_of(Path(path))
        self._sharded = is_sharded(Path(path))
        self._path = path
        if self._sharded:
            self._runtime = Runtime(lambda: _ShardedState(config, options))
        else:
            store = Store(Path(config.state.path or ""))
            self._runtime = Runtime(lambda: LocalState(config, store))
        metrics = Metrics()
        service = Service(self._runtime.current, self._runtime, config.limits, metrics)
        self._asgi: Any = App(
            service, config.limits, metrics, body_timeout=config.server.body_timeout, token=token,
            ready=self._runtime.problem,
        ).asgi()  # fmt: skip
        self._runtime.start()
        self._runtime.loaded.result()  # an error is one of the deployment
        self._started: asyncio.Future[None] | None = None

    async def __call__(self, request: Any) -> Any:
        """Answer a request."""
        await self._start()
        responses = needed("starlette.responses", "serve", "app")
        return responses.StreamingResponse(*(await self._answer(request)))

    def check_health(self) -> None:
        """Raise an error where this process should be replaced."""
        if self._runtime.problem() is not None:
            raise DistributedError(f"app: {self._runtime.problem()}")

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Serve another path."""
        from vecrecall.serve._requests import VersionsRequest

        path = str(Path(user_config["path"]).absolute())
        if path != self._path:
            await self._runtime.administer(VersionsRequest("publish", path))
            self._path = path

    async def _start(self) -> None:
        """Begin the life of the application, once, in the loop of the requests."""
        if self._started is None:
            loop = asyncio.get_running_loop()
            self._started = loop.create_future()
            self._living = asyncio.create_task(self._live(self._started))
        await asyncio.shield(self._started)

    async def _live(self, started: asyncio.Future[None]) -> None:
        told = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal told
            if not told:
                told = True
                return {"type": "lifespan.startup"}
            await asyncio.Event().wait()  # until the process ends
            raise AssertionError

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "lifespan.startup.complete":
                started.set_result(None)

        await self._asgi(
            {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send
        )

    async def _answer(self, request: Any) -> tuple[Any, int, dict[str, str]]:
        """Run the application for a request; return the pieces of its answer."""
        messages: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()

        async def send(message: MutableMapping[str, Any]) -> None:
            messages.put_nowait(message)

        running = asyncio.create_task(self._asgi(dict(request.scope), request.receive, send))
        getting = asyncio.create_task(messages.get())
        await asyncio.wait({running, getting}, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            getting.cancel()
            await running  # which raises
        start = await getting

        async def pieces() -> Any:
            while True:
                message = await messages.get()
                if message.get("body"):
                    yield message["body"]
                if not message.get("more_body", False):
                    await running
                    return

        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in start["headers"]}
        return pieces(), start["status"], headers


class _ShardedState:
    """A system of one index in shards, which are its durable state."""

    def __init__(self, config: Any, options: dict[str, Any]) -> None:
        from vecrecall.serve._system import System

        self._changing = threading.Lock()
        self._before: Path | None = None
        self._index: ShardedIndex = connect(config.indexes[_INDEX].path, **options)
        self.system = System(config, open_index=lambda of: self._index)  # type: ignore[arg-type, return-value]

    async def submit(self, change: Any) -> int:
        """Make a change of items."""
        return await asyncio.to_thread(self._submit, change)

    def _submit(self, change: Any) -> int:
        from vecrecall.serve._changes import Put, Remove
        from vecrecall.serve._errors import RequestError
        from vecrecall.serve._system import Pending

        if not isinstance(change, (Put, Remove)):
            raise RequestError(
                409, "filters: expected a system with a state of its own, got shards"
            )
        with self._changing:
            self.system.check(change, Pending())
            try:
                self.system.apply(change)
            except DistributedError as error:
                raise RequestError(503, str(error), headers={"Retry-After": "1"}) from None
            self.system.position += 1
            return self.system.position

    async def administer(self, request: Any) -> dict[str, Any]:
        """Publish or roll back; there is nothing to fold."""
        return await asyncio.to_thread(self._administer, request)

    def _administer(self, request: Any) -> dict[str, Any]:
        from vecrecall.serve._errors import RequestError, bad_field

        if request.operation == "fold":
            raise bad_field("operation", "publish or rollback for shards", "fold", 409)
        path = self._before if request.folder is None else Path(request.folder)
        if path is None:
            raise bad_field("operation", "a version to go back to", "none", 409)
        with self._changing:
            before = self._index.path
            try:
                self._index.swap(path)
            except (DistributedError, OSError, ValueError) as error:
                raise RequestError(400, str(error), field="folder") from None
            self._before = before
            self.system.version += 1
            return {"version": self.system.version, "position": self.system.position}

    def problem(self) -> str | None:
        """Say why no traffic may come."""
        try:
            self._index._current()
        except ClosedError as error:
            return str(error)
        return None

    def close(self) -> None:
        """End the actors."""
        self._index.close()


def _config_of(path: Path) -> Any:
    """Say what is served as ``vecrecall serve`` does."""
    from vecrecall.serve._command import Options, configured
    from vecrecall.serve._config import Config, Index

    if is_sharded(path):
        return Config(indexes={_INDEX: Index(str(path))})
    return configured(Options(path))
