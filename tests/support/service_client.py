"""A service in this process, and a client of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import served as served  # skips where packages are missing
from starlette.testclient import TestClient

from vecrecall.serve._app import App
from vecrecall.serve._command import Options, configured
from vecrecall.serve._metrics import Metrics
from vecrecall.serve._runtime import LocalState, Runtime
from vecrecall.serve._service import Service
from vecrecall.serve._store import Store


class Client:
    """Sends requests to a service in this process."""

    def __init__(self, path: Path, *, state: Path | None = None, token: str | None = None) -> None:
        config = configured(Options(path, state=state))
        store = Store(Path(config.state.path or ""))
        self.runtime = Runtime(lambda: LocalState(config, store))
        self.runtime.start()
        self.runtime.loaded.result(120)
        metrics = Metrics()
        self.service = Service(self.runtime.current, self.runtime, config.limits, metrics)
        app = App(
            self.service,
            config.limits,
            metrics,
            body_timeout=config.server.body_timeout,
            token=token,
            ready=self.runtime.problem,
        )
        self.http = TestClient(app.asgi(), raise_server_exceptions=False)
        self.http.__enter__()

    @property
    def system(self) -> Any:
        return self.runtime.current()

    def post(self, path: str, **fields: Any) -> Any:
        response = self.http.post(path, json=fields)
        assert response.status_code == 200, response.text
        return response.json()

    def refused(self, status: int, path: str, body: Any) -> Any:
        """Return the error of a request that must be refused."""
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        response = self.http.post(path, **content)
        assert response.status_code == status, response.text
        return response.json()["error"]

    def close(self) -> None:
        self.http.__exit__(None, None, None)
        self.runtime.close()
