"""The HTTP interface of ``vecrecall serve`` on Ray Serve."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecrecall as vr
from vecrecall.distributed import _serve, app, build_shards

for module in ("ray.serve", "msgspec", "orjson", "prometheus_client"):
    pytest.importorskip(module, reason=f"{module} is not installed (extras 'ray' and 'serve')")

Items = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def ask(url: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def test_the_routes(ray: Any, tmp_path: Path, npy: Any, items: Items) -> None:
    x, ids = items
    np.save(tmp_path / "other.npy", -x)
    build_shards(npy[0], tmp_path / "a", n_shards=2, ids=npy[1])
    build_shards(tmp_path / "other.npy", tmp_path / "b", n_shards=2, ids=npy[1])
    lists: dict[str, Any] = {"index": "ivf", "n_lists": 9, "probes": 1}
    build_shards(tmp_path / "other.npy", tmp_path / "c", n_shards=2, ids=npy[1], **lists)
    serve = ray.serve if hasattr(ray, "serve") else __import__("ray.serve").serve
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    try:
        serve.run(app(tmp_path / "a", num_cpus=0.1), route_prefix="/")
        url = f"http://127.0.0.1:{port}"
        one, other = vr.FlatIndex(x, ids), vr.FlatIndex(-x, ids)
        body = {"vectors": x[:3].tolist(), "k": 5}

        def found() -> list[list[int]]:
            status, answer = ask(f"{url}/v1/search", body)
            assert status == 200, answer
            items: list[list[int]] = answer["items"]
            return items

        assert ask(f"{url}/readyz")[0] == 200
        assert ask(f"{url}/healthz")[0] == 200
        assert found() == one.search(x[:3], 5).ids.tolist()
        change = {
            "operation": "update",
            "items": [77_777],
            "vectors": {"items": [(x[0] * 9).tolist()]},
        }
        status, answer = ask(f"{url}/v1/items", change)
        assert status == 200, answer
        assert found()[0][0] == 77_777
        assert ask(f"{url}/v1/search", {"vectors": [[1.0]], "k": 5})[0] == 400
        assert ask(f"{url}/v1/none", {})[0] == 404
        version = {"operation": "publish", "folder": str(tmp_path / "b")}
        status, answer = ask(f"{url}/v1/versions", version)
        assert status == 200, answer
        assert found() == other.search(x[:3], 5).ids.tolist()
        assert ask(f"{url}/v1/versions", {"operation": "rollback"})[0] == 200
        assert found()[0][0] == 77_777
        assert ask(f"{url}/v1/versions", {"operation": "fold"})[0] == 409
        status, answer = ask(f"{url}/v1/search", {**body, "probes": 2})
        assert status == 400
        assert answer["error"]["field"] == "probes"
        version = {"operation": "publish", "folder": str(tmp_path / "c")}
        assert ask(f"{url}/v1/versions", version)[0] == 200
        status, answer = ask(f"{url}/v1/search", {**body, "probes": "exact"})
        assert status == 200, answer
        assert answer["items"] == other.search(x[:3], 5).ids.tolist()
    finally:
        serve.shutdown()


def test_bad_arguments(ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        app(tmp_path / "none")
    vr.FlatIndex(np.eye(3, dtype=np.float32)).save(tmp_path / "flat")
    with pytest.raises(ValueError, match="ShardedIndex"):
        app(tmp_path / "flat")
    (tmp_path / "shards").mkdir()
    monkeypatch.setattr(_serve, "is_sharded", lambda folder: True)
    with pytest.raises(TypeError, match=r"foo: expected options of connect, .*'replicas'.*'foo'"):
        app(tmp_path / "shards", foo=3, replicas=2)
    with pytest.raises(TypeError, match="path"):
        app(tmp_path / "shards", path=tmp_path)  # type: ignore[misc]
